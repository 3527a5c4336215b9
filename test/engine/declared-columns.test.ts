import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { count, csv, type FormatSpec, files, json, parquet, pipeline, to, verify } from '../../src/index.ts'
import { tryObject } from '../../src/engine/read/try-object.ts'
import { components } from '../../src/engine/components.ts'
import { defineSource } from '../../src/plan/source.ts'
import { createDirectoryStore } from '../../connectors/directory/store.ts'
import { failure, type Lab, openLab, run, sourceOf, windowed, type WindowedFlow } from './harness.ts'

let lab: Lab
let places = 0
beforeEach(async () => {
  lab = await openLab()
})
afterEach(() => lab[Symbol.asyncDispose]())

type Declared = Readonly<Record<string, string>>

/** Rows as a plain conversion gives them, in ledger order, without their time. */
async function rowsOf(columns: Declared, more: Partial<WindowedFlow> = {}) {
  const at = lab.place(`p${places++}`)
  const flow = sourceOf(lab, { columns: { t: 'TIMESTAMP NOT NULL', ...columns }, ...more })
  const converted = pipeline(
    'converted',
    { checkpoint: at.checkpoint },
    flow.pipe(to(files(at.output, { format: 'parquet' }))),
  )
  const { run: told } = await run(converted)
  const [aside] = told.setAside
  if (aside) return aside.reason
  expect(await verify(converted, { checkpoint: at.checkpoint, threads: 2, memory: '500MB' })).toMatchObject({
    differences: [],
  })
  const shown = (row: object) => Object.fromEntries(Object.entries(row).filter(([name]) => name !== 't'))
  return (await lab.rows(at)).map(shown)
}

/** January lacks `fee` and `note`, February has them, with a NULL in one row. */
const months: Readonly<Record<string, () => Promise<FormatSpec>>> = {
  async parquet() {
    await lab.parquet('2024-01.parquet', "SELECT TIMESTAMP '2024-01-01' AS t, 1 AS v")
    await lab.parquet(
      '2024-02.parquet',
      "SELECT TIMESTAMP '2024-02-01' AS t, v, fee, note FROM (VALUES (2, 0.5::DOUBLE, 'x'), (3, NULL, NULL)) AS _(v, fee, note)",
    )
    return parquet()
  },
  async json() {
    await lab.lines('2024-01.jsonl', ['{"t":"2024-01-01T00:00:00Z","v":1}'])
    await lab.lines('2024-02.jsonl', [
      '{"t":"2024-02-01T00:00:00Z","v":2,"fee":0.5,"note":"x"}',
      '{"t":"2024-02-01T00:00:00Z","v":3,"fee":null,"note":null}',
    ])
    return json()
  },
  async csv() {
    await lab.lines('2024-01.csv', ['t,v', '2024-01-01,1'])
    await lab.lines('2024-02.csv', ['t,v,fee,note', '2024-02-01,2,0.5,x', '2024-02-01,3,,'])
    return csv()
  },
}

