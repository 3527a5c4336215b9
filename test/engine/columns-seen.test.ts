import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { columnsSeenJson, namesMax, newColumnsText, seeColumns } from '../../src/engine/read/columns-seen.ts'
import type { MarkedObject } from '../../src/engine/read/marked-object.ts'
import { engineRecords } from '../../src/engine/state/engine-state.ts'
import { count, csv, type FormatSpec, json, parquet } from '../../src/index.ts'
import { logRecords } from '../../src/status/log-records.ts'
import { followUntil, type Lab, openLab, run, windowed } from './harness.ts'

let lab: Lab
beforeEach(async () => {
  lab = await openLab()
})
afterEach(() => lab[Symbol.asyncDispose]())

/** Writes a month with these columns beside the time. */
const months: Readonly<
  Record<string, { format: FormatSpec; put(key: string, names: readonly string[]): Promise<unknown> }>
> = {
  parquet: {
    format: parquet(),
    put: (key, names) =>
      lab.parquet(
        `${key}.parquet`,
        `SELECT TIMESTAMP '2024-01-01' AS t${names.map(name => `, 1 AS "${name}"`).join('')}`,
      ),
  },
  json: {
    format: json(),
    put: (key, names) =>
      lab.lines(`${key}.json`, [
        JSON.stringify({ t: '2024-01-01', ...Object.fromEntries(names.map(name => [name, 1])) }),
      ]),
  },
  csv: {
    format: csv(),
    put: (key, names) =>
      lab.lines(`${key}.csv`, [['t', ...names].join(), ['2024-01-01', ...names.map(() => 1)].join()]),
  },
}

describe.each(Object.keys(months))('columns that nobody declared, of %s', name => {
  const { format, put } = months[name] as (typeof months)[string]
  const flow = () =>
    windowed(lab, lab, {
      columns: { t: 'TIMESTAMP', v: 'BIGINT DEFAULT 0 FROM v' },
      format,
      aggregates: { n: count() },
    })
  const told = async (objectsPerEpoch = 100) => (await run(flow(), { objectsPerEpoch })).run.newColumns

  test.each([1, 100])(
    'are named once, with the first object that has them, %i objects an epoch',
    async objectsPerEpoch => {
      await put('1', ['v', 'old'])
      await put('2', ['v', 'old', 'fee'])
      await put('3', ['fee', "a 'b"])
      expect(await told(objectsPerEpoch)).toEqual([
        { source: 'in', column: 'fee', object: `2.${name}` },
        { source: 'in', column: "a 'b", object: `3.${name}` },
      ])
      // The checkpoint remembers them, so that a later run names what is new to it only.
      await put('4', ['v', 'fee', 'late'])
      expect(await told()).toEqual([{ source: 'in', column: 'late', object: `4.${name}` }])
      expect(await told()).toEqual([])
    },
  )

  test('of a run that follows are an event, which the log tells', async () => {
    await put('1', [])
    await run(flow())
    await put('2', ['fee'])
    const events = (await followUntil(flow(), 'epoch')).filter(({ is }) => is === 'new-columns')
    expect(events).toEqual([{ is: 'new-columns', source: 'in', columns: [{ column: 'fee', object: `2.${name}` }] }])
    expect(events.flatMap(logRecords)).toMatchObject([
      {
        level: 'info',
        message: `source in does not declare 'fee' in '2.${name}', which no object before had. Declare what is wanted, with DEFAULT for those before.`,
      },
    ])
  })
})

describe('fields of JSON that later objects do not have', () => {
  const flow = (more: object = {}) =>
    windowed(lab, lab, {
      columns: { t: 'TIMESTAMP', a: 'BIGINT', b: 'BIGINT', ...more },
      format: json(),
      aggregates: { n: count() },
    })
  const put = (key: string, fields: object, rows = 1) =>
    lab.lines(
      `${key}.json`,
      Array.from({ length: rows }, () => JSON.stringify({ t: '2024-01-01', ...fields })),
    )

  test.each([1, 100])('are named, with where they were last, %i objects an epoch', async objectsPerEpoch => {
    await put('1', { a: 1, b: 1 })
    await put('2', { a: 1, b: 1 })
    await put('3', { a: 1, b: null }, 2)
    await put('4', { a: 1 }, 3)
    const gone = { source: 'in', column: 'b', last: '2.json', since: '3.json', objects: 2, rows: 5 }
    expect((await run(flow(), { objectsPerEpoch })).run.goneFields).toEqual([gone])
    // Nothing was read: nothing is told. The next object without it is told of with those before.
    expect((await run(flow())).run.goneFields).toEqual([])
    await put('5', { a: 1 })
    expect((await run(flow())).run.goneFields).toEqual([{ ...gone, objects: 3, rows: 6 }])
    await put('6', { b: 1 })
    expect((await run(flow())).run.goneFields).toEqual([
      { source: 'in', column: 'a', last: '5.json', since: '6.json', objects: 1, rows: 1 },
    ])
  })

  test('are none that never were, nor those with a default', async () => {
    await put('1', { b: 1 })
    await put('2', {})
    expect((await run(flow({ b: 'BIGINT DEFAULT NULL' }))).run.goneFields).toEqual([])
  })

  test('of a run that follows are told when enough rows lack them, once', async () => {
    await put('1', { a: 1, b: 1 })
    await put('2', { a: 1 }, 999)
    await run(flow())
    await put('3', { a: 1 }, 2)
    const events = (await followUntil(flow(), 'epoch')).filter(({ is }) => is === 'gone-field')
    const field = { column: 'b', last: '1.json', since: '2.json', objects: 2, rows: 1001 }
    expect(events).toEqual([{ is: 'gone-field', source: 'in', field }])
    expect(events.flatMap(logRecords)).toMatchObject([
      {
        level: 'warn',
        message:
          "field 'b' of source in had values up to '1.json', and the 2 objects from '2.json' on have none in 1001 rows: it is NULL there. Was it renamed?",
      },
    ])
  })
})

test('a checkpoint of an earlier release knows no columns, and the next object is where it begins (P14)', () => {
  const plan = { pipeline: 'p', nodes: [{ id: '1', op: 'source', options: { name: 'in' }, inputs: [] }], flows: {} }
  const { sources } = engineRecords({ engine: { plan, settings: {}, positions: { t: 1 } } } as never)
  expect(sources).toEqual({ in: { positions: { t: 1 }, historyToMs: null, columnsSeen: null, due: null } })
})

test('names that are remembered have a limit: objects whose keys are data are told of no more', () => {
  const object = (key: string, names: readonly string[]) =>
    ({
      version: { key },
      rows: 1,
      quarantinedRows: 0,
      columns: { undeclared: names, withValues: [], asked: [] },
    }) as unknown as MarkedObject
  const { seen, found } = seeColumns(null, [
    object('1', []),
    object(
      '2',
      Array.from({ length: 2 * namesMax }, (_, index) => `k${index}`),
    ),
    object('3', ['more']),
  ])
  expect(found).toHaveLength(namesMax)
  expect(columnsSeenJson(seen as NonNullable<typeof seen>)).toMatchObject({ fields: {} })
  expect(newColumnsText('in', found)).toContain(`'k19' in '2' and ${namesMax - 20} more, which no object`)
})
