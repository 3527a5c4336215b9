import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { parquetFormat } from '../../connectors/parquet/format.ts'
import { neededRanges } from '../../connectors/parquet/ranges.ts'
import { backfillWith } from '../../src/engine/backfill.ts'
import { components } from '../../src/engine/components.ts'
import { infer } from '../../src/engine/infer/infer.ts'
import { count, csv, first, sum } from '../../src/index.ts'
import type { Format } from '../../src/plan/format.ts'
import { type Lab, openLab, run, windowed, type WindowedFlow } from './harness.ts'

let lab: Lab
beforeEach(async () => {
  lab = await openLab()
})
afterEach(() => lab[Symbol.asyncDispose]())

/** What became of the input under these columns: sums by name, or why the objects were set aside. */
async function read(columns: Readonly<Record<string, string>>, more: Partial<WindowedFlow> = {}) {
  const at = lab.place(`p${Math.abs(Object.keys(columns).join().length)}-${places++}`)
  const sums = Object.fromEntries(Object.keys(columns).map(name => [`sum_${name}`, sum(name)]))
  const flow: WindowedFlow = { columns: { t: 'TIMESTAMP', ...columns }, aggregates: { n: count(), ...sums }, ...more }
  const summary = await run(windowed(lab, at, flow))
  const [reason] = summary.run.setAside.map(aside => aside.reason)
  if (reason !== undefined) return reason
  return (await lab.rows(at)).map(values =>
    Object.fromEntries(Object.entries(values).filter(([name]) => !name.startsWith('window_'))),
  )
}
let places = 0

/** Names that DuckDB would not write beside one another: other ones of the same length are replaced in the file. */
async function parquet(key: string, query: string, renamed: Readonly<Record<string, string>>, options = '') {
  const path = await lab.parquet(key, query, options)
  const bytes = await readFile(path)
  for (const [was, is] of Object.entries(renamed)) {
    expect(Buffer.byteLength(is)).toBe(Buffer.byteLength(was))
    for (let at = bytes.indexOf(was); at >= 0; at = bytes.indexOf(was)) bytes.write(is, at)
  }
  await writeFile(path, bytes)
  return path
}

