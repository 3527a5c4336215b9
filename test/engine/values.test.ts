import { readFile, utimes } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import {
  aggregate,
  avg,
  collect,
  count,
  files,
  groupBy,
  max,
  min,
  pipeline,
  query,
  sum,
  to,
  topK,
  tumbling,
} from '../../src/index.ts'
import {
  failure,
  type Lab,
  name,
  openLab,
  outputFiles,
  outputHashes,
  quoted,
  run,
  sourceOf,
  type TextRow,
  windowed,
  type WindowedFlow,
} from './harness.ts'

let lab: Lab
beforeEach(async () => {
  lab = await openLab()
})
afterEach(() => lab[Symbol.asyncDispose]())

const noon = `TIMESTAMP '2022-01-01 12:00:00'`

/** Objects in order, each a query. */
async function write(...queries: readonly string[]): Promise<void> {
  for (const [index, query] of queries.entries()) await lab.parquet(`${index}.parquet`, query)
}

/** A row of literals at noon for each. */
const rowsOf = (type: string, ...values: readonly string[]) =>
  values.map(value => `SELECT ${noon} AS t, CAST(${value} AS ${type}) AS v`).join(' UNION ALL ')

/** One object an epoch and no flush, then a second run whose flush closes all: state goes through a segment. */
async function throughSegment(flow: WindowedFlow): Promise<TextRow[]> {
  await run(windowed(lab, lab, flow), { objectsPerEpoch: 1, flush: false })
  expect(await outputFiles(lab.output)).toEqual([])
  expect(await lab.channels('segment-')).not.toEqual([])
  await run(windowed(lab, lab, flow))
  return lab.rows()
}

/** Under each cut: all in one epoch, and one object an epoch over two processes. */
async function underCuts(flow: WindowedFlow): Promise<TextRow[]> {
  const [whole, single] = [lab.place('whole'), lab.place('single')]
  await run(windowed(lab, whole, flow), { objectsPerEpoch: 100 })
  await run(windowed(lab, single, flow), { objectsPerEpoch: 1, flush: false })
  await run(windowed(lab, single, flow))
  const rows = await lab.rows(whole)
  expect(await lab.rows(single)).toEqual(rows)
  return rows
}

const extremes: readonly (readonly [type: string, low: string, high: string])[] = [
  ['BOOLEAN', 'false', 'true'],
  ['TINYINT', '-128', '127'],
  ['SMALLINT', '-32768', '32767'],
  ['INTEGER', '-2147483648', '2147483647'],
  ['BIGINT', '-9223372036854775808', '9223372036854775807'],
  ['UBIGINT', '0', '18446744073709551615'],
  ['FLOAT', `'-3.4028235e38'`, `'1.17549435e-38'`],
  ['DOUBLE', `'-1.7976931348623157e308'`, `'5e-324'`],
  ['DECIMAL(4,1)', '-999.9', '999.9'],
  ['DECIMAL(18,2)', '-9999999999999999.99', '9999999999999999.99'],
  ['DECIMAL(38,2)', `'-${'9'.repeat(36)}.99'`, `'${'9'.repeat(36)}.99'`],
  ['DECIMAL(38,38)', `'-0.${'9'.repeat(38)}'`, `'0.${'9'.repeat(38)}'`],
  ['VARCHAR', `''`, `'zß漢😀'`],
  ['UUID', `'00000000-0000-0000-0000-000000000000'`, `'ffffffff-ffff-ffff-ffff-ffffffffffff'`],
  ['BLOB', `'\\x00'`, `'\\xFF\\x00'`],
  ['DATE', `'1582-10-15'`, `'2098-12-31'`],
  ['TIMESTAMP', `'1969-12-31 23:59:59.999999'`, `'2098-01-01 00:00:00.000001'`],
  ['TIMESTAMPTZ', `'1969-12-31 23:59:59.999999+00'`, `'2098-01-01 00:00:00.000001+00'`],
  ['JSON', `'"a"'`, `'{"b":[1,null]}'`],
  ['BIGINT[]', '[-1, NULL]', '[9223372036854775807]'],
  ['VARCHAR[]', `['']`, `['a', NULL, '"']`],
  ['DOUBLE[]', `[-1.5]`, `['nan'::DOUBLE, NULL]`],
  ['DATE[]', `['1969-12-31']`, `['2022-01-01', NULL]`],
]

