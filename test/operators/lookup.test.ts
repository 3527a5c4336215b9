import { describe, expect, test } from 'vitest'
import { csv } from '../../connectors/csv/spec.ts'
import { join } from '../../operators/join.ts'
import { lookup } from '../../operators/lookup.ts'
import { planJson } from '../../src/plan/node.ts'
import { createHead, describeOnce, marbles, tripsOf } from './flow.ts'

const untyped = { lookup, join } as unknown as {
  lookup(name: unknown, options: unknown): unknown
  join(other: unknown, options: unknown): never
}
const options = {
  objects: 'ref/zones.csv',
  format: csv(),
  columns: { id: 'BIGINT NOT NULL', part: 'VARCHAR NOT NULL', name: 'VARCHAR', tax: 'DOUBLE NOT NULL' },
  key: ['id', 'part'],
}
const zones = untyped.lookup('zones', options)
const on = { zone: 'id', kind: 'part' }

test('is one step of the plan with one input, which has the settings of the lookup', () => {
  const node = describeOnce(trips => trips.pipe(untyped.join(zones, { on })))
  const [, step] = planJson(node) as readonly { options: { lookup: { columns: object; key: readonly string[] } } }[]
  expect(step).toMatchObject({ op: 'join', options: { on, kind: 'inner', lookup: { name: 'zones', format: 'csv' } } })
  expect(step?.options.lookup).toMatchObject({ columns: options.columns, key: options.key })
  // Where it lies may change between runs.
  expect(JSON.stringify(step)).not.toContain('zones.csv')
})

test('each mini-batch is one with the step, in its own frame', () => {
  const { batch } = createHead()
  marbles(({ cold, expectObservable }) => {
    const flow = tripsOf(cold('a-b|', { a: batch(1), b: batch(2) })).pipe(untyped.join(zones, { on }))
    const seen = (epoch: number) => expect.objectContaining({ epoch })
    expectObservable(flow).toBe('a-b|', { a: seen(1), b: seen(2) })
  })
})

test.each([
  ['inner', { name: 'VARCHAR', tax: 'DOUBLE NOT NULL' }],
  ['left', { name: 'VARCHAR', tax: 'DOUBLE' }],
])('columns of %s: those of the rows, then those of the lookup but for its key', (kind, more) => {
  const { columns } = describeOnce(trips => trips.pipe(untyped.join(zones, { on, kind })))
  expect(Object.entries(columns).slice(-2)).toEqual(Object.entries(more))
  expect(Object.keys(columns)).not.toContain('id')
})

describe('refused', () => {
  const joined = (given: object) => () => describeOnce(trips => trips.pipe(untyped.join(zones, given)))
  test.each([
    [{ on: { zone: 'id' } }, "the key of lookup zones is id, part, and 'part' is not there"],
    [{ on: { zone: 'id', kind: 'name' } }, "'name' is not part of the key of lookup zones, id, part"],
    [{ on: { amount: 'id', kind: 'part' } }, "'amount' is DECIMAL(18,2) and 'id' of the other side BIGINT"],
    [{ on, kind: 'full' }, "kind: 'full' is not valid; expected 'inner' or 'left'"],
    [{ on, within: ['0s', '1 hour'] }, 'lookup zones has no time'],
    [{}, 'join: on is missing'],
  ])('join with %j', (given, message) => {
    expect(joined(given)).toThrow(message)
  })

  const made = (more: object) => () => untyped.lookup('zones', { ...options, ...more })
  test.each([
    [
      { key: ['idd'] },
      "key: 'idd' is not valid; expected one of its columns: id, part, name, tax (did you mean 'id'?)",
    ],
    [{ key: ['name'] }, "expected a column that is NOT NULL, as nothing equals NULL: name: 'VARCHAR NOT NULL'"],
    [{ key: ['id', 'id'] }, "expected each column once; 'id' is there twice"],
    [{ key: [] }, "key: [] is not valid; expected at least one column, such as ['id']"],
    [{ refresh: '0s' }, 'refresh'],
    [{ time: 'at' }, 'time'],
  ])('lookup with %j', (more, message) => {
    expect(made(more)).toThrow(message)
  })

  test('a column that both sides have', () => {
    const same = untyped.lookup('same', { ...options, columns: { ...options.columns, tip: 'DOUBLE' } })
    expect(() => describeOnce(trips => trips.pipe(untyped.join(same, { on })))).toThrow("column 'tip' is on both sides")
  })
})

test.each([
  ['within', ['0 seconds', '1 hour']],
  ['window', true],
] as const)('join with %s is told that a lookup has no time', (name, value) => {
  expect(() => untyped.join(zones, { on, [name]: value })).toThrow(
    new RegExp(`join: ${name}: .* lookup zones has no time`),
  )
})