describe('columns of Parquet that differ only by case', () => {
  const fares = (rows: number, options = '') =>
    parquet(
      'a.parquet',
      `SELECT TIMESTAMP '2024-01-01' AS t, 1 + i AS fare, 10 + i AS far2, 100 + i AS other, -i AS far3, -1000 AS fare_x FROM range(${rows}) AS _(i)`,
      { far2: 'FARE', far3: 'fArE', fare_x: 'FARE_1' },
      options,
    )

  test('are told apart by their exact names, whatever DuckDB calls them', async () => {
    await fares(2)
    expect(await read({ fare: 'BIGINT' })).toEqual([{ n: '2', sum_fare: '3' }])
    expect(await read({ FARE: 'BIGINT' })).toEqual([{ n: '2', sum_FARE: '21' }])
    expect(await read({ Other: 'BIGINT' })).toEqual([{ n: '2', sum_Other: '201' }])
    // By its own rule DuckDB calls FARE 'FARE_1', and this one 'FARE_1_1'.
    expect(await read({ fare_1: 'BIGINT' })).toEqual([{ n: '2', sum_fare_1: '-2000' }])
  })

  test('make a bad object where neither is meant, and a name that only DuckDB gives is missing', async () => {
    await fares(1)
    expect(await read({ Fare: 'BIGINT' })).toBe(
      "column 'Fare' is ambiguous: the object has fare, FARE, fArE; expected one of that very name, or only one when case is ignored",
    )
    expect(await read({ FARE_2: 'BIGINT' })).toBe(
      "column 'FARE_2' is missing; expected BIGINT, the object has t, fare, FARE, other, fArE, FARE_1",
    )
  })

  test('a column that is there twice is ambiguous under its own name', async () => {
    await parquet('a.parquet', `SELECT TIMESTAMP '2024-01-01' AS t, 1 AS fare, 2 AS far2`, { far2: 'fare' })
    expect(await read({ fare: 'BIGINT' })).toContain("column 'fare' is ambiguous: the object has fare, fare;")
  })

  test('are of one month or of another: each object is looked at by itself', async () => {
    const month = (key: string, name: string) => lab.parquet(key, `SELECT TIMESTAMP '2024-01-01' AS t, 1 AS ${name}`)
    await month('a.parquet', 'airport_fee')
    await month('b.parquet', 'Airport_fee')
    expect(await read({ Airport_fee: 'BIGINT' })).toEqual([{ n: '2', sum_Airport_fee: '2' }])
  })

  test('are fetched by what they are called in the file', async () => {
    const path = await fares(5000, 'ROW_GROUP_SIZE 5000')
    const bytes = await readFile(path)
    const plan = (declared: string) => neededRanges(bytes, bytes.length, [declared])
    const { columns: own = [] } = (await parquetFormat.ready({
      file: path,
      changed: `${path}.rows`,
      key: 'a.parquet',
      columns: [],
      signal: new AbortController().signal,
    })) as { columns?: readonly { name: string }[] }
    expect(own.map(({ name }) => name)).toEqual(['t', 'fare', 'FARE', 'other', 'fArE', 'FARE_1'])
    const starts = ['fare', 'FARE', 'other'].map(name => {
      const { is, ...found } = plan(name)
      expect(is).toBe('ranges')
      return (found as { ranges: readonly (readonly [number, number])[] }).ranges[0]?.[0]
    })
    expect(starts).toEqual([...new Set(starts)].toSorted((a, b) => Number(a) - Number(b)))
  })

  test('fields of a struct go by the same rule; as JSON, where DuckDB would rename one, they are refused', async () => {
    await parquet(
      'a.parquet',
      `SELECT TIMESTAMP '2024-01-01' AS t, {'code': 1, 'cod2': 10, 'code_x': 100} AS zone, [{'code': 1, 'cod2': 2}] AS list`,
      { cod2: 'CODE', code_x: 'Code_1' },
    )
    expect(await read({ 'zone.CODE': 'BIGINT' })).toEqual([{ n: '1', 'sum_zone.CODE': '10' }])
    expect(await read({ 'Zone.code': 'BIGINT' })).toEqual([{ n: '1', 'sum_Zone.code': '1' }])
    expect(await read({ 'zone.Code': 'BIGINT' })).toContain(
      "column 'zone.Code' is ambiguous: the object has zone.code, zone.CODE;",
    )
    expect(await read({ 'zone.CODE_1': 'BIGINT' })).toEqual([{ n: '1', 'sum_zone.CODE_1': '100' }])
    expect(await read({ 'zone.CODE_2': 'BIGINT' })).toContain(
      'the object has t, zone.code, zone.CODE, zone.Code_1, list',
    )
    for (const name of ['zone', 'list'])
      expect(await read({ [name]: 'JSON' }, { aggregates: { n: count() } })).toBe(
        `column '${name}' cannot be read as JSON: its fields code and CODE have one name when case is ignored; declare fields by their path, such as '${name}.code'`,
      )
  })

  test('a list or map, however it is written, has no fields', async () => {
    await lab.parquet('a.parquet', `SELECT TIMESTAMP '2024-01-01' AS t, [1, 2] AS l, map {'k': 1} AS m`)
    for (const name of ['l.element', 'l.list', 'm.key', 'm.key_value'])
      expect(await read({ [name]: 'BIGINT' })).toBe(
        `column '${name}' is missing; expected BIGINT, the object has t, l, m`,
      )
  })

  test('where DuckDB reads other columns than we do, the object is a bad one and the run goes on', async () => {
    await lab.parquet('a.parquet', `SELECT TIMESTAMP '2024-01-01' AS t, 1 AS fare`)
    const differing: Format = {
      ...parquetFormat,
      async ready(object) {
        const ready = await parquetFormat.ready(object)
        return 'columns' in ready ? { ...ready, columns: [{ name: 'fee' }, ...(ready.columns ?? [])] } : ready
      },
    }
    const formats = components.formats.map(each => ({ ...each, create: () => differing }))
    const flow: WindowedFlow = { columns: { t: 'TIMESTAMP', fee: 'BIGINT' } }
    const summary = await backfillWith({ ...components, formats }, windowed(lab, lab, flow), { threads: 1 })
    expect(summary.run.setAside).toMatchObject([
      { reason: expect.stringMatching(/^its schema cannot be understood: /) },
    ])
  })

  test('infer prints what can be declared of them', async () => {
    const path = await fares(1)
    expect((await infer(path)).map(({ name, type, why }) => [name, type, why])).toEqual([
      ['t', 'TIMESTAMP', undefined],
      ['fare', 'BIGINT', undefined],
      ['FARE', 'BIGINT', 'differs from fare only by case: declare one of them'],
      ['other', 'BIGINT', undefined],
      ['fArE', 'BIGINT', 'differs from fare only by case: declare one of them'],
      ['FARE_1', 'INTEGER', undefined],
    ])
  })
})