describe('min and max', () => {
  /** Columns v0, v1, ..., one for each type; a row of all lows, of all highs, or of NULLs. */
  const columns = Object.fromEntries(extremes.map(([type], index) => [`v${index}`, type]))
  const all = (of: (extreme: (typeof extremes)[number]) => string) =>
    `SELECT ${noon} AS t, ${extremes.map((extreme, index) => `CAST(${of(extreme)} AS ${extreme[0]}) AS v${index}`).join(', ')}`
  const [low, high, none] = [all(([, value]) => value), all(([, , value]) => value), all(() => 'NULL')]

  test('of every declarable type survive a segment and a restart bit for bit, with their types', async () => {
    await write(`${low} UNION ALL ${none}`, high, none)
    const of = (extreme: typeof min | typeof max, prefix: string) =>
      Object.fromEntries(Object.keys(columns).map(column => [`${prefix}${column}`, extreme(column)]))
    const rows = await throughSegment({
      columns: { t: 'TIMESTAMP', ...columns },
      aggregates: { n: count(), ...of(min, 'min_'), ...of(max, 'max_') },
    })
    const [[lows], [highs]] = [await lab.sql(low), await lab.sql(high)]
    expect(rows).toHaveLength(1)
    expect(rows[0]).toMatchObject({ n: '4' })
    const [file] = await outputFiles(lab.output)
    const described = await lab.sql(`DESCRIBE FROM read_parquet(${quoted(`${lab.output}/${file}`)})`)
    const types = Object.fromEntries(described.map(({ column_name, column_type }) => [column_name, column_type]))
    const declared = Object.fromEntries(
      (await lab.sql(`DESCRIBE ${low}`)).map(row => [row.column_name, row.column_type]),
    )
    for (const column of Object.keys(columns))
      expect(
        [rows[0]?.[`min_${column}`], rows[0]?.[`max_${column}`], types[`min_${column}`], types[`max_${column}`]],
        columns[column],
      ).toEqual([lows?.[column], highs?.[column], declared[column], declared[column]])
  })

  test('of every declarable type: as a key each value and NULL is a group of its own (S22)', async () => {
    // One flow for each type: their scan is shared, their state and output are their own.
    await write(`${high} UNION ALL ${none} UNION ALL ${low}`, `${none} UNION ALL ${high}`, high)
    const head = sourceOf(lab, { columns: { t: 'TIMESTAMP', ...columns } })
    const flows = Object.keys(columns).map(column =>
      head.pipe(
        tumbling('1 hour'),
        groupBy(column as 't'),
        aggregate({ n: count() }),
        to(files(lab.place(column).output, { format: 'parquet' })),
      ),
    )
    const pipelineOf = pipeline('keys', { checkpoint: lab.checkpoint }, ...flows)
    await run(pipelineOf, { objectsPerEpoch: 1, flush: false })
    await run(pipelineOf)
    const [[lows], [highs]] = [await lab.sql(low), await lab.sql(high)]
    for (const [column, type] of Object.entries(columns))
      expect(
        (await lab.rows(lab.place(column))).map(row => [row[column], row.n]),
        type,
      ).toEqual([
        [lows?.[column], '1'],
        [highs?.[column], '3'],
        [null, '2'],
      ])
  })

  test.each(['DOUBLE', 'FLOAT'])('%s: NaN is the largest value and -0.0 is 0.0, in any order (S19)', async type => {
    await write(
      rowsOf(type, `'-0.0'`, `'nan'`),
      rowsOf(type, `'inf'`, 'NULL'),
      rowsOf(type, '0', `'-inf'`),
      `SELECT ${noon} + INTERVAL 1 HOUR AS t, CAST('-0.0' AS ${type}) AS v`,
      `SELECT ${noon} + INTERVAL 2 HOUR AS t, CAST('-nan' AS ${type}) AS v`,
    )
    const rows = await underCuts({
      columns: { t: 'TIMESTAMP', v: type },
      aggregates: { low: min('v'), high: max('v') },
    })
    expect(rows.map(({ low, high }) => [low, high])).toEqual([
      ['-inf', 'nan'],
      ['0.0', '0.0'],
      ['nan', 'nan'],
    ])
  })

  test('of no value but NULL is NULL, and so is the sum (S22)', async () => {
    await write(rowsOf('BIGINT', 'NULL', 'NULL'), rowsOf('BIGINT', 'NULL'))
    const rows = await underCuts({
      columns: { t: 'TIMESTAMP', v: 'BIGINT' },
      aggregates: { n: count(), low: min('v'), high: max('v'), total: sum('v') },
    })
    expect(rows).toMatchObject([{ n: '3', low: null, high: null, total: null }])
  })
})

