/**
 * The least and the greatest value of a type come through every step. What a file writes as a type though it means
 * nothing in it, such as numpy's NaT in a TIMESTAMP, is a bad row at stage 1: accepted, no later start could end (S17).
 */
import { join } from 'node:path'
import {
  type DuckDBAppender,
  DuckDBDateValue,
  DuckDBDecimalValue,
  DuckDBInstance,
  DuckDBTimestampMillisecondsValue,
  DuckDBTimestampNanosecondsValue,
  DuckDBTimestampTZValue,
  DuckDBTimestampValue,
  DuckDBTimeValue,
} from '@duckdb/node-api'
import { concatMap, tap, toArray } from 'rxjs'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import {
  aggregate,
  approxDistinct,
  argMax,
  collect,
  count,
  countDistinct,
  exactQuantile,
  files,
  first,
  groupBy,
  last,
  mapRows,
  max,
  min,
  pipeline,
  rows,
  to,
  topK,
  tumbling,
} from '../../src/index.ts'
import { failure, type Lab, openLab, quoted, run, sourceOf, windowed } from './harness.ts'

let lab: Lab
beforeEach(async () => {
  lab = await openLab()
})
afterEach(() => lab[Symbol.asyncDispose]())

const lowest = -(2n ** 63n)
const firstMicros = -9_223_372_022_400_000_000n

interface Extremes {
  readonly type: string
  append(to: DuckDBAppender, raw: bigint): void
  /** As they lie in a file. */
  readonly legal: readonly bigint[]
  readonly illegal: readonly bigint[]
  /** Other types that such a column may be declared as. */
  readonly others: readonly string[]
}

const extremes: readonly Extremes[] = [
  {
    type: 'TIMESTAMP',
    append: (appender, raw) => appender.appendTimestamp(new DuckDBTimestampValue(raw)),
    legal: [firstMicros, 2n ** 63n - 2n, lowest + 1n, 2n ** 63n - 1n, 0n],
    illegal: [lowest, lowest + 2n, firstMicros - 1n],
    others: ['TIMESTAMPTZ', 'DATE', 'VARCHAR'],
  },
  {
    type: 'TIMESTAMPTZ',
    append: (appender, raw) => appender.appendTimestampTZ(new DuckDBTimestampTZValue(raw)),
    legal: [firstMicros, 9_223_372_036_854_000_000n, lowest + 1n, 2n ** 63n - 1n, 0n],
    illegal: [lowest, lowest + 2n, firstMicros - 1n],
    others: ['TIMESTAMP', 'DATE', 'VARCHAR'],
  },
  {
    type: 'DATE',
    append: (appender, raw) => appender.appendDate(new DuckDBDateValue(Number(raw))),
    legal: [-(2n ** 31n) + 2n, 2n ** 31n - 2n, -(2n ** 31n) + 1n, 2n ** 31n - 1n, 0n],
    illegal: [-(2n ** 31n)],
    others: ['TIMESTAMP', 'TIMESTAMPTZ', 'VARCHAR'],
  },
  {
    type: 'DECIMAL(4,2)',
    append: (appender, raw) => appender.appendDecimal(new DuckDBDecimalValue(raw, 4, 2)),
    legal: [-9999n, 9999n, 0n],
    illegal: [-(2n ** 15n), 2n ** 15n - 1n, 10_000n, -10_000n],
    others: ['DOUBLE', 'VARCHAR', 'BIGINT', 'DECIMAL(18,4)'],
  },
  {
    type: 'DECIMAL(38,0)',
    append: (appender, raw) => appender.appendDecimal(new DuckDBDecimalValue(raw, 38, 0)),
    legal: [-(10n ** 38n) + 1n, 10n ** 38n - 1n, 0n],
    illegal: [-(2n ** 127n), 2n ** 127n - 1n, 10n ** 38n],
    others: ['DOUBLE', 'VARCHAR'],
  },
]

