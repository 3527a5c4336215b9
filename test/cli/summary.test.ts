import { expect, test } from 'vitest'
import { hints } from '../../src/cli/commands/backfill.ts'
import { exitCodeOfSummary } from '../../src/cli/exit-code.ts'
import { renderInspection, renderSummary, summaryJson } from '../../src/cli/summary.ts'
import { overwritten } from '../../src/engine/read/marked-object.ts'
import type { Inspection, SetAside, Summary } from '../../src/engine/report/summary.ts'

const summary: Summary = {
  pipeline: 'revenue-by-zone',
  checkpoint: 'file:///data/check%20point',
  outputs: ['file:///data/out'],
  totals: {
    rows: 200_000,
    late: 18,
    applied: 0,
    objects: 5,
    quarantined: 1,
    skipped: 0,
    gone: 0,
    suspect: 0,
    quarantinedRows: 3,
    outsideBounds: 49,
    epochs: 4,
  },
  outputFiles: ['file:///data/out/a%20b.parquet', 's3://bucket/out/c.parquet'],
  run: {
    objects: 5,
    rows: 200_000,
    bytes: 2_979_018,
    epochs: 4,
    delivered: 3,
    seconds: 2.5,
    setAsideObjects: 1,
    setAside: [{ key: 'green_tripdata_2022-05.parquet', reason: 'no Parquet file: it ends without PAR1' }],
    ignored: 1,
    ignoredBy: { hidden: { count: 1, first: '_temporary/0/part-0.parquet' } },
    leftOut: 2,
    withoutPeriod: [],
    outsideBounds: 49,
    matched: 12,
    late: 3,
    quarantinedRows: 3,
    nullColumns: [],
    rescuedRows: 0,
    newColumns: [],
    goneFields: [],
    isReplay: false,
    lookups: [],
    drained: false,
  },
  undelivered: [],
  openWindows: 2,
  watermarks: { trips: '2022-01-31T22:59:00.000Z' },
  next:
    'The window 2024-01-31T23:00Z to 2024-02-01T00:00Z of flow-1 is open, and has rows of 3 groups. ' +
    'It closes when the watermark reaches 2024-02-01T00:00Z; it is at 2024-01-31T22:00Z.',
  untilTheEnd: [],
  farAhead: [{ flow: 'trips', windowStart: '2098-09-10T14:00:00Z', windowEnd: '2098-09-10T15:00:00Z', groups: 1 }],
  nothingToDo: false,
}

test('a run, for a person', () => {
  expect(renderSummary(summary, ['npx millrace inspect there', 'another'])).toMatchSnapshot()
})

test('each output has its own files; one without files says nothing of them', () => {
  const outputs = [
    'file:///data/out',
    's3://bucket/out/?region=eu',
    'file:///data/out/east',
    'db://table',
    'file:///data/out',
  ]
  const names = ['a%20b.parquet', 'zone=1/b.parquet', 'east/c.parquet', 'eastern.parquet']
  const outputFiles = [...names.map(name => `file:///data/out/${name}`), 's3://bucket/out/d.parquet']
  const lines = renderSummary({ ...summary, outputs, outputFiles }).split('\n')
  expect(lines.filter(line => line.startsWith('  output ')).map(line => line.slice(17))).toEqual([
    '/data/out (3 files in all)',
    's3://bucket/out/?region=eu (1 file in all)',
    '/data/out/east (1 file in all)',
    'db://table',
  ])
})

test('nothing to do, and a drained run, say so first', () => {
  const idle = {
    ...summary.run,
    objects: 0,
    rows: 0,
    bytes: 0,
    epochs: 0,
    seconds: 0,
    setAsideObjects: 0,
    setAside: [],
    ignored: 0,
    ignoredBy: {},
    leftOut: 0,
    outsideBounds: 0,
    matched: 12,
    late: 0,
    quarantinedRows: 0,
  }
  expect(
    renderSummary({ ...summary, run: idle, openWindows: 0, next: null, farAhead: [], nothingToDo: true }),
  ).toMatchSnapshot()
  expect(renderSummary({ ...summary, run: { ...summary.run, drained: true } })).toMatch(
    /^revenue-by-zone: stopped as asked before the end of the input; run it again to continue\.\n/,
  )
})

test('--json: names and order are a public format; file addresses become paths', () => {
  expect(JSON.stringify(summaryJson(summary), null, 2)).toMatchSnapshot()
  expect(summaryJson({ ...summary, run: { ...summary.run, seconds: 1.234_567_8 } }).seconds).toBe(1.235)
})