describe('keys', () => {
  test.each(['DOUBLE', 'FLOAT'])(
    '%s: every NaN is one group, -0.0 and 0.0 are one and shown as 0.0 (S19)',
    async type => {
      await write(
        rowsOf(type, `'-0.0'`, `'nan'`, '1.5'),
        rowsOf(type, '0.0', `'-nan'`, 'NULL'),
        rowsOf(type, `'-0.0'`, `'nan'`, `'-inf'`),
      )
      const rows = await underCuts({ columns: { t: 'TIMESTAMP', v: type }, keys: ['v'] })
      expect(rows.map(({ v, n }) => [v, n])).toEqual([
        ['-inf', '1'],
        ['0.0', '3'],
        ['1.5', '1'],
        ['nan', '3'],
        [null, '1'],
      ])
    },
  )

  test('NULL, an empty text and the text NULL are three groups; sorted NULL last (S14, S22)', async () => {
    await write(rowsOf('VARCHAR', `'NULL'`, `''`, 'NULL'), rowsOf('VARCHAR', 'NULL', `''`))
    const rows = await underCuts({ columns: { t: 'TIMESTAMP', v: 'VARCHAR' }, keys: ['v'] })
    expect(rows.map(({ v, n }) => [v, n])).toEqual([
      ['', '2'],
      ['NULL', '1'],
      [null, '2'],
    ])
  })

  test('without keys the whole window is one row', async () => {
    await write(rowsOf('BIGINT', '1', '2'), rowsOf('BIGINT', '3'))
    const rows = await underCuts({ columns: { t: 'TIMESTAMP', v: 'BIGINT' }, aggregates: { total: sum('v') } })
    expect(rows).toEqual([{ window_start: '2022-01-01 12:00:00', window_end: '2022-01-01 13:00:00', total: '6' }])
  })

  // Words of SQL, names that millrace's own tables and channels use, and names that only quoting saves.
  const names = [
    'order',
    'select',
    'key',
    'seq',
    'rows',
    'count',
    'object',
    'column',
    'epoch',
    'watermark',
    'json',
    'ok',
    'bad',
    'inside',
    'rowid',
    'with space',
    `it's`,
    'a"b',
    'größe',
    '漢',
    'window',
    'x.y',
  ]
  test.each(['parquet', 'json'] as const)(
    'columns of any name are keys and values in %s, late rows included',
    async format => {
      const values = names.map((column, index) => `${index} AS ${name(column)}`).join(', ')
      const line = (t: string) =>
        JSON.stringify({ t, ...Object.fromEntries(names.map((column, index) => [column, index])) })
      for (const [index, t] of ['2022-01-01 12:00:00', '2022-01-01 15:00:00', '2022-01-01 12:30:00'].entries())
        if (format === 'json') await lab.lines(`${index}.jsonl`, [line(t), '{"t":"2022-01-01","order":"x"}'])
        else await lab.parquet(`${index}.parquet`, `SELECT TIMESTAMP '${t}' AS t, ${values}`)
      const flow: WindowedFlow = {
        columns: { t: 'TIMESTAMP', ...Object.fromEntries(names.map(column => [column, 'INTEGER'])) },
        format,
        onBadRow: 'quarantine',
        delay: '0s',
        keys: names,
        aggregates: { n: count(), 'a"b (sum)': sum('a"b'), größte: max('größe') },
      }
      await run(windowed(lab, lab, flow), { objectsPerEpoch: 1 })
      const expected = Object.fromEntries(names.map((column, index) => [column, `${index}`]))
      expect(await lab.rows()).toEqual(
        ['12', '15'].map(hour => ({
          window_start: `2022-01-01 ${hour}:00:00`,
          window_end: `2022-01-01 ${Number(hour) + 1}:00:00`,
          ...expected,
          n: '1',
          'a"b (sum)': `${names.indexOf('a"b')}`,
          größte: `${names.indexOf('größe')}`,
        })),
      )
      const [late] = await lab.channels('late-')
      expect(late).toMatchObject({ _row: '0', order: '0', 漢: `${names.indexOf('漢')}` })
      expect(await lab.channel('quarantine')).toHaveLength(format === 'json' ? 3 : 0)
    },
  )

  test('a key named as an accumulator is, n.count beside n: count(), is a key like any other', async () => {
    await write(
      ...[7, 8].map(value => `SELECT ${noon} AS t, ${value} AS "n.count", 1 AS "N.SUM", 2::DECIMAL(38,2) AS v`),
    )
    const rows = await throughSegment({
      columns: { t: 'TIMESTAMP', 'n.count': 'INTEGER', 'N.SUM': 'INTEGER', v: 'DECIMAL(38,2)' },
      keys: ['n.count', 'N.SUM'],
      aggregates: { n: count(), total: sum('v') },
    })
    expect(rows.map(row => [row['n.count'], row['N.SUM'], row.n, row.total])).toEqual([
      ['7', '1', '1', '2.00'],
      ['8', '1', '1', '2.00'],
    ])
  })
})

