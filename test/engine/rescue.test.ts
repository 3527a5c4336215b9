import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { createDirectoryStore } from '../../connectors/directory/store.ts'
import { components } from '../../src/engine/components.ts'
import { tryObject } from '../../src/engine/read/try-object.ts'
import { csv, files, type FormatSpec, json, parquet, pipeline, to, verify } from '../../src/index.ts'
import { defineSource } from '../../src/plan/source.ts'
import { expectConfigError } from '../operators/flow.ts'
import { failure, type Lab, openLab, run, sourceOf, type WindowedFlow } from './harness.ts'

let lab: Lab
beforeEach(async () => {
  lab = await openLab()
})
afterEach(() => lab[Symbol.asyncDispose]())

const columns = { t: 'TIMESTAMP NOT NULL', v: 'BIGINT NOT NULL', n: 'INTEGER', d: 'DATE' }

async function rowsOf(format: FormatSpec, more: Partial<WindowedFlow> = {}) {
  const flow = sourceOf(lab, { columns, format, rescue: 'rescued', ...more })
  const converted = pipeline(
    'kept',
    { checkpoint: lab.checkpoint },
    flow.pipe(to(files(lab.output, { format: 'parquet' }))),
  )
  const { totals, run: told } = await run(converted)
  expect(await verify(converted, { checkpoint: lab.checkpoint, threads: 2, memory: '500MB' })).toMatchObject({
    differences: [],
  })
  const rows = (await lab.rows()).map(row => Object.fromEntries(Object.entries(row).filter(([name]) => name !== 't')))
  return {
    rows,
    quarantined: totals.quarantinedRows,
    kept: told.rescuedRows,
    reasons: told.setAside.map(({ reason }) => reason),
  }
}

/** The same rows, each with what does not fit: 1.5 is no INTEGER, 'x' no DATE. Two objects, so that small ones share a table. */
const inputs: Readonly<Record<string, () => Promise<FormatSpec>>> = {
  async parquet() {
    const values = (rows: string) => `SELECT TIMESTAMP '2024-01-01' AS t, * FROM (VALUES ${rows}) AS _(v, n, d)`
    await lab.parquet('1.parquet', values("(1, 5::DOUBLE, '2024-01-01'), (2, 1.5, 'x'), (3, NULL, NULL)"))
    await lab.parquet('2.parquet', values("(4, 2.5::DOUBLE, '2024-01-01')"))
    return parquet()
  },
  async json() {
    const line = (v: number, n: unknown, d: unknown) => JSON.stringify({ t: '2024-01-01', v, n, d })
    await lab.lines('1.json', [line(1, 5, '2024-01-01'), line(2, 1.5, 'x'), line(3, null, null)])
    await lab.lines('2.json', [line(4, 2.5, '2024-01-01')])
    return json()
  },
  async csv() {
    await lab.lines('1.csv', ['t,v,n,d', '2024-01-01,1,5,2024-01-01', '2024-01-01,2,1.5,x', '2024-01-01,3,,'])
    await lab.lines('2.csv', ['t,v,n,d', '2024-01-01,4,2.5,2024-01-01'])
    return csv()
  },
}

describe.each(Object.keys(inputs))('rescue over %s', name => {
  test('keeps what did not fit as JSON beside the row (S17)', async () => {
    const format = await (inputs[name] as () => Promise<FormatSpec>)()
    const { rows, quarantined, kept } = await rowsOf(format)
    expect(rows).toEqual([
      { v: '1', n: '5', d: '2024-01-01', rescued: null },
      { v: '2', n: null, d: null, rescued: '{"n":"1.5","d":"x"}' },
      { v: '3', n: null, d: null, rescued: null },
      { v: '4', n: null, d: '2024-01-01', rescued: '{"n":"2.5"}' },
    ])
    expect([quarantined, kept]).toEqual([0, 2])
  })
})

describe('rescue', () => {
  test('leaves what makes no row: what cannot be parsed, NOT NULL, and the event time', async () => {
    await lab.lines('1.json', [
      '{"t":"2024-01-01","v":1,"n":"?"}',
      'no JSON',
      '{"t":"2024-01-01","v":"?","n":"?"}',
      '{"t":"2024-01-01","n":"?"}',
      '{"t":"?","v":5}',
    ])
    const { rows, quarantined, kept } = await rowsOf(json(), { onBadRow: 'quarantine' })
    expect(rows).toEqual([{ v: '1', n: null, d: null, rescued: '{"n":"?"}' }])
    expect([quarantined, kept]).toEqual([4, 1])
  })

  test('an event time that may be NULL is not rescued: it would be a row of no time', async () => {
    await lab.lines('1.json', ['{"t":"?","v":5}'])
    const error = await failure(rowsOf(json(), { columns: { ...columns, t: 'TIMESTAMP' } }))
    expect(error.message).toContain("row 0, column 't': expected TIMESTAMP, found '?'")
  })

  test('takes every value of a column that is never of its type, and no other object is set aside', async () => {
    await lab.parquet(
      '1.parquet',
      "SELECT TIMESTAMP '2024-01-01' AS t, 1 AS v, {a: 1} AS n, i::TIME AS d FROM (VALUES ('05:00'), (NULL)) AS _(i)",
    )
    expect((await rowsOf(parquet())).rows).toEqual([
      { v: '1', n: null, d: null, rescued: `{"n":"{'a': 1}","d":"05:00:00"}` },
      { v: '1', n: null, d: null, rescued: `{"n":"{'a': 1}"}` },
    ])
  })

  test('a column that is missing is a bad object all the same, and one of the key too', async () => {
    await lab.lines('dt=x/1.csv', ['t,v', '2024-01-01,1'])
    expect((await rowsOf(csv())).reasons).toEqual(["column 'n' is missing; expected INTEGER, the object has t, v"])
  })

  test('names that are no identifiers, and values with quotes, stay what they are', async () => {
    await lab.lines('1.json', [JSON.stringify({ t: '2024-01-01', 'a "b\'': 'c "d\'' })])
    const { rows } = await rowsOf(json(), { columns: { t: 'TIMESTAMP', 'a "b\'': 'BIGINT' } })
    expect(rows).toEqual([{ 'a "b\'': null, rescued: '{"a \\"b\'":"c \\"d\'"}' }])
  })

  test('a field that never fits is not told of as one that no line has', async () => {
    await lab.lines('1.json', ['{"t":"2024-01-01","v":1,"n":"?"}'])
    const definition = defineSource('in', {
      objects: lab.input,
      format: json(),
      columns,
      time: 't',
      rescue: 'rescued',
    } as never)
    const store = createDirectoryStore(lab.input)
    for await (const version of store.list('', undefined, new AbortController().signal))
      expect((await tryObject(components, definition, store, version)).nullColumns).toEqual(['d'])
  })

  test.each([
    ['V', "a name that differs from 'v' in more than case, as SQL ignores case"],
    ['_rescued', "a column name that does not start with '_' (millrace's own do)"],
  ])('is a column of its own: %s', (rescue, expected) => {
    const options = { objects: 'in', format: json(), columns, time: 't', rescue } as never
    expectConfigError(() => defineSource('in', options), 'source in: rescue', `'${rescue}'`, expected)
  })
})
