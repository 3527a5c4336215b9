import { describe, expect, test } from 'vitest'
import { folderOf, type PartitionBy, partitionsOf, valuesOf } from '../../../connectors/files/partitions.ts'

const columns = {
  zone: 'VARCHAR',
  n: 'BIGINT NOT NULL',
  fare: 'DOUBLE',
  tags: 'VARCHAR[]',
  day: 'DATE',
  t: 'TIMESTAMP NOT NULL',
  until: 'TIMESTAMPTZ',
}
const at = 'flow-1: files: partitionBy'
const partitions = (by: PartitionBy) => partitionsOf(by, columns, at)
const folder = (...values: (string | null)[]) => folderOf(partitions(['zone', 'n'].slice(0, values.length)), values, at)

test.each([
  [{ year: 't' }, [['year', '%Y']]],
  [{ month: 't' }, [['month', '%Y-%m']]],
  [{ hour: 'until' }, [['hour', '%Y-%m-%dT%H']]],
  [
    { year: 't', month: 't', hour: 't', day: 't' } as const,
    [
      ['year', '%Y'],
      ['month', '%m'],
      ['day', '%d'],
      ['hour', '%H'],
    ],
  ],
  [
    { month: 't', day: 't' },
    [
      ['month', '%Y-%m'],
      ['day', '%d'],
    ],
  ],
])('%j: the first part in full, those below it what is finer', (by, expected) => {
  const { day: _, ...others } = columns
  const found = partitionsOf(by as PartitionBy, others, at)
  expect(found.map(({ name, sql }) => [name, /'(.*)'/.exec(sql)?.[1]])).toEqual(expected)
})

test.each([
  [
    ['zne'],
    "'zne' is not valid; expected a column of the flow: zone, n, fare, tags, day, t, until (did you mean 'zone'?).",
  ],
  [['fare'], "'fare DOUBLE' is not valid; expected a column of text, whole numbers"],
  [['tags'], "'tags VARCHAR[]' is not valid"],
  [['zone', 'zone'], "'zone' is not valid; expected each folder named once."],
  [{}, "{} is not valid; expected a column, or { day: 'window_start' }."],
  [{ year: 't', day: 't' }, 'expected parts of the calendar without a gap'],
  [{ year: 't', month: 'until' }, 'expected parts of one column'],
  [{ hour: 'day' }, "'day DATE' is not valid; expected a TIMESTAMP or TIMESTAMPTZ column, or a DATE"],
  [{ month: 'zone' }, "'zone VARCHAR' is not valid; expected a TIMESTAMP"],
  [{ day: 't' }, "'day' is not valid; expected no column of that name beside it"],
] as const)('%j is refused', (by, message) => {
  expect(() => partitions(by as PartitionBy)).toThrow(
    expect.objectContaining({ kind: 'user', message: expect.stringContaining(message) }),
  )
})

describe('folders', () => {
  // FileUtils.escapePathName of Hive, as Spark's ExternalCatalogUtils has it.
  const escaped = [...'"#%\'*/:=?\\{[]^\u007f'].concat(
    Array.from({ length: 32 }, (_, code) => String.fromCharCode(code)),
  )

  test.each(escaped.map(character => [character.charCodeAt(0), character]))('character %i is escaped', (code, one) => {
    const name = folder(`a${String(one)}b`)
    expect(name).toBe(`zone=a%${Number(code).toString(16).toUpperCase().padStart(2, '0')}b/`)
    expect(valuesOf(`${name}part-1.parquet`)).toEqual([`a${String(one)}b`])
  })

  test.each([
    ['JFK & LaGuardia', 'zone=JFK & LaGuardia/'],
    ['é😀 +~,.', 'zone=é😀 +~,./'],
    [null, 'zone=__HIVE_DEFAULT_PARTITION__/'],
    ['__HIVE_DEFAULT_PARTITION__', 'zone=%5F_HIVE_DEFAULT_PARTITION__/'],
  ])('%s is %s, and comes back', (value, name) => {
    expect(folder(value)).toBe(name)
    expect(valuesOf(`${name}part-00000001-flow-1.parquet`)).toEqual([value])
  })

  test('lie in each other', () => {
    expect(folder('a', '-5')).toBe('zone=a/n=-5/')
    expect(valuesOf('zone=a/n=-5/part-1.csv.gz')).toEqual(['a', '-5'])
  })

  test('have names that file systems take', () => {
    expect(folder('x'.repeat(250))).toHaveLength(256)
    expect(() => folder('x'.repeat(251))).toThrow("a value of 'zone' makes a folder of 256 bytes, 'zone=xxx")
  })
})