/** Writes an object of rows (t, u, l): noon, the value, and the value in a list. */
async function write(
  key: string,
  { type, append }: Extremes,
  values: readonly bigint[],
  nested = '[NULL, u]',
): Promise<void> {
  const instance = await DuckDBInstance.create(':memory:')
  const connection = await instance.connect()
  try {
    await connection.run(`SET TimeZone = 'UTC'`)
    await connection.run(`CREATE TABLE raw (u ${type})`)
    const appender = await connection.createAppender('raw')
    for (const value of values) {
      append(appender, value)
      appender.endRow()
    }
    appender.closeSync()
    await connection.run(
      `COPY (SELECT TIMESTAMP '2022-01-01 12:00:00' AS t, u, ${nested} AS l FROM raw ORDER BY rowid) ` +
        `TO ${quoted(join(lab.input, key))} (FORMAT parquet)`,
    )
  } finally {
    connection.closeSync()
    instance.closeSync()
  }
}

const everything = {
  n: count(),
  least: min('u' as never),
  most: max('u' as never),
  one: first('u' as never),
  other: last('u' as never),
  arg: argMax('u' as never, 'u' as never),
  all: collect('u' as never, { max: 10 }),
  top: topK('u' as never, 3),
  middle: exactQuantile('u' as never, 0.5),
  kinds: countDistinct('u' as never),
  about: approxDistinct('u' as never),
}

const quarantined = async () =>
  (await lab.channel('quarantine')).map(({ object, _row, column, found }) => ({ object, _row, column, found }))

describe.each(extremes)('$type', extreme => {
  const { type, legal, illegal, others } = extreme

  test.each(['parquet', 'json'] as const)(
    'the ends of the type come through state, keys and aggregates into %s',
    async format => {
      await write('1.parquet', extreme, legal)
      await write('2.parquet', extreme, legal)
      const source = sourceOf(lab, { columns: { t: 'TIMESTAMP', u: type, l: `${type}[]` } })
      const [whole, keyed] = [lab.place('whole'), lab.place('keyed')]
      const pipelineOf = pipeline(
        'extremes',
        { checkpoint: lab.checkpoint },
        source.pipe(tumbling('1 hour'), groupBy(), aggregate(everything), to(files(whole.output, { format }))),
        source.pipe(
          tumbling('1 hour'),
          groupBy('u' as never, 'l' as never),
          aggregate({ n: count() }),
          to(files(keyed.output, { format })),
        ),
      )
      await run(pipelineOf, { objectsPerEpoch: 1, flush: false })
      const summary = await run(pipelineOf, { final: true })
      expect(summary.totals).toMatchObject({ rows: 2 * legal.length, quarantinedRows: 0 })
      expect(await lab.rows(whole)).toMatchObject([{ n: String(2 * legal.length), kinds: String(legal.length) }])
      expect((await lab.rows(keyed)).map(({ n }) => n)).toEqual(legal.map(() => '2'))
      const [low, high] = [legal.reduce((a, b) => (a < b ? a : b)), legal.reduce((a, b) => (a > b ? a : b))]
      await write('expected.parquet', extreme, [low, high])
      const [lowText, highText] = (
        await lab.sql(`SELECT u FROM read_parquet(${quoted(join(lab.input, 'expected.parquet'))})`)
      ).map(({ u }) => u)
      expect((await lab.rows(whole)).map(({ least, most, arg }) => [least, most, arg].map(plain))).toEqual([
        [lowText, highText, highText].map(plain),
      ])
    },
  )

  test('a late row is recorded with its values', async () => {
    await lab.parquet('1.parquet', `SELECT TIMESTAMP '2022-01-03' AS t, NULL::${type} AS u, NULL::${type}[] AS l`)
    await write('2.parquet', extreme, legal)
    await run(windowed(lab, lab, { columns: { t: 'TIMESTAMP', u: type, l: `${type}[]` }, delay: '0s' }), {
      objectsPerEpoch: 1,
    })
    expect(await lab.channels('late-')).toHaveLength(legal.length)
  })

  test('what means nothing in the type is a bad row, alone and in a list, in any declared type', async () => {
    await write('1.parquet', extreme, [legal[0] as bigint, ...illegal, 0n])
    for (const declared of [type, ...others]) {
      const at = lab.place(declared.replaceAll(/\W/g, ''))
      const columns = { t: 'TIMESTAMP', u: declared, l: `${type}[]` }
      const aggregates = { n: count(), least: min('u'), list: first('l') }
      const summary = await run(windowed(lab, at, { columns, aggregates, onBadRow: 'quarantine' }))
      const aside = await lab.channel('quarantine', at)
      expect(summary.run.setAside, declared).toEqual([])
      for (const index of illegal.keys())
        expect(
          aside.filter(({ _row }) => _row === String(index + 1)).map(({ column }) => column),
          declared,
        ).toEqual(['l', 'u'])
      expect(await lab.rows(at), declared).toMatchObject([
        { n: String(summary.totals.rows - summary.totals.quarantinedRows) },
      ])
    }
  })

  test('as the only bad rows of a list they are named too, and onBadRow: fail names the first', async () => {
    await write('1.parquet', extreme, [0n, illegal[0] as bigint])
    const columns = { t: 'TIMESTAMP', l: `${type}[]` }
    await run(windowed(lab, lab, { columns, onBadRow: 'quarantine' }))
    expect(await quarantined()).toMatchObject([{ object: '1.parquet', _row: '1', column: 'l' }])
    const error = await failure(run(windowed(lab, lab.place('other'), { columns })))
    expect(error.message).toMatch(/object '1\.parquet', row 1, column 'l'/)
  })
})

