/** Sources without `time`: rows are filtered, changed and written, and no watermark ever is. */
import { join } from 'node:path'
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { renderInspection } from '../../src/cli/summary.ts'
import { components } from '../../src/engine/components.ts'
import { explain } from '../../src/engine/explain.ts'
import { followWith } from '../../src/engine/follow.ts'
import {
  calendar,
  cumulative,
  dedupe,
  deltas,
  derive,
  files,
  filterRows,
  global,
  hopping,
  inspect,
  json,
  mapRows,
  type Measurement,
  parquet,
  pipeline,
  query,
  type Running,
  select,
  session,
  source,
  type SourceOptions,
  to,
  tumbling,
  verify,
  where,
} from '../../src/index.ts'
import { examine } from '../../src/status/doctor/doctor.ts'
import { failure, type Lab, openLab, type Place, quoted, run, runs } from './harness.ts'

let lab: Lab
beforeEach(async () => {
  lab = await openLab()
})
afterEach(() => lab[Symbol.asyncDispose]())

const columns = { id: 'BIGINT NOT NULL', body: 'JSON', dt: 'DATE FROM KEY' } as const
type Options = Partial<SourceOptions<typeof columns, never>>

const raw = (more: Options = {}) => source('raw', { objects: lab.input, format: json(), columns, ...more })

const converted = (at: Place, more: Options = {}) =>
  pipeline(
    'converted',
    { checkpoint: at.checkpoint },
    raw(more).pipe(
      where('id % 3 <> 0'),
      derive({ city: ['VARCHAR', "body->>'city'"] }),
      select('id', 'city', 'dt'),
      to(files(at.output, { format: 'parquet' })),
    ),
  )

const line = (id: number) => JSON.stringify({ id, body: { city: `c${id % 5}` } })

/** Days of lines, with ids from `first` on. */
async function day(date: string, first: number, count: number, more: readonly string[] = []): Promise<void> {
  const lines = Array.from({ length: count }, (_, index) => line(first + index))
  await lab.lines(`dt=${date}/a.jsonl`, [...lines, ...more])
}

/** What DuckDB makes of the input by itself. */
const expected = () =>
  lab.sql(
    `SELECT id, 'c' || id % 5 AS city, dt FROM read_json(${quoted(join(lab.input, '**/*.jsonl'))}, hive_partitioning = true,
      columns = { id: 'BIGINT', body: 'JSON', dt: 'DATE' }) WHERE id % 3 <> 0 ORDER BY id`,
  )
const byId = <T extends { readonly id?: string | null }>(rows: readonly T[]) =>
  rows.toSorted((a, b) => Number(a.id) - Number(b.id))