test('what was set aside and is not named is counted', () => {
  const text = renderSummary({ ...summary, run: { ...summary.run, setAsideObjects: 2_001 } })
  expect(text).toContain('and 2,000 others')
})

test('a run that could read none of its objects warns, and scripts see it by its exit code', () => {
  const [aside] = summary.run.setAside as [SetAside]
  const none = {
    ...summary,
    totals: { ...summary.totals, objects: 3, quarantined: 2, skipped: 1 },
    run: { ...summary.run, objects: 2, setAsideObjects: 2, setAside: [aside, aside] },
  }
  expect(renderSummary(none)).toContain(
    'Warning: no object of this run could be read (2: no Parquet file: it ends without PAR1). Correct the format',
  )
  expect([exitCodeOfSummary(none), summaryJson(none).noneRead]).toEqual([4, true])
  expect([exitCodeOfSummary(summary), summaryJson(summary).noneRead]).toEqual([0, false])
  // The next run has nothing to do, and there is still nothing; one that goes on where another was killed has results.
  const idle = { ...none, run: { ...none.run, objects: 0, setAsideObjects: 0, setAside: [] } }
  expect([exitCodeOfSummary(idle), summaryJson(idle).noneRead]).toEqual([4, false])
  const resumed = { ...none, totals: { ...none.totals, objects: 4 } }
  expect([exitCodeOfSummary(resumed), summaryJson(resumed).noneRead]).toEqual([0, true])
})

test('a run of which every row was bad says so in the same way', () => {
  const bad = {
    ...summary,
    totals: { ...summary.totals, rows: 9, quarantinedRows: 9 },
    run: { ...summary.run, rows: 9, quarantinedRows: 9 },
  }
  expect([exitCodeOfSummary(bad), summaryJson(bad).noneRead]).toEqual([4, true])
  expect(renderSummary(bad)).toContain('9 of 9 rows were set aside as bad rows')
  const mended = { ...bad, totals: { ...bad.totals, rows: 10 } }
  expect([exitCodeOfSummary(mended), summaryJson(mended).noneRead]).toEqual([0, true])
})

test('objects that were set aside for overwriting are not told to have wrong columns', () => {
  const setAside = ['a', 'b'].map(key => ({ key, reason: overwritten }))
  const text = renderSummary({ ...summary, run: { ...summary.run, objects: 2, setAsideObjects: 2, setAside } })
  expect(text).toContain(
    `(2: ${overwritten}). What was counted stays. To count these versions instead, run with a new checkpoint`,
  )
  expect(text).not.toContain('columns')
  const bad = { key: 'c.parquet', reason: "object 'c.parquet' is empty." }
  const mixed = renderSummary({
    ...summary,
    run: { ...summary.run, objects: 3, setAsideObjects: 3, setAside: [bad, ...setAside] },
  })
  expect(mixed).toContain(`(2: ${overwritten}; 1: object it is empty). Correct the format and columns`)
})

test('many late rows: the likely causes, and a new checkpoint for files out of order only', () => {
  const late = renderSummary({ ...summary, run: { ...summary.run, rows: 20 } })
  expect(late).toMatch(
    /Warning: more than a tenth .*watermark\.delay is too short.*overlap in time.*watermark\.bounds.*/,
  )
  expect(late).toMatch(/Where files of an earlier time were added after later ones, a new checkpoint/)
  expect(renderSummary(summary)).not.toContain('more than a tenth')
})

test('rows set aside are warned of from a tenth on, with the query that shows why', () => {
  const run = { ...summary.run, rows: 30, quarantinedRows: 4 }
  expect(renderSummary({ ...summary, run })).toMatch(
    /Warning: 4 of 30 rows were set aside as bad rows\. .*: npm run millrace -- sql '\/data\/check point' 'SELECT "column", .* FROM quarantine GROUP BY ALL ORDER BY n DESC'\n/,
  )
  expect(renderSummary({ ...summary, run: { ...run, quarantinedRows: 3 } })).not.toContain('as bad rows.')
})

test('a replay that was finished before says that the checkpoint holds the ledger', () => {
  const run = { ...summary.run, objects: 0, matched: 0, isReplay: true }
  expect(renderSummary({ ...summary, run, nothingToDo: true })).toMatch(
    /^revenue-by-zone: nothing to do, the checkpoint holds the whole ledger\.\n/,
  )
})

test('a column of JSON that was NULL throughout is named in a warning', () => {
  const nullColumns = [
    { source: 'trips', column: 'tip' },
    { source: 'trips', column: 'zone' },
  ]
  const found = { ...summary, run: { ...summary.run, nullColumns } }
  expect(renderSummary(found)).toContain(
    "Warning: columns 'tip', 'zone' of source trips: NULL in every row of this run.",
  )
  expect(summaryJson(found).nullColumns).toEqual(['tip', 'zone'])
})

