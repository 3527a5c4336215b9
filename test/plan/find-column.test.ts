import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { columnsRead, findColumn, leavesOf, type OwnColumn } from '../../src/plan/find-column.ts'

const own: readonly OwnColumn[] = [
  { name: 'v' },
  { name: 'V' },
  { name: 'V_1' },
  { name: 'twice' },
  { name: 'twice' },
  { name: 'Airport_Fee' },
  { name: 'place', fields: [{ name: 'Zone', fields: [{ name: 'id' }, { name: 'ID' }] }, { name: 'a.b' }] },
  { name: 'place.flat' },
]
const missing = { is: 'missing' }
const found = (...at: readonly number[]) => ({ is: 'found', at })
const ambiguous = (...names: readonly string[]) => ({ is: 'ambiguous', names })

test.each([
  ['v', found(0)],
  ['V', found(1)],
  ['v_1', found(2)],
  ['v_2', missing],
  ['twice', ambiguous('twice', 'twice')],
  ['TWICE', ambiguous('twice', 'twice')],
  ['airport_fee', found(5)],
  ['place', found(6)],
  ['PLACE.zone', found(6, 0)],
  ['place.zone.ID', found(6, 0, 1)],
  ['place.zone.Id', ambiguous('place.Zone.id', 'place.Zone.ID')],
  ['place.zone.id.x', missing],
  ['place.A.b', found(6, 1)],
  ['Place.Flat', found(7)],
  ['place.nope', missing],
  ['v.x', missing],
  ['.', missing],
])('%s: %j', (declared, expected) => expect(findColumn(declared, own)).toEqual(expected))

test('columns that are read and names that can be declared', () => {
  expect([...columnsRead(['V', 'place.zone.id', 'nope', 'twice'], own)]).toEqual([1, 6])
  expect(
    leavesOf(own)
      .slice(5)
      .map(({ name }) => name),
  ).toEqual(['Airport_Fee', 'place.Zone.id', 'place.Zone.ID', 'place.a.b', 'place.flat'])
})

describe('of any columns', () => {
  const names = fc.array(fc.constantFrom('a', 'A', 'ab', 'Ab', 'AB', 'é', 'É', 'ſ', 's'), { maxLength: 6 })
  test('the exact name comes first, then the only one without regard to case, whatever the order', () => {
    fc.assert(
      fc.property(names, fc.constantFrom('a', 'Ab', 'É', 's', 'S'), (others: readonly string[], declared: string) => {
        const result = findColumn(
          declared,
          others.map(name => ({ name })),
        )
        const exact = others.filter(name => name === declared)
        const same = exact.length > 0 ? exact : others.filter(name => name.toLowerCase() === declared.toLowerCase())
        if (same.length === 0) expect(result).toEqual(missing)
        else if (same.length > 1) expect(result).toEqual(ambiguous(...same))
        else expect(result).toEqual(found(others.indexOf(same[0] as string)))
      }),
    )
  })
})