describe('a plain conversion', () => {
  test('gives the rows of one query, whatever the cut and the number of runs; verify and a replay agree', async () => {
    await day('2024-01-02', 0, 40)
    await day('2024-01-01', 40, 25)
    await day('2024-01-03', 65, 1)
    const cuts = fc.record({ first: fc.integer({ min: 1, max: 3 }), second: fc.integer({ min: 1, max: 3 }) })
    let places = 0
    await fc.assert(
      fc.asyncProperty(cuts, async ({ first, second }) => {
        const at = lab.place(`cut-${++places}`)
        await run(converted(at), { objectsPerEpoch: first, to: '2024-01-03' })
        const summary = await run(converted(at), { objectsPerEpoch: second })
        expect(byId(await lab.rows(at))).toEqual(await expected())
        expect(summary).toMatchObject({ openWindows: 0, farAhead: [], totals: { late: 0, rows: 66, outsideBounds: 0 } })
        // In the order of the column FROM KEY that is a time, and no entry but objects (S7).
        const ledger = await lab.channel('ledger', at)
        expect(ledger.map(({ is, key }) => [is, key])).toEqual(
          ['01', '02', '03'].map(dd => ['object', `dt=2024-01-${dd}/a.jsonl`]),
        )
        expect((await verify(converted(at))).differences).toEqual([])
        const copy = lab.place(`copy-${places}`)
        await run(converted(copy), { ledger: at.checkpoint })
        expect(await lab.rows(copy)).toEqual(await lab.rows(at))
      }),
      runs(4),
    )
    const at = lab.place('cut-1')
    expect((await run(converted(at))).nothingToDo).toBe(true)
  })

  test('through functions of TypeScript, and of Parquet with a column that is a time', async () => {
    await lab.parquet(
      'a.parquet',
      `SELECT i AS id, CASE WHEN i < 9 THEN TIMESTAMP '2024-01-01' END AS at FROM range(10) AS r(i)`,
    )
    const flow = pipeline(
      'mapped',
      { checkpoint: lab.checkpoint },
      source('raw', { objects: lab.input, format: parquet(), columns: { id: 'BIGINT', at: 'TIMESTAMP' } }).pipe(
        filterRows(({ id }) => id !== 0n),
        mapRows(({ id, at }) => [{ id, at: at ?? new Date(0) }, null].filter(row => row !== null), {
          id: 'BIGINT',
          at: 'TIMESTAMP',
        }),
        to(files(lab.output, { format: 'parquet' })),
      ),
    )
    // A NULL time is a value like others, and another one may be handed on.
    expect(await run(flow)).toMatchObject({ totals: { rows: 10, quarantinedRows: 0 } })
    const rows = await lab.rows()
    expect(rows.map(({ id }) => id)).toEqual(['1', '2', '3', '4', '5', '6', '7', '8', '9'])
    expect(rows.at(-1)).toEqual({ id: '9', at: '1970-01-01 00:00:00' })
  })

  test('sets bad rows aside, with what was wrong and nothing of a time', async () => {
    await day('2024-01-01', 1, 1, ['{"id":"x"}', '{"body":{}}', 'no json'])
    await run(converted(lab, { onBadRow: 'quarantine' }))
    const found = await query(lab.checkpoint, 'SELECT "column", expected FROM quarantine ORDER BY _row')
    expect(found.rows.map(row => row.column)).toEqual(['id', 'id', ''])
    expect(await lab.rows()).toHaveLength(1)
    expect((await verify(converted(lab, { onBadRow: 'quarantine' }))).differences).toEqual([])
  })

  test('is sealed by --final, which says so in the ledger; an empty source is not', async () => {
    const final = { final: true }
    expect((await run(converted(lab), final)).nothingToDo).toBe(true)
    await day('2024-01-01', 1, 5)
    await run(converted(lab), final)
    const { rows } = await query(lab.checkpoint, 'SELECT "is", watermark, flushed FROM ledger ORDER BY seq')
    expect(rows).toEqual([
      { is: 'object', watermark: null, flushed: null },
      { is: 'flush', watermark: null, flushed: '{}' },
    ])
    await day('2024-01-02', 6, 1)
    expect(await failure(run(converted(lab)))).toMatchObject({ code: 'sealed' })
    expect((await verify(converted(lab))).differences).toEqual([])
  })

  test('is looked at without any watermark: inspect, views, explain and doctor', async () => {
    await day('2024-01-01', 1, 5)
    const before = await examine(components, converted(lab), {})
    expect(before.filter(({ is }) => is !== 'ok')).toEqual([])
    expect(before.map(({ check }) => check)).not.toContain('watermark')
    await run(converted(lab))
    const found = await inspect(lab.checkpoint)
    expect(found).toMatchObject({ watermarks: {}, states: [], totals: { rows: 5 } })
    expect(renderInspection(found)).not.toContain('watermark')
    const counts = await query(
      lab.checkpoint,
      `SELECT (SELECT count(*) FROM ledger WHERE high_mark IS NULL AND watermark IS NULL) AS ledger,
        (SELECT count(*) FROM late) AS late, (SELECT count(*) FROM state) AS state, (SELECT count(*) FROM output) AS output`,
    )
    expect(counts.rows).toEqual([{ ledger: 1n, late: 0n, state: 0n, output: 4n }])
    const explained = await explain(converted(lab))
    expect(explained.flows[0]).toMatchObject({ state: null, stages: [{ stage: 'output' }] })
    expect(explained.flows[0]?.steps[0]).toMatchObject({ op: 'source', options: { name: 'raw' } })
    expect(explained.flows[0]?.steps[0]?.options).not.toHaveProperty('time')
  })

  test('follows its source, and what is measured has no watermark', async () => {
    await day('2024-01-01', 1, 5)
    let running: Running | undefined
    let measured: Measurement | undefined
    const drain = new AbortController()
    const events: string[] = []
    await followWith(components, converted(lab, { reconcile: '20ms', miniBatch: { every: '10ms' } }), {
      threads: 2,
      memory: '500MB',
      drain: drain.signal,
      onRunning: it => {
        running = it
      },
      onEvent: event => {
        events.push(event.is)
        if (event.is === 'epoch')
          void running?.measure().then(found => {
            measured = found
            drain.abort()
          })
      },
    })
    expect(measured).toMatchObject({
      sources: [{ source: 'raw', watermarkUs: null, highMarkUs: null }],
      states: [],
    })
    expect(events).not.toContain('no-watermark')
    expect(byId(await lab.rows())).toEqual(await expected())
  })
})

describe('what needs an event time', () => {
  const ended = to(files('out', { format: 'parquet' })) as never
  const steps: Readonly<Record<string, unknown>> = {
    tumbling: tumbling('1 hour'),
    hopping: hopping('1 hour', '5 minutes'),
    cumulative: cumulative('1 day', '1 hour'),
    calendar: calendar('day'),
    session: session('5 minutes'),
    global: global({ unbounded: true }),
    dedupe: dedupe('id' as never, '1 day'),
    deltas: deltas({ of: ['id'], per: ['id'], expireAfter: '1 day' } as never),
  }

  test.each(Object.entries(steps))('%s is refused, and told what to write', async (op, step) => {
    const flow = pipeline('refused', { checkpoint: lab.checkpoint }, raw().pipe(step as never, ended) as never)
    const error = await failure(run(flow))
    expect(error).toMatchObject({ kind: 'user', code: 'plan' })
    expect(error.message).toContain(
      `${op}: it goes by an event time, and source raw has none; ` +
        "name the column in the options of the source, such as time: 'at'.",
    )
  })

  test('--from and --to need a key that names a time, and no bounds, which such a source cannot have', async () => {
    const flow = pipeline(
      'timeless',
      { checkpoint: lab.checkpoint },
      source('raw', { objects: lab.input, format: json(), columns: { id: 'BIGINT' } }).pipe(ended),
    )
    expect((await failure(run(flow, { from: '2024-01-01' }))).message).toBe(
      'source raw: columns: ["id"] is not valid; expected one column FROM KEY that is a DATE or a TIMESTAMP, which ' +
        '--from and --to need.',
    )
  })

  test('a checkpoint refuses the same pipeline with an event time, naming what changed', async () => {
    await day('2024-01-01', 1, 5)
    await run(converted(lab))
    const timed = source('raw', { objects: lab.input, format: json(), columns, time: 'dt' }).pipe(
      where('id % 3 <> 0'),
      derive({ city: ['VARCHAR', "body->>'city'"] }),
      select('id', 'city', 'dt'),
      to(files(lab.output, { format: 'parquet' })),
    )
    const error = await failure(run(pipeline('converted', { checkpoint: lab.checkpoint }, timed)))
    expect(error.message).toContain("source raw time: was absent, is now 'dt'")
  })
})
