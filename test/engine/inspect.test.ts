import { afterEach, beforeEach, expect, test } from 'vitest'
import { renderInspection } from '../../src/cli/summary.ts'
import { inspect } from '../../src/index.ts'
import { type Lab, openLab, run, windowed } from './harness.ts'

let lab: Lab
beforeEach(async () => {
  lab = await openLab()
})
afterEach(() => lab[Symbol.asyncDispose]())

const at = (minutes: string) =>
  `SELECT (TIMESTAMP '2022-01-01' + INTERVAL (m) MINUTE) AS t FROM (VALUES ${minutes}) AS x(m)`

test('tells epochs, open windows, and the rows and bytes of state', async () => {
  // Hours 0 and 2, then hour 5: the watermark at 4:10 closes the first two.
  await lab.parquet('a.parquet', at('(15), (130)'))
  await lab.parquet('b.parquet', at('(310)'))
  const flow = { columns: { t: 'TIMESTAMP NOT NULL' }, delay: '1 hour', size: '1 hour' }
  await run(windowed(lab, lab, flow), { objectsPerEpoch: 1, flush: false })
  const found = await inspect(lab.checkpoint)
  const segments = found.channels.find(({ name }) => name.startsWith('segment-'))
  expect(found).toMatchObject({ epoch: 2, states: [{ rows: 1, openWindows: 1, bytes: segments?.bytes }] })
  expect(renderInspection(found)).toMatch(/open state +\w+: 1 window, 1 row, \d/)
})

test('a pane of a hopping window counts for each window that it is in', async () => {
  await lab.parquet('a.parquet', at('(15), (130)'))
  const flow = { columns: { t: 'TIMESTAMP NOT NULL' }, delay: '1 day', size: '2 hours', every: '1 hour' }
  const { openWindows } = await run(windowed(lab, lab, flow), { flush: false })
  expect(openWindows).toBe(4)
  expect((await inspect(lab.checkpoint)).states).toMatchObject([{ rows: 2, openWindows }])
})