describe('sums', () => {
  const cases = [
    ['TINYINT', ['127', '127', '-128'], '126'],
    ['SMALLINT', ['32767', '32767', 'NULL'], '65534'],
    ['INTEGER', ['2147483647', '2147483647', '1'], '4294967295'],
    ['BIGINT', ['9223372036854775807', '9223372036854775807', '1'], '18446744073709551615'],
    ['UBIGINT', ['18446744073709551615', '18446744073709551615', '0'], '36893488147419103230'],
    ['DECIMAL(1,0)', ['9', '9', '9'], '27'],
    ['DECIMAL(18,2)', ['9999999999999999.99', '9999999999999999.99', '-0.01'], '19999999999999999.97'],
    ['DECIMAL(18,18)', ['0.999999999999999999', '0.000000000000000001', '-0.5'], '0.500000000000000000'],
    ['DECIMAL(19,2)', ['-0.05', '99999999999999999.99', '0.01'], '99999999999999999.95'],
    ['DECIMAL(38,2)', [`'${'9'.repeat(36)}.99'`, '-0.01', `'-${'9'.repeat(36)}.90'`], '0.08'],
    ['DECIMAL(38,0)', [`'${'9'.repeat(38)}'`, `-1`, `'-${'9'.repeat(37)}'`], `8${'9'.repeat(36)}9`],
    [
      'DECIMAL(38,20)',
      ['0.00000000000000000001', '123456789012345678.00000000000000000001', '-1'],
      '123456789012345677.00000000000000000002',
    ],
    ['DECIMAL(38,37)', [`'-0.${'9'.repeat(37)}'`, `'9.${'9'.repeat(37)}'`, 'NULL'], `9.${'0'.repeat(37)}`],
    ['DECIMAL(38,38)', [`'-0.${'9'.repeat(38)}'`, `'0.${'9'.repeat(37)}1'`, `'0.5'`], `.4${'9'.repeat(36)}2`],
  ] as const

  test('of every type are exact, wide, and the same for any cut (S21)', async () => {
    for (const object of [0, 1, 2])
      await lab.parquet(
        `${object}.parquet`,
        `SELECT ${noon} AS t, ${cases.map(([type, values], index) => `CAST(${values[object]} AS ${type}) AS v${index}`).join(', ')}`,
      )
    const [row, ...more] = await underCuts({
      columns: { t: 'TIMESTAMP', ...Object.fromEntries(cases.map(([type], index) => [`v${index}`, type])) },
      aggregates: Object.fromEntries(cases.map((_, index) => [`sum_${index}`, sum(`v${index}`)])),
    })
    expect(more).toEqual([])
    expect(cases.map(([type], index) => `${type}: ${row?.[`sum_${index}`]}`)).toEqual(
      cases.map(([type, , total]) => `${type}: ${total}`),
    )
  })

  const nines = `'${'9'.repeat(36)}.99'`
  test('a sum that leaves 38 digits on its way and comes back is exact, whatever the cut (S21, I11)', async () => {
    // 3 * (10^36 - 0.01) - 3 * (10^36 - 0.01) + 0.05
    await write(
      rowsOf('DECIMAL(38,2)', nines, nines),
      rowsOf('DECIMAL(38,2)', nines),
      rowsOf('DECIMAL(38,2)', `'-${'9'.repeat(36)}.99'`, `'-${'9'.repeat(36)}.99'`),
      rowsOf('DECIMAL(38,2)', `'-${'9'.repeat(36)}.99'`, '0.05'),
    )
    const rows = await underCuts({ columns: { t: 'TIMESTAMP', v: 'DECIMAL(38,2)' }, aggregates: { total: sum('v') } })
    expect(rows.map(row => row.total)).toEqual(['0.05'])
  })

  test.each([1, 2, 100])(
    'a sum that passes 38 digits is an error that names the window and the group, %i objects an epoch; nothing shows (S21)',
    async objectsPerEpoch => {
      await write(
        `SELECT TIMESTAMP '2022-01-01 03:00:00' AS t, 'fits' AS k, CAST(${nines} AS DECIMAL(38,2)) AS v`,
        `SELECT TIMESTAMP '2022-01-01 03:30:00' AS t, 'breaks' AS k, CAST(${nines} AS DECIMAL(38,2)) AS v`,
        `SELECT TIMESTAMP '2022-01-01 03:40:00' AS t, 'breaks' AS k, CAST(0.01 AS DECIMAL(38,2)) AS v`,
      )
      const flow: WindowedFlow = {
        columns: { t: 'TIMESTAMP', k: 'VARCHAR', v: 'DECIMAL(38,2)' },
        keys: ['k'],
        aggregates: { total: sum('v') },
      }
      const error = await failure(run(windowed(lab, lab, flow), { objectsPerEpoch }))
      expect(error.message).toContain("sum('v')")
      expect(error.message).toContain('2022-01-01 03:00:00, breaks')
      expect(await outputFiles(lab.output)).toEqual([])
    },
  )

  test('of DOUBLE are the correctly rounded exact sum, and so are averages, whatever the cut (S20)', async () => {
    // Usual values, cancellation, what fits no usual bin, subnormals: DuckDB's own sum gives 0 or 2 here, by the order.
    await write(
      rowsOf('DOUBLE', '0.1', '1e300', '5e-324'),
      rowsOf('DOUBLE', '0.2', '-1e300', 'NULL'),
      rowsOf('DOUBLE', '0.3', '1e16', '1'),
      rowsOf('DOUBLE', '-1e16', '1e-200'),
    )
    const rows = await underCuts({
      columns: { t: 'TIMESTAMP', v: 'DOUBLE' },
      aggregates: { total: sum('v'), mean: avg('v') },
    })
    // 0.1 + 0.2 + 0.3 as doubles are 0.6000000000000000055 and a bit; with the 1 and the tiny ones, rounded once.
    expect(rows.map(({ total, mean }) => [total, mean])).toEqual([['1.6', '0.16']])
  })

  test('of DOUBLE with NaN or infinities are those, and of no value NULL (S20, S22)', async () => {
    const cases: readonly (readonly [string, string | null])[] = [
      [`'nan'`, 'nan'],
      [`'inf'`, 'inf'],
      [`'-inf'`, '-inf'],
      ['NULL', null],
    ]
    for (const [index, [value]] of cases.entries())
      await lab.parquet(
        `${index}.parquet`,
        `SELECT TIMESTAMP '2022-01-01' + ${index} * INTERVAL 1 HOUR AS t, CAST(${value} AS DOUBLE) AS v UNION ALL ` +
          `SELECT TIMESTAMP '2022-01-01' + ${index} * INTERVAL 1 HOUR, CAST(${value === 'NULL' ? 'NULL' : '1.5'} AS DOUBLE)`,
      )
    const rows = await underCuts({
      columns: { t: 'TIMESTAMP', v: 'DOUBLE' },
      aggregates: { total: sum('v'), mean: avg('v') },
    })
    expect(rows.map(({ total }) => total)).toEqual(cases.map(([, expected]) => expected))
    expect(rows.map(({ mean }) => mean)).toEqual(cases.map(([, expected]) => expected))
  })

  test.each(['bin', 'units', '_bin'.slice(1), 'misfits', 'bin0', 'count', 'x', 'm', 's2'])(
    'of DOUBLE by a key named %s are right for values that need the side table (S20)',
    async key => {
      await lab.parquet('a.parquet', `SELECT ${noon} AS t, 7 AS "${key}", 1e10::DOUBLE AS v FROM range(2)`)
      await lab.parquet('b.parquet', `SELECT ${noon} AS t, 8 AS "${key}", 5e11::DOUBLE AS v`)
      const rows = await underCuts({
        columns: { t: 'TIMESTAMP', [key]: 'INTEGER', v: 'DOUBLE' },
        keys: [key],
        aggregates: { total: sum('v'), mean: avg('v') },
      })
      expect(rows.map(row => [row[key], row.total, row.mean])).toEqual([
        ['7', '20000000000.0', '10000000000.0'],
        ['8', '500000000000.0', '500000000000.0'],
      ])
    },
  )

  test('averages of integers and DECIMAL are the exact sum over the count, rounded once (S20, S21)', async () => {
    await write(
      rowsOf('DECIMAL(18,2)', '0.10', '0.20', '99999999999999.99'),
      rowsOf('DECIMAL(18,2)', '-99999999999999.99', 'NULL', '0.01'),
    )
    const [row] = await underCuts({
      columns: { t: 'TIMESTAMP', v: 'DECIMAL(18,2)' },
      aggregates: { mean: avg('v') },
    })
    expect(row?.mean).toBe(String(0.31 / 5))
  })

  test.each(['VARCHAR', 'BOOLEAN', 'TIMESTAMP', 'BIGINT[]'])('a sum of %s is refused', async type => {
    await write(rowsOf(type, 'NULL'))
    const flow: WindowedFlow = { columns: { t: 'TIMESTAMP', v: type }, aggregates: { total: sum('v') } }
    expect((await failure(run(windowed(lab, lab, flow)))).message).toMatch(/sum\('v'\).*expected a number/)
  })
})