describe.each(Object.keys(months))('DEFAULT in %s', name => {
  let format: FormatSpec
  beforeEach(async () => {
    format = await (months[name] as () => Promise<FormatSpec>)()
  })

  test('stands where an object lacks the column; a NULL of an object stays NULL (S17)', async () => {
    const columns = { v: 'BIGINT', fee: 'DOUBLE DEFAULT 0', note: "VARCHAR DEFAULT 'it''s none'" }
    expect(await rowsOf(columns, { format })).toEqual([
      { v: '1', fee: '0.0', note: "it's none" },
      { v: '2', fee: '0.5', note: 'x' },
      { v: '3', fee: null, note: null },
    ])
  })

  test('NULL is a default as well, which JSON has without a word', async () => {
    const rows = [
      { v: '1', fee: null },
      { v: '2', fee: '0.5' },
      { v: '3', fee: null },
    ]
    expect(await rowsOf({ v: 'BIGINT', fee: 'DOUBLE DEFAULT NULL' }, { format })).toEqual(rows)
    const without = await rowsOf({ v: 'BIGINT', fee: 'DOUBLE' }, { format })
    if (name === 'json') expect(without).toEqual(rows)
    else expect(without).toBe("column 'fee' is missing; expected DOUBLE, the object has t, v")
  })

  test('under NOT NULL it fills what is missing, and a NULL that is there is a bad row', async () => {
    const columns = { v: 'BIGINT', fee: 'DECIMAL(18,2) NOT NULL DEFAULT 1.25' }
    const error = await failure(rowsOf(columns, { format }))
    expect(error.message).toContain("row 1, column 'fee': expected DECIMAL(18,2) NOT NULL, found NULL")
    expect(await rowsOf(columns, { format, onBadRow: 'quarantine' })).toEqual([
      { v: '1', fee: '1.25' },
      { v: '2', fee: '0.50' },
    ])
  })

  test('FROM gives the name that the objects have', async () => {
    const columns = { amount: 'BIGINT FROM v', tip: 'DOUBLE DEFAULT -1 FROM fee', v: "VARCHAR DEFAULT '?' FROM NOTE_" }
    expect(await rowsOf(columns, { format })).toEqual([
      { amount: '1', tip: '-1.0', v: '?' },
      { amount: '2', tip: '0.5', v: '?' },
      { amount: '3', tip: null, v: '?' },
    ])
  })

  test.each([
    ['BIGINT[]', "'[1,2]'", '[1, 2]'],
    ['JSON', `'{"a": 1}'`, '{"a": 1}'],
    ['DATE', "'2024-02-29'", '2024-02-29'],
    ['TIMESTAMP', "'2024-02-29T00:00:00+01:00'", '2024-02-28 23:00:00'],
    ['BOOLEAN', 'TRUE', 'true'],
    ['BLOB', "'ab'", 'ab'],
    ['UUID', "'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'", 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'],
    ['DECIMAL(38,20)', '12345678901234567.00000000000000000001', '12345678901234567.00000000000000000001'],
  ])('%s takes %s', async (type, literal, value) => {
    const rows = await rowsOf({ x: `${type} DEFAULT ${literal}` }, { format })
    expect(rows).toEqual([{ x: value }, { x: value }, { x: value }])
  })

  test.each([
    ['INTEGER', '1.5'],
    ['BIGINT', "'many'"],
    ['DATE', "'2024-02-30'"],
    ['JSON', "'{'"],
    ['BIGINT[]', "'[1,x]'"],
    ['DECIMAL(4,2)', '12.345'],
  ])('%s refuses %s before anything is read', async (type, literal) => {
    const error = await failure(rowsOf({ x: `${type} DEFAULT ${literal}` }, { format }))
    expect(error).toMatchObject({ kind: 'user', code: 'default-type' })
    const value = literal.startsWith("'") ? literal : `'${literal}'`
    expect(error.message).toBe(
      `source in: columns.x: DEFAULT ${value} does not fit ${type}; expected a value that ${type} holds as it is, or NULL.`,
    )
  })
})

describe('DEFAULT', () => {
  test('stands for a struct that is missing, and for one of its fields', async () => {
    await lab.parquet('1.parquet', "SELECT TIMESTAMP '2024-01-01' AS t")
    await lab.parquet('2.parquet', "SELECT TIMESTAMP '2024-01-01' AS t, {street: 'a'} AS address")
    await lab.parquet(
      '3.parquet',
      "SELECT TIMESTAMP '2024-01-01' AS t, address FROM (VALUES ({street: 'a', city: 'Rome'}), ({street: 'a', city: NULL}), (NULL)) AS _(address)",
    )
    expect(await rowsOf({ 'address.city': "VARCHAR DEFAULT 'none'" })).toEqual(
      ['none', 'none', 'Rome', null, null].map(city => ({ 'address.city': city })),
    )
    expect(await rowsOf({ city: "VARCHAR DEFAULT 'none' FROM address.city" })).toEqual(
      ['none', 'none', 'Rome', null, null].map(city => ({ city })),
    )
    expect(await rowsOf({ city: 'VARCHAR FROM address.city' })).toBe(
      "column 'city' (FROM address.city) is missing; expected VARCHAR, the object has t",
    )
  })

  test('an object may lack all columns', async () => {
    await lab.parquet('1.parquet', 'SELECT 1 AS other FROM range(2)')
    await lab.lines('1.csv', ['other', '1', '2'])
    await lab.lines('1.jsonl', ['{}', '{}'])
    for (const format of [parquet(), csv(), json()]) {
      const rows = await rowsOf({ t: "TIMESTAMP DEFAULT '2024-01-01'", v: 'BIGINT DEFAULT 7' }, { format })
      expect(rows).toEqual([{ v: '7' }, { v: '7' }])
    }
  })

  test('is told of rows one by one in JSON, and fields that differ by case are others', async () => {
    await lab.lines('1.jsonl', ['{"t":"2024-01-01","v":1}', '{"t":"2024-01-01","V":2}', '{"t":"2024-01-01"}', 'x'])
    expect(await rowsOf({ v: 'BIGINT DEFAULT 0' }, { format: json(), onBadRow: 'quarantine' })).toEqual(
      ['1', '0', '0'].map(v => ({ v })),
    )
  })

  test('a value that does not fit is a bad row, as without', async () => {
    await lab.lines('1.jsonl', ['{"t":"2024-01-01","v":"x"}'])
    const error = await failure(rowsOf({ v: 'BIGINT DEFAULT 0' }, { format: json() }))
    expect(error.message).toContain("row 0, column 'v': expected BIGINT, found 'x'")
  })

  test('part of the plan: a checkpoint refuses another one, and takes the same (P14)', async () => {
    await lab.parquet('1.parquet', "SELECT TIMESTAMP '2024-01-01' AS t")
    const flow = (declared: string) =>
      windowed(lab, lab, { columns: { t: 'TIMESTAMP NOT NULL', v: declared }, aggregates: { n: count() } })
    await run(flow('BIGINT DEFAULT 0'))
    expect((await failure(run(flow('BIGINT DEFAULT 1')))).message).toContain("defaults.v: was '0', is now '1'")
    expect((await failure(run(flow('BIGINT DEFAULT 0 FROM w')))).message).toContain(
      'source in from: was absent, is now {"v":"w"}',
    )
    await run(flow("bigint  default '0' from v"))
  })

  test('the column is not told of as NULL in every row', async () => {
    await lab.lines('1.jsonl', ['{"t":"2024-01-01"}'])
    const definition = defineSource('in', {
      objects: lab.input,
      format: json(),
      columns: { t: 'TIMESTAMP', a: 'BIGINT', b: 'BIGINT DEFAULT NULL' },
      time: 't',
    })
    const store = createDirectoryStore(lab.input)
    for await (const version of store.list('', undefined, new AbortController().signal))
      expect((await tryObject(components, definition, store, version)).nullColumns).toEqual(['a'])
  })
})

/** A row an object, or two, under this key. */
const objects: Readonly<Record<string, (key: string, rows?: number) => Promise<unknown>>> = {
  parquet: (key, rows = 1) =>
    lab.parquet(
      `${key}.parquet`,
      `SELECT TIMESTAMP '2024-01-01' AS t, CAST(i AS BIGINT) AS v FROM range(${rows}) AS _(i)`,
    ),
  json: (key, rows = 1) =>
    lab.lines(
      `${key}.json`,
      Array.from({ length: rows }, (_, v) => JSON.stringify({ t: '2024-01-01', v, dt: 'not this' })),
    ),
  csv: (key, rows = 1) =>
    lab.lines(`${key}.csv`, ['t,v', ...Array.from({ length: rows }, (_, v) => `2024-01-01,${v}`)]),
}

describe.each(Object.keys(objects))('columns FROM KEY and FROM META of %s', name => {
  const format = { parquet: parquet(), json: json(), csv: csv() }[name] as FormatSpec
  const put = objects[name] as (key: string, rows?: number) => Promise<unknown>

  test('are those of the row’s own object, of small objects that are read together too (S1)', async () => {
    await put('dt=2024-03-30/a', 2)
    await put('dt=2024-03-31/b')
    await put('dt=__HIVE_DEFAULT_PARTITION__/c')
    const columns = {
      dt: 'DATE FROM KEY',
      v: 'BIGINT',
      object_key: 'VARCHAR FROM META',
      object_bucket: 'VARCHAR FROM META',
    }
    const key = (path: string) => `${path}.${name}`
    expect(await rowsOf(columns, { format })).toEqual([
      { dt: '2024-03-30', v: '0', object_key: key('dt=2024-03-30/a'), object_bucket: '' },
      { dt: '2024-03-30', v: '1', object_key: key('dt=2024-03-30/a'), object_bucket: '' },
      { dt: '2024-03-31', v: '0', object_key: key('dt=2024-03-31/b'), object_bucket: '' },
      { dt: null, v: '0', object_key: key('dt=__HIVE_DEFAULT_PARTITION__/c'), object_bucket: '' },
    ])
  })

  test('are what the ledger holds, live and replayed', async () => {
    await put('a', 2)
    await put('b')
    const columns = {
      object_size: 'BIGINT FROM META',
      object_last_modified: 'TIMESTAMP FROM META',
      object_key: 'VARCHAR FROM META',
    }
    const entries = await (async () => {
      const flow = windowed(lab, lab, { columns: { t: 'TIMESTAMP', ...columns }, format, aggregates: { n: count() } })
      await run(flow)
      return lab.channel('ledger')
    })()
    const expected = entries
      .filter(({ is }) => is === 'object')
      .flatMap(({ rows, size_bytes, last_modified_ms, key }) =>
        Array.from({ length: Number(rows) }, () => ({
          object_size: size_bytes,
          object_last_modified: Number(last_modified_ms),
          object_key: key,
        })),
      )
    expect(expected).toHaveLength(3)
    const rows = (await rowsOf(columns, { format })) as Record<string, string>[]
    const ms = (row: Record<string, string>) => ({
      ...row,
      object_last_modified: Date.parse(`${row.object_last_modified}Z`),
    })
    expect(rows.map(ms)).toEqual(expected)
  })

  test('a key without the value makes a bad object, unless there is a default', async () => {
    await put('a')
    expect(await rowsOf({ dt: 'DATE FROM KEY' }, { format })).toBe(
      "column 'dt' (FROM KEY) is missing: its key has no folder 'dt=...'; expected DATE",
    )
    expect(await rowsOf({ dt: "DATE DEFAULT '2024-01-01' FROM KEY" }, { format })).toEqual([{ dt: '2024-01-01' }])
  })

  test('a value of the key that does not fit makes a bad object, as it is that of all rows', async () => {
    await put('dt=2024-02-30/a')
    expect(await rowsOf({ dt: 'DATE FROM KEY' }, { format })).toBe(
      "column 'dt' (FROM KEY): expected DATE, found '2024-02-30'",
    )
    await put('dt=__HIVE_DEFAULT_PARTITION__/a')
    const at = lab.place(`p${places++}`)
    const flow = windowed(lab, at, { columns: { t: 'TIMESTAMP', dt: 'VARCHAR NOT NULL FROM KEY' }, format })
    expect((await run(flow)).run.setAside.map(({ reason }) => reason)).toEqual([
      "column 'dt' (FROM KEY): expected VARCHAR NOT NULL, found NULL",
    ])
  })

  test('nothing of the rows may be declared at all', async () => {
    await put('dt=2024-03-31/a', 2)
    const flow = pipeline(
      'keys',
      { checkpoint: lab.checkpoint },
      sourceOf(lab, { columns: { dt: 'DATE FROM KEY' }, time: 'dt', format }).pipe(
        to(files(lab.output, { format: 'parquet' })),
      ),
    )
    await run(flow)
    expect(await lab.rows()).toEqual([{ dt: '2024-03-31' }, { dt: '2024-03-31' }])
  })
})

describe('a time FROM KEY', () => {
  const days = [
    'region=us/dt=2024-03-01/a',
    'region=eu/dt=2024-03-02/a',
    'region=eu/dt=2024-03-01/b',
    'region=eu/dt=2024-03-03/a',
  ]

  test('orders objects (S7), and --from and --to choose by it', async () => {
    for (const day of days) await objects.json?.(day)
    const keysOf = async (options: object) => {
      const at = lab.place(`p${places++}`)
      const flow = windowed(lab, at, { columns: { t: 'TIMESTAMP', dt: 'DATE FROM KEY' }, format: json() })
      const { run: told } = await run(flow, options)
      const entries = await lab.channel('ledger', at)
      return [
        told.leftOut,
        ...entries.filter(({ is }) => is === 'object').map(({ key }) => key?.replace(/\.json$/, '')),
      ]
    }
    const [us1, eu2, eu1, eu3] = days
    expect(await keysOf({})).toEqual([0, eu1, us1, eu2, eu3])
    expect(await keysOf({ from: '2024-03-02', to: '2024-03-03' })).toEqual([3, eu2])
    expect(await keysOf({ to: '2024-03-02' })).toEqual([2, eu1, us1])
  })

  test('without one, and without bounds, --from is refused', async () => {
    const flow = windowed(lab, lab, { columns: { t: 'TIMESTAMP', dt: 'VARCHAR FROM KEY' }, format: json() })
    expect((await failure(run(flow, { from: '2024-03' }))).message).toContain(
      "a key pattern such as 'trips_{yyyy}-{MM}', which --from and --to need; or one column FROM KEY that is a DATE or a TIMESTAMP",
    )
  })
})
