/** Sources that meet in a union: the lowest of their watermarks counts (S4), and a silent one holds nobody back (S5). */
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { renderSummary } from '../../src/cli/summary.ts'
import { type Components, components } from '../../src/engine/components.ts'
import { followWith } from '../../src/engine/follow.ts'
import type { EpochResult } from '../../src/engine/report/summary.ts'
import {
  aggregate,
  count,
  files,
  groupBy,
  json,
  type Pipeline,
  pipeline,
  source,
  to,
  tumbling,
  union,
  verify,
} from '../../src/index.ts'
import { type Lab, openLab, quoted, run } from './harness.ts'

let lab: Lab
beforeEach(async () => {
  lab = await openLab()
  for (const name of ['green', 'yellow']) await mkdir(at(name))
})
afterEach(() => lab[Symbol.asyncDispose]())

const at = (name: string) => join(lab.root, name)
const place = (name: string) => ({ output: at(`${name}-out`), checkpoint: at(`${name}-ck`) })

const taxis = (name: string, idle?: '200 milliseconds', delay: '0s' | '1 hour' = '0s') =>
  source(name, {
    objects: at(name),
    format: json(),
    columns: { at: 'TIMESTAMP NOT NULL', zone: 'BIGINT' },
    time: 'at',
    watermark: { delay, ...(idle ? { idle } : {}) },
    miniBatch: { every: '50ms' },
    reconcile: '100ms',
  })

const hourly = (name: string, idle?: '200 milliseconds', delay?: '1 hour'): Pipeline =>
  pipeline(
    'hourly',
    { checkpoint: place(name).checkpoint },
    union(taxis('green', idle, delay), taxis('yellow', idle, delay)).pipe(
      tumbling('1 hour'),
      groupBy('zone'),
      aggregate({ n: count() }),
      to(files(place(name).output, { format: 'json' })),
    ),
  )

/** One line for each minute of the hour; the file is named after it. */
async function hour(of: string, from: string, zone: number): Promise<void> {
  const lines = Array.from({ length: 60 }, (_, minute) =>
    JSON.stringify({ at: `${from}:${String(minute).padStart(2, '0')}:00`, zone }),
  )
  await writeFile(join(at(of), `${from.replace(' ', 'T')}.jsonl`), `${lines.join('\n')}\n`)
}

const rowsOf = async (name: string) =>
  (await lab.rows(place(name))).map(row => `${row.window_start} ${row.zone} ${row.n}`).toSorted()

describe('a union of two sources', () => {
  test('closes a window when both have passed it: nothing is late, in any cut', async () => {
    // Yellow is far behind green: by names all of green is read first.
    for (const from of ['2024-01-01 00', '2024-01-01 01', '2024-01-01 05']) await hour('green', from, 1)
    for (const from of ['2024-01-01 02', '2024-01-01 03']) await hour('yellow', from, 2)
    await hour('yellow', '2024-01-01 00', 1)
    for (const objectsPerEpoch of [1, 2, 100]) {
      const name = `cut${objectsPerEpoch}`
      const summary = await run(hourly(name), { objectsPerEpoch })
      expect(summary.totals).toMatchObject({ objects: 6, rows: 360, late: 0 })
      const all = ['green', 'yellow'].map(of => `FROM read_json(${quoted(join(at(of), '*.jsonl'))})`)
      const expected = await lab.sql(
        `SELECT date_trunc('hour', "at"::TIMESTAMP) AS w, zone, count(*) AS n ` +
          `FROM (${all.join(' UNION ALL BY NAME ')}) GROUP BY ALL`,
      )
      expect(await rowsOf(name)).toEqual(expected.map(({ w, zone, n }) => `${w} ${zone} ${n}`).toSorted())
    }
    expect(await verify(hourly('cut1'))).toMatchObject({ differences: [] })
  })

  test('waits for a source that has nothing yet, until the end of the listing', async () => {
    for (const from of ['2024-01-01 00', '2024-01-01 05']) await hour('green', from, 1)
    const summary = await run(hourly('a'), { flush: false })
    expect(summary.next).toBe(
      'The window 2024-01-01T00:00Z to 2024-01-01T01:00Z of flow-1 is open, and has rows of 1 group. ' +
        'It closes when the watermark reaches 2024-01-01T01:00Z; there is none yet. ' +
        'Source yellow holds it: nothing of it has been read yet. ' +
        "While a run follows it waits for yellow, however long: watermark: { idle: '15 minutes' } would end that.",
    )
    expect(renderSummary(summary)).toContain('closes next   The window 2024-01-01T00:00Z to')
    expect(summary.watermarks).toEqual({ green: '2024-01-01T05:59:00.000Z', yellow: null })
    expect(await rowsOf('a')).toEqual([])
    await run(hourly('b'))
    expect(await rowsOf('b')).toEqual(['2024-01-01 00:00:00 1 60', '2024-01-01 05:00:00 1 60'])
  })

  test('live, a silent source is given the watermark of the others, and the tick replays', async () => {
    for (const from of ['2024-01-01 00', '2024-01-01 05']) await hour('green', from, 1)
    const drain = new AbortController()
    const results: EpochResult[] = []
    await followWith(components, hourly('live', '200 milliseconds'), {
      threads: 2,
      memory: '500MB',
      drain: drain.signal,
      onEvent(event) {
        if (event.is !== 'epoch') return
        results.push(event.result)
        if (event.result.outputFiles.length > 0) drain.abort()
      },
    })
    expect(await rowsOf('live')).toContain('2024-01-01 00:00:00 1 60')
    const ticks = (await lab.channel('ledger', place('live'))).filter(row => row.is === 'tick')
    expect(ticks.map(row => row.source)).toContain('yellow')
    await run(hourly('copy', '200 milliseconds'), { ledger: place('live').checkpoint })
    expect(await rowsOf('copy')).toEqual(await rowsOf('live'))
  })

  test('live, a source whose first listing takes longer than its idle time is not silent yet', async () => {
    await hour('green', '2024-01-01 00', 1)
    await hour('yellow', '2024-01-01 00', 2)
    const slow: Components = {
      ...components,
      async openInput(address, field, links) {
        const store = await components.openInput(address, field, links)
        if (!store.address.includes('yellow')) return store
        return {
          ...store,
          async *list(...asked: Parameters<typeof store.list>) {
            await components.clock.sleep(1_500)
            yield* store.list(...asked)
          },
        }
      },
    }
    const drain = new AbortController()
    let objects = 0
    await followWith(slow, hourly('slow', '200 milliseconds', '1 hour'), {
      threads: 2,
      memory: '500MB',
      drain: drain.signal,
      onEvent(event) {
        if (event.is === 'epoch') objects += event.result.objects
        if (objects === 2) drain.abort()
      },
    })
    const ledger = await lab.channel('ledger', place('slow'))
    expect(ledger.slice(0, 2).map(row => [row.source, row.is])).toEqual([
      ['green', 'object'],
      ['yellow', 'object'],
    ])
  })
})