describe('event time', () => {
  const timesOf = (type: string, ...times: readonly string[]) =>
    times.map(time => `SELECT CAST('${time}' AS ${type}) AS t`).join(' UNION ALL ')

  test('windows before 1970 begin and end on their borders, by floor (S9)', async () => {
    await write(
      timesOf('TIMESTAMP', '1969-12-31 23:00:00', '1969-12-31 23:59:59.999999', '1970-01-01 00:00:00'),
      timesOf('TIMESTAMP', '1969-12-31 22:59:59.999999', '1968-02-29 12:30:00'),
    )
    const rows = await underCuts({ columns: { t: 'TIMESTAMP' } })
    expect(rows.map(({ window_start, n }) => [window_start, n])).toEqual([
      ['1968-02-29 12:00:00', '1'],
      ['1969-12-31 22:00:00', '1'],
      ['1969-12-31 23:00:00', '2'],
      ['1970-01-01 00:00:00', '1'],
    ])
  })

  test('a DATE has day windows of type DATE, aligned to 1970-01-01 (S9, S19)', async () => {
    await write(
      timesOf('DATE', '1969-12-31', '1969-12-25', '1970-01-01', '1970-01-07'),
      timesOf('DATE', '1970-01-08', '1969-12-24'),
    )
    const rows = await underCuts({ columns: { t: 'DATE' }, size: '7 days' })
    expect(rows).toEqual([
      { window_start: '1969-12-18', window_end: '1969-12-25', n: '1' },
      { window_start: '1969-12-25', window_end: '1970-01-01', n: '2' },
      { window_start: '1970-01-01', window_end: '1970-01-08', n: '2' },
      { window_start: '1970-01-08', window_end: '1970-01-15', n: '1' },
    ])
    const [file] = await outputFiles(lab.place('whole').output)
    expect(
      (await lab.sql(`DESCRIBE FROM read_parquet(${quoted(`${lab.place('whole').output}/${file}`)})`)).map(
        ({ column_type }) => column_type,
      ),
    ).toEqual(['DATE', 'DATE', 'BIGINT'])
  })

  test.each([
    ['tumbling', { size: '36 hours' }],
    ['hopping', { size: '2 days', every: '36 hours' }],
  ])('windows of a DATE that are no whole days are refused: %s (S19)', async (_, sizes) => {
    await write(timesOf('DATE', '1970-01-01'))
    const error = await failure(run(windowed(lab, lab, { columns: { t: 'DATE' }, ...sizes })))
    expect(error).toMatchObject({ kind: 'user' })
    expect(error.message).toContain('whole days')
  })

  test('a TIMESTAMPTZ has windows of its own type, in UTC (S19)', async () => {
    await write(timesOf('TIMESTAMPTZ', '2022-01-01 00:30:00+05:30', '2022-01-01 00:30:00-01:00'))
    const rows = await underCuts({ columns: { t: 'TIMESTAMPTZ' }, size: '1 day' })
    expect(rows.map(({ window_start, n }) => [window_start, n])).toEqual([
      ['2021-12-31 00:00:00+00', '1'],
      ['2022-01-01 00:00:00+00', '1'],
    ])
  })

  test('hopping windows whose size is no multiple of their distance hold each row in each of their windows (S9)', async () => {
    //  size 25 min, every 10 min: starts ..., 11:40, 11:50, 12:00, 12:10, ...
    //  12:04 lies in 11:40, 11:50 and 12:00; 12:05 in 11:50 and 12:00 alone, as 11:40 ends at 12:05.
    await write(
      timesOf('TIMESTAMP', '2022-01-01 12:04:00'),
      timesOf('TIMESTAMP', '2022-01-01 12:05:00', '2022-01-01 12:10:00'),
    )
    const rows = await underCuts({ columns: { t: 'TIMESTAMP' }, size: '25 minutes', every: '10 minutes' })
    expect(rows.map(({ window_start, window_end, n }) => [window_start?.slice(11), window_end?.slice(11), n])).toEqual([
      ['11:40:00', '12:05:00', '1'],
      ['11:50:00', '12:15:00', '3'],
      ['12:00:00', '12:25:00', '3'],
      ['12:10:00', '12:35:00', '1'],
    ])
  })

  test('a row whose window ends at the watermark is late, one microsecond before it is not (S8)', async () => {
    for (const [mark, late] of [
      ['12:59:59.999999', 0],
      ['13:00:00', 1],
    ] as const) {
      await write(timesOf('TIMESTAMP', `2022-01-01 ${mark}`), timesOf('TIMESTAMP', '2022-01-01 12:30:00'))
      const at = lab.place(`late-${late}`)
      const { totals } = await run(windowed(lab, at, { columns: { t: 'TIMESTAMP' }, delay: '0s' }))
      expect(totals.late, mark).toBe(late)
      expect(await lab.channels('late-', at)).toHaveLength(late)
    }
  })

  test('a row that is late for one hopping window and early for the next counts in the next alone, also within an epoch (S8, S9)', async () => {
    //  size 1 h, every 20 min, delay 0: W after 13:00 is 13:00. 12:50 is late for [12:00,13:00) and counts in
    //  [12:20,13:20) and [12:40,13:40). In one epoch all three windows are still to be emitted.
    await write(
      timesOf('TIMESTAMP', '2022-01-01 13:00:00'),
      timesOf('TIMESTAMP', '2022-01-01 12:50:00'),
      timesOf('TIMESTAMP', '2022-01-01 14:00:00'),
    )
    const flow: WindowedFlow = { columns: { t: 'TIMESTAMP' }, delay: '0s', size: '1 hour', every: '20 minutes' }
    const rows = await underCuts(flow)
    expect(rows.map(({ window_start, n }) => [window_start?.slice(11, 16), n])).toEqual([
      ['12:20', '2'],
      ['12:40', '2'],
      ['13:00', '1'],
      ['13:20', '1'],
      ['13:40', '1'],
      ['14:00', '1'],
    ])
    for (const at of ['whole', 'single'])
      expect((await lab.channels('late-', lab.place(at))).map(row => [row._seq, row._window_end])).toEqual([
        ['2', `${Date.parse('2022-01-01T13:00:00Z')}000`],
      ])
  })

  test('with lastModifiedSkew a time that far after the version was written marks, a later one does not (S3)', async () => {
    const written = new Date('2022-01-01T12:00:00Z')
    await write(
      timesOf('TIMESTAMP', '2022-01-01 13:00:00', '2022-01-01 13:00:00.000001', '2098-01-01'),
      timesOf('TIMESTAMP', '2022-01-01 16:00:00'),
    )
    for (const file of ['0.parquet', '1.parquet']) await utimes(join(lab.input, file), written, written)
    const summary = await run(
      windowed(lab, lab, { columns: { t: 'TIMESTAMP' }, delay: '0s', bounds: { lastModifiedSkew: '1 hour' } }),
      { flush: false },
    )
    expect(summary.totals).toMatchObject({ rows: 4, outsideBounds: 3, late: 0 })
    expect(
      (await lab.channel('ledger')).map(({ high_mark_us, outside_bounds }) => [high_mark_us, outside_bounds]),
    ).toEqual([
      [`${Date.parse('2022-01-01T13:00:00Z')}000`, '2'],
      [null, '1'],
    ])
  })

  test('NULL and infinite times are quarantined rows, whatever onBadRow says; the rest counts (S2)', async () => {
    await write(timesOf('TIMESTAMP', 'infinity', '2022-01-01 12:00:00', '-infinity'), 'SELECT NULL::TIMESTAMP AS t')
    const summary = await run(windowed(lab, lab, { columns: { t: 'TIMESTAMP' }, onBadRow: 'fail', delay: '0s' }))
    expect(summary.totals).toMatchObject({ rows: 4, quarantinedRows: 3, objects: 2, quarantined: 0 })
    expect((await lab.rows()).map(({ n }) => n)).toEqual(['1'])
    expect(
      (await lab.channel('quarantine')).map(({ object, _row, column, found }) => [object, _row, column, found]),
    ).toEqual([
      ['0.parquet', '0', 't', 'infinity'],
      ['0.parquet', '2', 't', '-infinity'],
      ['1.parquet', '0', 't', null],
    ])
  })
})