/** Types that cannot be declared: their columns are read as text. */
const asText: readonly Extremes[] = [
  {
    type: 'TIME',
    append: (appender, raw) => appender.appendTime(new DuckDBTimeValue(raw)),
    legal: [0n, 86_400_000_000n],
    illegal: [lowest, 2n ** 63n - 1n, -1n, 10n ** 17n, 86_400_000_001n],
    others: ['VARCHAR'],
  },
  {
    type: 'TIMESTAMP_NS',
    append: (appender, raw) => appender.appendTimestampNanoseconds(new DuckDBTimestampNanosecondsValue(raw)),
    legal: [0n, 2n ** 63n - 1n],
    illegal: [lowest, lowest + 2n],
    others: ['VARCHAR', 'TIMESTAMP'],
  },
]

describe.each([...extremes, ...asText])('$type', extreme => {
  const { type, legal, illegal, others } = extreme

  test('one of them in a nested column that is read as JSON is one bad row, beside thousands of others', async () => {
    const at = 2_500n
    const values = Array.from({ length: 5_000 }, (_, row) => (BigInt(row) === at ? (illegal[0] as bigint) : 0n))
    await write('1.parquet', extreme, values, '[u]')
    await write('2.parquet', extreme, values, `{'deep': [{'of': u}], 'x': 1}`)
    await write('3.parquet', extreme, values, `MAP {'a': [u]}`)
    await run(windowed(lab, lab, { columns: { t: 'TIMESTAMP', l: 'JSON' }, onBadRow: 'quarantine' }))
    expect((await quarantined()).map(({ object, _row, column }) => `${object} ${_row} ${column}`).toSorted()).toEqual(
      [1, 2, 3].map(file => `${file}.parquet 2500 l`),
    )
    expect(await lab.rows()).toMatchObject([{ n: '14997' }])
  })

  test.skipIf(extremes.includes(extreme))('as text what means nothing is a bad row', async () => {
    await write('1.parquet', extreme, [...illegal, ...legal])
    for (const declared of others) {
      const at = lab.place(declared)
      await run(windowed(lab, at, { columns: { t: 'TIMESTAMP', u: declared }, keys: ['u'], onBadRow: 'quarantine' }))
      const aside = await lab.channel('quarantine', at)
      expect(
        aside.map(({ _row }) => Number(_row)).toSorted((a, b) => a - b),
        declared,
      ).toEqual([...illegal.keys()])
      expect(
        (await lab.rows(at)).map(({ n }) => n),
        declared,
      ).toEqual(legal.map(() => '1'))
    }
  })

  test('no expression meets them, whatever columns hold them and whatever is filtered', async () => {
    await write('1.parquet', extreme, [0n, illegal[0] as bigint, 0n, illegal.at(-1) as bigint])
    const columns = { t: 'TIMESTAMP', u: type === 'TIME' ? 'VARCHAR' : type.replace('_NS', ''), l: 'JSON' }
    const list = extremes.includes(extreme) ? { ...columns, l: `${type}[]` } : columns
    const uses = ['CAST(u AS VARCHAR) IS NOT NULL', 'CAST(l AS VARCHAR) IS NOT NULL']
    if (type.startsWith('TIMESTAMP') || type === 'DATE')
      uses.push("strftime(u, '%Y-%m') IS NOT NULL", 'u + INTERVAL 1 DAY IS NOT NULL')
    for (const [index, where] of uses.entries()) {
      const at = lab.place(`w${index}`)
      await run(windowed(lab, at, { columns: list, where, onBadRow: 'quarantine' }))
      expect(await lab.rows(at), where).toMatchObject([{ n: '2' }])
    }
  })
})