describe('headers of CSV', () => {
  const format = csv()
  const options: Partial<WindowedFlow> = { format }

  test('go by the same rule, in either order', async () => {
    await writeFile(join(lab.input, 'a.csv'), 't,fare,FARE,other,other\n2024-01-01,1,10,100,1000\n')
    expect(await read({ FARE: 'BIGINT' }, options)).toEqual([{ n: '1', sum_FARE: '10' }])
    expect(await read({ fare: 'BIGINT' }, options)).toEqual([{ n: '1', sum_fare: '1' }])
    expect(await read({ Fare: 'BIGINT' }, options)).toContain("column 'Fare' is ambiguous: the object has fare, FARE;")
    expect(await read({ other: 'BIGINT' }, options)).toContain("column 'other' is ambiguous")
    expect(await read({ 'FARE#3': 'BIGINT' }, options)).toContain("column 'FARE#3' is missing")
  })

  test('objects of other headers are not read by the places of the first', async () => {
    await writeFile(join(lab.input, 'a.csv'), 't,fare,FARE\n2024-01-01,1,10\n')
    await writeFile(join(lab.input, 'b.csv'), 't,FARE,fare\n2024-01-01,20,2\n')
    expect(await read({ FARE: 'BIGINT' }, options)).toEqual([{ n: '2', sum_FARE: '30' }])
  })

  test('infer reads the names of the file', async () => {
    const path = join(lab.input, 'a.csv')
    await writeFile(path, '2024,fare,FARE,other,other,_id,2023\n1,1,10,100,1000,7,x\n')
    expect((await infer(path)).map(({ name, why }) => [name, why])).toEqual([
      ['2024', undefined],
      ['fare', undefined],
      ['FARE', 'differs from fare only by case: declare one of them'],
      ['other', 'cannot be declared: it is there more than once'],
      ['other', 'cannot be declared: it is there more than once'],
      ['_id', "cannot be declared: expected a column name that does not start with '_' (millrace's own do)"],
      ['2023', undefined],
    ])
  })
})

describe('fields of JSON', () => {
  test('are those of the very name: another case is another field, and NULL where no line has it', async () => {
    await lab.lines('a.jsonl', ['{"t":"2024-01-01","fare":1,"FARE":10}', '{"t":"2024-01-01","FARE":20}'])
    const options: Partial<WindowedFlow> = { format: 'json' }
    expect(await read({ FARE: 'BIGINT' }, options)).toEqual([{ n: '2', sum_FARE: '30' }])
    expect(await read({ fare: 'BIGINT' }, options)).toEqual([{ n: '2', sum_fare: '1' }])
    expect(await read({ Fare: 'BIGINT' }, options)).toEqual([{ n: '2', sum_Fare: null }])
  })

  test('infer tells them apart, inside objects too', async () => {
    const path = await lab.lines('a.jsonl', ['{"fare":1,"FARE":"x","zone":{"a":1,"A":2},"at":"2024-01-01 10:00:00"}'])
    expect((await infer(path)).map(({ name, type, why }) => [name, type, why])).toEqual([
      ['fare', 'BIGINT', undefined],
      ['FARE', 'VARCHAR', 'differs from fare only by case: declare one of them'],
      ['zone', 'JSON', undefined],
      ['at', 'TIMESTAMP', undefined],
    ])
    const at = lab.place('json')
    await run(
      windowed(lab, at, {
        columns: { at: 'TIMESTAMP', zone: 'JSON' },
        time: 'at',
        format: 'json',
        aggregates: { zone: first('zone') },
      }),
    )
    expect(await lab.rows(at)).toMatchObject([{ zone: '{"a":1,"A":2}' }])
  })
})
