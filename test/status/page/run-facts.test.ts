import { expect, test } from 'vitest'
import type { RunEvent } from '../../../src/engine/report/events.ts'
import { createMonitor } from '../../../src/status/monitor.ts'
import { createRunFacts } from '../../../src/status/page/run-facts.ts'
import { createRequestMeter } from '../../../src/status/requests.ts'
import { manualClock } from '../manual-clock.ts'
import { measurement } from '../measurement.ts'

/** One object of ten rows. */
const committed = (epoch: number): RunEvent => ({
  is: 'epoch',
  result: {
    epoch,
    objects: 1,
    rows: 10,
    late: 0,
    totals: { ...measurement.totals, epochs: epoch },
    outputFiles: [],
  },
  tookMs: epoch,
  bytes: 100,
  sources: [{ source: 'trips', objects: 1, rows: 10, bytes: 100 }],
  quarantined: 0,
  skipped: 0,
  gone: 0,
  suspect: 0,
  quarantinedRows: 0,
  badRows: [],
  lateRows: [],
  setAside: [],
})

test('the page has the last 200 epochs, the oldest first, each with its own phases', async () => {
  const clock = manualClock()
  const facts = createRunFacts({
    clock,
    pipeline: 'revenue',
    version: '1.2.3',
    monitor: createMonitor(clock, () => {}),
    requests: createRequestMeter(clock),
    prices: {},
    showsValues: false,
    invocation: 'millrace',
  })
  for (let epoch = 1; epoch <= 250; epoch++) {
    facts.onEvent({ is: 'phase', phase: 'mark', ms: epoch })
    facts.onEvent({ is: 'phase', phase: 'mark', ms: epoch })
    facts.onEvent(committed(epoch))
    clock.advance(1_000)
  }
  const { epochs, checkpoint, totals } = await facts.gather()
  const last = Array.from({ length: 200 }, (_, index) => index + 51)
  expect(epochs?.map(({ epoch }) => epoch)).toEqual(last)
  expect(epochs?.map(({ atMs }) => atMs)).toEqual(last.map(epoch => (epoch - 1) * 1_000))
  expect(epochs?.map(({ phases }) => phases[0])).toEqual(last.map(epoch => ({ phase: 'mark', ms: 2 * epoch })))
  expect([checkpoint.epoch, totals?.epochs]).toEqual([250, 250])
})