describe('objects with little in them', () => {
  test('a file without rows is read, moves nothing and is not read again', async () => {
    await write(`SELECT ${noon} AS t WHERE FALSE`)
    const flow: WindowedFlow = { columns: { t: 'TIMESTAMP' }, delay: '0s' }
    const summary = await run(windowed(lab, lab, flow))
    expect(summary.totals).toMatchObject({ rows: 0, objects: 1, quarantined: 0, epochs: 1 })
    expect(await outputFiles(lab.output)).toEqual([])
    expect((await lab.channel('ledger')).map(({ outcome, high_mark_us }) => [outcome, high_mark_us])).toEqual([
      ['read', null],
    ])
    expect(await run(windowed(lab, lab, flow))).toMatchObject({ nothingToDo: true })
  })

  test('JSON lines without a line, and a file whose rows are all bad', async () => {
    await lab.lines('0.jsonl', [])
    await lab.lines('1.jsonl', ['{"t":"no time"}', 'no json', '[1]', '{"t":null}'])
    await lab.lines('2.jsonl', ['{"t":"2022-01-01T12:00:00Z"}'])
    const flow: WindowedFlow = { columns: { t: 'TIMESTAMP' }, format: 'json', onBadRow: 'quarantine', delay: '0s' }
    const summary = await run(windowed(lab, lab, flow), { objectsPerEpoch: 1 })
    expect(summary.totals).toMatchObject({ rows: 5, objects: 3, quarantined: 0, quarantinedRows: 4 })
    expect(await lab.rows()).toMatchObject([{ n: '1' }])
    expect((await lab.channel('quarantine')).map(({ _row, column, found }) => [_row, column, found])).toEqual([
      ['0', 't', 'no time'],
      ['1', '', 'no json'],
      ['2', '', '[1]'],
      ['3', 't', null],
    ])
  })

  test('a broken line is quoted by its own text, whatever the lines before it hold', async () => {
    // U+2028 and a carriage return end a line for some readers; in JSON lines only a line feed does.
    await lab.lines('0.jsonl', [
      '{"t":"2022-01-01","k":"a\u2028b"}',
      '{"t":"2022-01-01",\r"k":"c"}',
      '',
      'oops',
      '{"t":"2022-01-01"}\r',
    ])
    const flow: WindowedFlow = {
      columns: { t: 'TIMESTAMP', k: 'VARCHAR' },
      format: 'json',
      onBadRow: 'quarantine',
      keys: ['k'],
    }
    await run(windowed(lab, lab, flow))
    expect((await lab.rows()).map(({ k }) => k)).toEqual(['a\u2028b', 'c', null])
    expect((await lab.channel('quarantine')).map(({ found }) => found)).toEqual(['oops'])
  })

  test('an input folder without a file is nothing to do', async () => {
    const summary = await run(windowed(lab, lab, { columns: { t: 'TIMESTAMP' } }))
    expect(summary).toMatchObject({ nothingToDo: true, totals: { objects: 0, epochs: 0 } })
  })
})