test('rows with values that did not fit are counted', () => {
  const found = { ...summary, run: { ...summary.run, rescuedRows: 1_234 } }
  expect(renderSummary(found)).toContain('rescued        1,234 rows with values that did not fit: kept beside the row')
  expect(summaryJson(found).rescuedRows).toBe(1_234)
})

test('columns that are new, and fields that are gone, are named', () => {
  const newColumns = [{ source: 'trips', column: 'cbd_congestion_fee', object: 'trips_2025-01.parquet' }]
  const gone = { column: 'tip', last: 'a.json', since: 'b.json', objects: 1, rows: 3 }
  const found = { ...summary, run: { ...summary.run, newColumns, goneFields: [{ source: 'trips', ...gone }] } }
  expect(renderSummary(found)).toContain(
    "new columns    'cbd_congestion_fee' in 'trips_2025-01.parquet': not declared, and not there before",
  )
  expect(renderSummary(found)).toContain(
    "Warning: field 'tip' of source trips had values up to 'a.json', and 'b.json' has none in 3 rows: it is NULL there. Was it renamed?",
  )
  expect(summaryJson(found)).toMatchObject({
    newColumns: [{ column: 'cbd_congestion_fee', object: 'trips_2025-01.parquet' }],
    goneFields: [gone],
  })
})

test('a checkpoint, for a person', () => {
  const inspection: Inspection = {
    checkpoint: 'file:///data/checkpoint',
    checkpointId: '25fb8515-0000-4000-8000-000000000000',
    pipeline: 'revenue-by-zone',
    term: 2,
    epoch: 4,
    owner: 'host/4711',
    released: true,
    duckdb: 'v1.5.6',
    totals: summary.totals,
    watermarks: { trips: '2022-04-29T23:59:58.000000Z', other: null },
    states: [
      { name: '7b635880', rows: 1_200, bytes: 34_000, openWindows: 3 },
      { name: '7b635880-values', rows: 20, bytes: 900 },
    ],
    channels: [
      { name: 'state', files: 1, rows: 1, bytes: 812 },
      { name: 'ledger', files: 4, rows: 5, bytes: 12_345 },
    ],
    retried: 0,
    applyLate: 0,
    unpublished: 0,
    held: [{ flow: 'flow-1', rows: 4_321, bytes: 9_000, since: '2022-05-01T10:00:00.000Z' }],
    undelivered: [{ flow: 'flow-2', epochs: 1, rows: 1_234, bytes: 5_000 }],
    outputFiles: Array.from({ length: 12 }, (_, i) => `file:///data/out/${i}.parquet`),
    setAside: summary.run.setAside,
  }
  expect(renderInspection(inspection)).toMatchSnapshot()

  const { totals } = inspection
  expect(renderInspection({ ...inspection, totals: { ...totals, applied: 5 }, applyLate: 1 })).toMatch(
    /  late +18 \(row, window\) pairs: kept in the late ledger, 5 of them applied since, the rest not counted\n[^]*  to apply +late rows, as apply-late asked, by the next run\n/,
  )
  expect(renderInspection({ ...inspection, totals: { ...totals, applied: 18 } })).toContain(
    'kept in the late ledger, and applied since',
  )

  const empty = { name: '7b635880-values', rows: 0, bytes: 900, openWindows: 0 }
  const [main] = inspection.states
  const withStates = (...states: Inspection['states']) => renderInspection({ ...inspection, states })
  const nothing = withStates(empty, empty)
  expect(nothing).toMatch(/  open state +none\n  output /)
  expect(nothing).not.toContain('-values')
  expect(withStates(main as never, empty, empty)).toMatch(
    /  open state +7b635880: 3 windows, 1,200 rows, 34.0 kB\n +2 other tables without open rows\n  output /,
  )
})

test('what to try next shows rows of the output, of the flow that has written where there are several', () => {
  const checkpoint = "'/data/check point'"
  const files = ['file:///data/out/part-00000004-flow-2.parquet']
  const inspect = `npm run millrace -- inspect ${checkpoint}`
  expect(hints({ ...summary, outputFiles: files })).toEqual([
    `npm run millrace -- sql ${checkpoint} 'FROM output LIMIT 10'`,
    inspect,
  ])
  expect(hints({ ...summary, outputFiles: files, outputs: ['a', 'b'] })).toEqual([
    `npm run millrace -- sql ${checkpoint} 'FROM output_flow_2 LIMIT 10'`,
    inspect,
  ])
  expect(hints({ ...summary, outputFiles: [] })).toEqual([inspect])
})
