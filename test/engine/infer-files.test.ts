import { copyFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { inferCommand } from '../../src/cli/commands/infer.ts'
import { inferFiles } from '../../src/engine/infer/infer-files.ts'
import { csv, type FormatSpec, json, parquet, sum } from '../../src/index.ts'
import { recordingTerminal } from '../cli/recorder.ts'
import { sharedData } from '../shared-data.ts'
import { failure, type Lab, openLab, run, windowed } from './harness.ts'

let lab: Lab
beforeEach(async () => {
  lab = await openLab()
})
afterEach(() => lab[Symbol.asyncDispose]())

async function printed(path: string) {
  const terminal = recordingTerminal()
  await inferCommand.run({ file: path } as never, terminal)
  return { out: terminal.stdout.trimEnd().split('\n'), err: terminal.stderr }
}

/** A column that begins in February, one that ends there, and one whose type changes in March. */
const months: Readonly<Record<string, () => Promise<FormatSpec>>> = {
  async parquet() {
    const t = "TIMESTAMP '2024-01-01' AS t"
    await lab.parquet('trips_2024-01.parquet', `SELECT ${t}, 1::BIGINT AS v, 5::INTEGER AS old`)
    await lab.parquet('trips_2024-02.parquet', `SELECT ${t}, 2::BIGINT AS v, 5::INTEGER AS old, 0.5::DOUBLE AS fee`)
    await lab.parquet('trips_2024-03.parquet', `SELECT ${t}, 2.0::DOUBLE AS V, 0.75::DOUBLE AS fee`)
    return parquet()
  },
  async json() {
    await lab.lines('trips_2024-01.json', ['{"t":"2024-01-01 00:00:00","v":1,"old":5}'])
    await lab.lines('trips_2024-02.json', ['{"t":"2024-01-01 00:00:00","v":2,"old":5,"fee":0.5}'])
    await lab.lines('trips_2024-03.json', ['{"t":"2024-01-01 00:00:00","v":2.5,"fee":0.75}'])
    return json()
  },
  async csv() {
    await lab.lines('trips_2024-01.csv', ['t,v,old', '2024-01-01 00:00:00,1,5'])
    await lab.lines('trips_2024-02.csv', ['t,v,old,fee', '2024-01-01 00:00:00,2,5,0.5'])
    await lab.lines('trips_2024-03.csv', ['t,v,fee', '2024-01-01 00:00:00,2.5,0.75'])
    return csv()
  },
}

describe.each(Object.keys(months))('infer over several files of %s', name => {
  test('tells in which file a column begins, ends or changes, and what it proposes reads them all', async () => {
    const format = await (months[name] as () => Promise<FormatSpec>)()
    const { out } = await printed(lab.input)
    const file = (month: number) => `trips_2024-0${month}.${name}`
    const integer = name === 'parquet' ? 'INTEGER' : 'BIGINT'
    expect(out).toEqual([
      'columns: {',
      "  t: 'TIMESTAMP',",
      `  ${name === 'parquet' ? 'V' : 'v'}: 'DOUBLE', // DOUBLE from ${file(3)} on, BIGINT before`,
      `  old: '${integer} DEFAULT NULL', // ends in ${file(2)}`,
      `  fee: 'DOUBLE DEFAULT NULL', // begins in ${file(2)}`,
      '}',
    ])
    const declared = (await inferFiles(join(lab.input, `*.${name}`))).columns.map(
      ({ name: column, declaration }) => [column === 'V' ? 'v' : column, declaration as string] as const,
    )
    const flow = {
      columns: Object.fromEntries(declared),
      format,
      aggregates: { fees: sum('fee'), olds: sum('old'), v: sum('v') },
    }
    const summary = await run(windowed(lab, lab, flow))
    expect(summary.run.setAside).toEqual([])
    const v = name === 'parquet' ? '5.0' : '5.5'
    expect(await lab.rows()).toEqual([expect.objectContaining({ fees: '1.25', olds: '10', v })])
  })
})

describe('infer over several files', () => {
  test('names what is missing between, and one that cannot be read', async () => {
    for (const month of [1, 2, 3, 4, 5, 6, 7])
      await lab.lines(`${month}.csv`, [1, 7].includes(month) ? ['t,x', '2024-01-01,1'] : ['t,y', '2024-01-01,1'])
    await writeFile(join(lab.input, '8.csv.gz'), Buffer.from([0x1f, 0x8b, 1, 2]))
    await writeFile(join(lab.input, '9.parquet'), 'no Parquet')
    await lab.lines('_SUCCESS.csv', ['z', '1'])
    await writeFile(join(lab.input, 'README.md'), 'no data')
    const { out, err } = await printed(`${lab.input}/`)
    expect(out).toEqual([
      'columns: {',
      "  t: 'DATE',",
      "  x: 'BIGINT DEFAULT NULL', // missing in 2.csv, 3.csv, 4.csv and 2 more",
      "  y: 'BIGINT DEFAULT NULL', // begins in 2.csv; ends in 6.csv",
      '}',
    ])
    const [parquetFile, csvFile] = err.split('\n')
    expect(parquetFile).toBe('9.parquet is left out: most files here are csv, and a source reads one format')
    expect(csvFile).toMatch(/^8\.csv\.gz is left out: 8\.csv\.gz cannot be read: its gzip stream is broken/)
  })

  test('a field of JSON that is null in one file takes the type of the others', async () => {
    await lab.lines('1.json', ['{"a":null,"b":null,"c":{"x":1}}'])
    await lab.lines('2.json', ['{"a":5,"b":null,"c":null}'])
    const { columns } = await inferFiles(lab.input)
    expect(columns.map(({ name, declaration, changes }) => [name, declaration, changes])).toEqual([
      ['a', 'BIGINT', []],
      ['b', 'JSON', []],
      ['c', 'JSON', []],
    ])
  })

  test('columns that differ by case in one file are told apart, and are one where they never meet', async () => {
    await lab.lines('1.csv', ['fee,Tip', '1,2'])
    await lab.lines('2.csv', ['Fee,tip,Tip', '1,2,3'])
    const { columns } = await inferFiles(lab.input)
    expect(columns.map(({ name, declaration, changes }) => [name, declaration, changes])).toEqual([
      ['Fee', 'BIGINT', []],
      ['Tip', 'BIGINT', []],
      ['tip', 'BIGINT DEFAULT NULL', ['begins in 2.csv']],
    ])
  })

  test('folders of keys give columns, unless the files have them', async () => {
    await lab.lines('dt=2024-01-01/hour=05/region=eu/t=x/1.csv', ['t', '2024-01-01'])
    await lab.lines('dt=__HIVE_DEFAULT_PARTITION__/hour=06/region=5/2.csv', ['t', '2024-01-01'])
    await lab.lines('dt=2024-01-02/hour=07/_hidden=1/3.csv', ['t', '2024-01-01'])
    const { out } = await printed(lab.input)
    expect(out).toEqual([
      'columns: {',
      "  t: 'DATE',",
      "  dt: 'DATE FROM KEY',",
      "  hour: 'BIGINT FROM KEY',",
      "  region: 'VARCHAR DEFAULT NULL FROM KEY',",
      '}',
    ])
    const columns = { t: 'DATE', dt: 'DATE FROM KEY', hour: 'BIGINT FROM KEY', region: 'VARCHAR DEFAULT NULL FROM KEY' }
    expect((await run(windowed(lab, lab, { columns, format: csv(), size: '1 day' }))).run.setAside).toEqual([])
  })

  test('fields of structs come and go too', async () => {
    await lab.parquet('1.parquet', "SELECT {street: 'a'} AS address")
    await lab.parquet('2.parquet', "SELECT {street: 'a', city: 'b'} AS address")
    expect((await printed(lab.input)).out).toEqual([
      'columns: {',
      `  "address.street": 'VARCHAR',`,
      `  "address.city": 'VARCHAR DEFAULT NULL', // begins in 2.parquet`,
      '}',
    ])
  })

  test('types that nothing holds together are named', async () => {
    await lab.parquet('1.parquet', "SELECT 'a'::BLOB AS x")
    await lab.parquet('2.parquet', 'SELECT [1, 2]::BIGINT[] AS x')
    expect((await printed(lab.input)).out[1]).toBe(
      '  // x: no type holds what these files have; BIGINT[] from 2.parquet on, BLOB before',
    )
  })

  test('a place without files is refused, and one where none can be read says why', async () => {
    expect((await failure(inferFiles(`${lab.input}/*.parquet`))).message).toContain(
      'expected Parquet, JSON or CSV files; there are none',
    )
    await writeFile(join(lab.input, '8.parquet'), 'no Parquet')
    expect((await failure(inferFiles(`${lab.input}/*.parquet`))).message).toContain('DuckDB says')
  })

  test('one file is told as before', async () => {
    const file = await lab.lines('a [1].csv', ['t', '2024-01-01'])
    expect(await printed(file)).toEqual({ out: ['columns: {', "  t: 'DATE',", '}'], err: '' })
  })

  const { path, isThere } = sharedData('tlc')
  test.skipIf(!isThere)('months of taxi trips, whose types change in 2023 (as TLC published them)', async () => {
    for (const month of ['2022-01', '2023-01'])
      await copyFile(join(path, `green_tripdata_${month}.parquet`), join(lab.input, `green_tripdata_${month}.parquet`))
    // What TLC changed in 2023-02, and a column of 2025, over a row of a month before.
    await lab.parquet(
      'green_tripdata_2025-01.parquet',
      `SELECT * REPLACE (VendorID::INTEGER AS VendorID, passenger_count::BIGINT AS passenger_count, NULL::DOUBLE AS ehail_fee), 0.75::DOUBLE AS cbd_congestion_fee FROM '${join(path, 'green_tripdata_2023-01.parquet')}' LIMIT 1`,
    )
    const { columns } = await inferFiles(lab.input)
    const told = Object.fromEntries(columns.map(({ name, declaration, changes }) => [name, [declaration, ...changes]]))
    const file = 'green_tripdata_2025-01.parquet'
    expect(told).toMatchObject({
      VendorID: ['BIGINT', `INTEGER from ${file} on, BIGINT before`],
      passenger_count: ['DOUBLE', `BIGINT from ${file} on, DOUBLE before`],
      ehail_fee: ['DOUBLE', `DOUBLE from ${file} on, INTEGER before`],
      cbd_congestion_fee: ['DOUBLE DEFAULT NULL', `begins in ${file}`],
      total_amount: ['DOUBLE'],
    })
  })
})