describe('output', () => {
  test('of JSON lines is JSON whatever the values, NaN and infinities among them', async () => {
    await write(rowsOf('DOUBLE', `'nan'`, `'inf'`, `'-inf'`, '1.5', 'NULL'))
    await run(windowed(lab, lab, { columns: { t: 'TIMESTAMP', v: 'DOUBLE' }, output: 'json', keys: ['v'] }))
    const [file = ''] = await outputFiles(lab.output)
    const lines = (await readFile(join(lab.output, file), 'utf8')).trimEnd().split('\n')
    expect(lines).toHaveLength(5)
    for (const line of lines) expect(() => JSON.parse(line) as unknown, line).not.toThrow()
  })
})

describe('output of a DECIMAL of fractions alone', () => {
  test.each(['DECIMAL(3,3)', 'DECIMAL(15,15)', 'DECIMAL(16,16)', 'DECIMAL(18,18)', 'DECIMAL(38,38)'])(
    '%s is JSON, alone and in a list',
    async type => {
      await write(rowsOf(type, '0.9', '-0.25', '0', 'NULL'))
      await run(
        windowed(lab, lab, {
          columns: { t: 'TIMESTAMP', v: type },
          output: 'json',
          aggregates: { list: collect('v', { max: 9, by: 'v' }), most: max('v'), least: min('v') },
        }),
      )
      const [file = ''] = await outputFiles(lab.output)
      const line = await readFile(join(lab.output, file), 'utf8')
      expect(JSON.parse(line)).toMatchObject({ list: [-0.25, 0, 0.9], most: 0.9, least: -0.25 })
    },
  )
})

describe('output', () => {
  const times = (zone?: 'Z'): WindowedFlow => ({
    columns: { t: 'TIMESTAMPTZ', v: 'TIMESTAMP' },
    output: 'json',
    ...(zone && { zone }),
    aggregates: { top: topK('v', 9), list: collect('v', { max: 9, by: 'v' }) },
  })
  const inputs = rowsOf('TIMESTAMP', "'2024-02-29 01:02:03.4567'", "'infinity'", "'0044-03-15 (BC)'", "'12024-01-01'")

  test("of JSON lines has times in RFC 3339 with zone: 'Z', and is read back as it was", async () => {
    await write(inputs)
    await run(windowed(lab, lab, times('Z')))
    const [file = ''] = await outputFiles(lab.output)
    const list = ['0044-03-15 (BC) 00:00:00', '2024-02-29T01:02:03.4567Z', '12024-01-01 00:00:00', 'infinity']
    expect(JSON.parse(await readFile(join(lab.output, file), 'utf8'))).toEqual({
      window_start: '2022-01-01T12:00:00Z',
      window_end: '2022-01-01T13:00:00Z',
      top: list.map(value => ({ value, count: 1 })),
      list,
    })
    const read = await query(lab.checkpoint, 'SELECT * FROM output')
    const plain = lab.place('plain')
    await run(windowed(lab, plain, times()))
    const [other = ''] = await outputFiles(plain.output)
    expect(await readFile(join(plain.output, other), 'utf8')).toContain('"window_start":"2022-01-01 12:00:00+00"')
    expect(read).toEqual(await query(plain.checkpoint, 'SELECT * FROM output'))
  })

  test('another zone is another plan, which a checkpoint refuses', async () => {
    await write(inputs)
    await run(windowed(lab, lab, times()))
    expect((await failure(run(windowed(lab, lab, times('Z'))))).message).toContain('zone')
  })
})