describe.each(extremes.filter(({ type }) => !type.startsWith('DECIMAL')))('$type as event time', extreme => {
  test('what no window holds is set aside by its row', async () => {
    await write('1.parquet', extreme, [...extreme.legal, ...extreme.illegal])
    const summary = await run(
      windowed(lab, lab, { columns: { u: extreme.type }, time: 'u', size: '1 day', onBadRow: 'quarantine' }),
    )
    expect(summary.run.setAside).toEqual([])
    expect(await lab.rows()).toMatchObject([{ window_start: expect.stringMatching(/^1970-01-01/), n: '1' }])
    expect((await quarantined()).map(({ _row }) => Number(_row)).toSorted((a, b) => a - b)).toEqual(
      [...extreme.legal, ...extreme.illegal].flatMap((value, row) => (value === 0n ? [] : [row])),
    )
  })
})

test('a column of milliseconds with such a value makes its object a bad one, which says so', async () => {
  const milliseconds: Extremes = {
    type: 'TIMESTAMP_MS',
    append: (appender, raw) => appender.appendTimestampMilliseconds(new DuckDBTimestampMillisecondsValue(raw)),
    legal: [],
    illegal: [],
    others: [],
  }
  await write('1.parquet', milliseconds, [0n, lowest])
  await write('2.parquet', milliseconds, [0n])
  const summary = await run(windowed(lab, lab, { columns: { t: 'TIMESTAMP', u: 'TIMESTAMP' }, onBadRow: 'quarantine' }))
  expect(summary.run.setAside).toEqual([
    { key: '1.parquet', reason: expect.stringMatching(/^a time in milliseconds is none that a TIMESTAMP holds/) },
  ])
  expect(await lab.rows()).toMatchObject([{ n: '1' }])
})

test.each(['DATE', 'DECIMAL(4,2)', 'DECIMAL(38,0)'])('%s: a function gives back what it was given', async type => {
  const extreme = extremes.find(found => found.type === type) as Extremes
  await write('1.parquet', extreme, extreme.legal)
  const columns = { t: 'TIMESTAMP', u: type }
  const steps = (head: ReturnType<typeof sourceOf>) =>
    head.pipe(mapRows(((row: never) => row) as never, columns as never)) as never
  await run(windowed(lab, lab, { columns, steps, aggregates: { n: count(), least: min('u'), most: max('u') } }))
  const plainOf = lab.place('plain')
  await run(windowed(lab, plainOf, { columns, aggregates: { n: count(), least: min('u'), most: max('u') } }))
  expect(await lab.rows()).toEqual(await lab.rows(plainOf))
})

test('rows() hands over the ends of a TIMESTAMP, as an invalid Date where no Date holds it', async () => {
  const [extreme] = extremes as [Extremes]
  await write('1.parquet', extreme, [0n, 2n ** 63n - 1n])
  const taken: unknown[] = []
  const source = sourceOf(lab, { columns: { t: 'TIMESTAMP', u: 'TIMESTAMP' } })
  await run(
    pipeline(
      'rows',
      { checkpoint: lab.checkpoint },
      source.pipe(
        tumbling('1 hour'),
        groupBy(),
        aggregate({ least: min('u' as never), most: max('u' as never) }),
        rows(),
        toArray(),
        concatMap(async all => all),
        tap(all => taken.push(...all)),
      ),
    ),
  )
  const [row] = taken as { least: Date; most: Date }[]
  expect(row?.least.getTime()).toBe(0)
  expect(row?.most.getTime()).toBeNaN()
})

/** JSON has times with a T and without a zone's offset, and numbers without zeros behind the point. */
function plain(value: string | null | undefined): string {
  const text = (value ?? '').replace(/\+00$/, '')
  return /^-?\d+(\.\d+)?$/.test(text) ? text.replace(/(\.\d*?)0+$/, '$1').replace(/\.$/, '') : text
}