describe('determinism (I11)', () => {
  test('two million values in many row groups: one thread and two write the same bytes under the same cut', async () => {
    for (let object = 0; object < 4; object++)
      await lab.parquet(
        `${object}.parquet`,
        `SELECT TIMESTAMP '2022-01-01' + INTERVAL (hash(i + ${object}) % 7200) SECOND AS t, ` +
          `'k' || (hash(i) % 997) AS k, CAST((hash(i * 3)::HUGEINT % 100000) / 100 AS DECIMAL(18,2)) AS d, ` +
          `CASE WHEN i % 5 = 0 THEN 'nan'::DOUBLE WHEN i % 3 = 0 THEN -0.0 ELSE i * 0.1 END AS f FROM range(100000) AS r(i)`,
        'ROW_GROUP_SIZE 4096',
      )
    const flow: WindowedFlow = {
      columns: { t: 'TIMESTAMP', k: 'VARCHAR', d: 'DECIMAL(18,2)', f: 'DOUBLE' },
      delay: '10 minutes',
      size: '10 minutes',
      every: '4 minutes',
      keys: ['k', 'f'],
      aggregates: { n: count(), total: sum('d'), low: min('f'), high: max('k') },
    }
    const sides = [1, 2].map(threads => ({ threads, at: lab.place(`threads-${threads}`) }))
    const seen: unknown[] = []
    for (const { threads, at } of sides) {
      await run(windowed(lab, at, flow), { threads, objectsPerEpoch: 2, memory: '2GB' })
      const { channels } = (await lab.head(at)).manifest
      const parts = Object.entries(channels).map(([channel, files]) => [channel, files.map(({ sha256 }) => sha256)])
      seen.push({ output: await outputHashes(at.output), parts })
    }
    expect(seen[1]).toEqual(seen[0])
    expect(Object.keys(await outputHashes(lab.place('threads-1').output)).length).toBeGreaterThan(1)
  })

  test('state that the checkpoint merged on its way gives the rows of one epoch (I11)', async () => {
    // Nothing closes before the flush, so that segments gather until the inline ones are merged.
    for (let object = 0; object < 40; object++)
      await lab.parquet(
        `${String(object).padStart(2, '0')}.parquet`,
        `SELECT TIMESTAMP '2022-01-01' + INTERVAL (hash(i + ${object}) % 7200) SECOND AS t, 'key-' || (hash(i) % 400) AS k, ` +
          `CAST(hash(i * ${object + 1}) % 1000 AS DECIMAL(38,2)) AS d, CASE WHEN i % 7 = 0 THEN 'nan'::DOUBLE WHEN i % 3 = 0 THEN -0.0 ELSE i * 0.1 END AS f, ` +
          `CASE WHEN i % 11 = 0 THEN NULL ELSE hash(i) % 100 END::UBIGINT AS u FROM range(1000) AS r(i)`,
      )
    const flow: WindowedFlow = {
      columns: { t: 'TIMESTAMP', k: 'VARCHAR', d: 'DECIMAL(38,2)', f: 'DOUBLE', u: 'UBIGINT' },
      size: '30 minutes',
      every: '20 minutes',
      keys: ['k'],
      aggregates: { n: count(), total: sum('d'), low: min('f'), high: max('f'), all: sum('u') },
    }
    const [single, whole] = [lab.place('single'), lab.place('whole')]
    await run(windowed(lab, single, flow), { objectsPerEpoch: 1, flush: false })
    const segments = Object.entries((await lab.head(single)).manifest.channels).find(([channel]) =>
      channel.startsWith('segment-'),
    )
    expect(segments?.[1].length).toBeLessThan(40)
    await run(windowed(lab, single, flow))
    await run(windowed(lab, whole, flow))
    const rows = await lab.rows(whole)
    expect(rows.length).toBeGreaterThan(2_000)
    expect(await lab.rows(single)).toEqual(rows)
  })
})

test('fields of JSON by any name: of DuckDB a path, a wildcard, an index and a pointer', async () => {
  const names = ['*', 'a*', '**', '$', '$.x', '[0]', 'a.b', 'a"b', 'a\\b', "a'b", '/', '~1', '#', 'a b', 'ö']
  const at = '2022-01-01T00:00:00Z'
  await lab.lines('a.jsonl', [
    JSON.stringify({ t: at, ...Object.fromEntries(names.map((key, index) => [key, index])) }),
  ])
  const flow: WindowedFlow = {
    format: 'json',
    columns: { t: 'TIMESTAMP', ...Object.fromEntries(names.map(key => [key, 'BIGINT'])) },
    aggregates: Object.fromEntries(names.map((key, index) => [`s${index}`, sum(key)])),
  }
  await run(windowed(lab, lab, flow))
  const [row] = await lab.rows()
  expect(names.map((_, index) => row?.[`s${index}`])).toEqual(names.map((_, index) => String(index)))
})
