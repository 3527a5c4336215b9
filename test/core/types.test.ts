import { describe, expect, expectTypeOf, test } from 'vitest'
import { nearestName } from '../../src/core/nearest.ts'
import {
  type Base,
  type Columns,
  type KeysOf,
  type NotNull,
  type Numeric,
  type Row,
  type SumOf,
  type Time,
  columnsOf,
  parseColumnType,
} from '../../src/core/types.ts'

test('DEFAULT and FROM are no part of a type', () => {
  expectTypeOf<Base<"VARCHAR NOT NULL DEFAULT 'a FROM b'">>().toEqualTypeOf<'VARCHAR'>()
  expectTypeOf<Base<'DECIMAL(18,2) FROM x'>>().toEqualTypeOf<'DECIMAL(18,2)'>()
  expectTypeOf<NotNull<'DATE FROM KEY'>>().toEqualTypeOf<'DATE NOT NULL'>()
  expectTypeOf<NotNull<'DATE NOT NULL FROM KEY'>>().toEqualTypeOf<'DATE NOT NULL'>()
  expectTypeOf<KeysOf<{ a: 'DATE FROM KEY'; b: 'BIGINT DEFAULT 0' }, Time>>().toEqualTypeOf<'a'>()
  expectTypeOf<SumOf<'DECIMAL(18,2) DEFAULT 0'>>().toEqualTypeOf<'DECIMAL(38,2)'>()
  expectTypeOf<Row<{ a: 'BIGINT DEFAULT 0'; b: 'BIGINT NOT NULL FROM x' }>>().toEqualTypeOf<{
    a: bigint | null
    b: bigint
  }>()
})

describe('S21: SQL type names are the schema language', () => {
  test.each([
    ['BIGINT', { name: 'BIGINT', list: false, nullable: true, sql: 'BIGINT' }],
    [' timestamp  not null ', { name: 'TIMESTAMP', list: false, nullable: false, sql: 'TIMESTAMP' }],
    ['TIMESTAMPTZ NOT NULL', { name: 'TIMESTAMPTZ', list: false, nullable: false, sql: 'TIMESTAMPTZ' }],
    ['VARCHAR[]', { name: 'VARCHAR', list: true, nullable: true, sql: 'VARCHAR[]' }],
    ['BIGINT[] NOT NULL', { name: 'BIGINT', list: true, nullable: false, sql: 'BIGINT[]' }],
    ['DECIMAL(18,2)', { name: 'DECIMAL', precision: 18, scale: 2, list: false, nullable: true, sql: 'DECIMAL(18,2)' }],
    ['DECIMAL(18, 2)', { name: 'DECIMAL', precision: 18, scale: 2, list: false, nullable: true, sql: 'DECIMAL(18,2)' }],
    [
      'decimal(38,38) NOT NULL',
      { name: 'DECIMAL', precision: 38, scale: 38, list: false, nullable: false, sql: 'DECIMAL(38,38)' },
    ],
    [
      'DECIMAL(18,2)[]',
      { name: 'DECIMAL', precision: 18, scale: 2, list: true, nullable: true, sql: 'DECIMAL(18,2)[]' },
    ],
    [
      'STRUCT(value DECIMAL(18,2), count BIGINT)[] NOT NULL',
      {
        name: 'STRUCT',
        value: { name: 'DECIMAL', precision: 18, scale: 2, list: false, nullable: true, sql: 'DECIMAL(18,2)' },
        list: true,
        nullable: false,
        sql: 'STRUCT("value" DECIMAL(18,2), count BIGINT)[]',
      },
    ],
  ])('S21: %s is read', (text, parsed) => {
    expect(parseColumnType(text, 'columns.c')).toEqual(parsed)
  })

  test.each([
    ['HUGEINT', "columns.c: 'HUGEINT' is not valid; expected DECIMAL(38,0), as HUGEINT becomes DOUBLE in Parquet"],
    ['HUGEINT NOT NULL', 'DECIMAL(38,0)'],
    ['BIGNIT', 'expected BIGINT, or another of BOOLEAN'],
    ['INT', 'expected INTEGER'],
    ['STRING', 'expected VARCHAR'],
    ['TIMESTAMP WITH TIME ZONE', 'expected TIMESTAMPTZ'],
    ['DECIMAL', 'DECIMAL(precision,scale), for example'],
    ['DECIMAL(18)', 'DECIMAL(precision,scale), for example'],
    ['DECIMAL(39,2)', 'precision 1 to 38'],
    ['DECIMAL(0,0)', 'precision 1 to 38'],
    ['DECIMAL(2,3)', 'scale 0 to precision'],
    ['BIGINT[][]', 'or another of BOOLEAN'],
    ['STRUCT(a INTEGER)', 'one of'],
    ['', 'one of'],
    ['BIGINT); DROP TABLE x; --', 'one of'],
    ['constructor', 'one of'],
  ])('S21: %s is refused: %s', (text, message) => {
    expect(() => parseColumnType(text, 'columns.c')).toThrow(message)
  })

  test('S21: a type that is no text is refused', () => {
    expect(() => parseColumnType(5 as unknown as string, 'columns.c')).toThrow('columns.c: 5 is not valid')
  })
})

describe('columns', () => {
  test('columns keep their declared order', () => {
    const parsed = columnsOf({ b: 'BIGINT', a: 'DECIMAL(18, 2) NOT NULL' }, 'columns')
    expect(Object.entries(parsed).map(([name, type]) => [name, type.sql])).toEqual([
      ['b', 'BIGINT'],
      ['a', 'DECIMAL(18,2)'],
    ])
  })

  test.each([
    [{}, 'at least one column'],
    [{ a: 'BIGINT', A: 'BIGINT' }, "differs from 'a' in more than case"],
    [{ _seq: 'BIGINT' }, "does not start with '_'"],
    [{ '': 'BIGINT' }, 'not empty'],
    [{ ' ': 'BIGINT' }, 'not empty'],
    [{ 'a\0': 'BIGINT' }, 'valid Unicode'],
    [{ a: 'HUGEINT' }, 'columns.a'],
    [{ a: 'STRUCT(value BIGINT, count BIGINT)[]' }, 'expected JSON, as only topK makes this type'],
  ])('columns %j are refused: %s', (columns, message) => {
    expect(() => columnsOf(columns as Record<string, string>, 'columns')).toThrow(message)
  })
})

test.each([
  ['totl', 'total'],
  ['TOTAL', 'total'],
  ['ttal_amount', 'total_amount'],
  ['zzz', undefined],
])('the nearest name to %s is %s', (wanted, nearest) => {
  expect(nearestName(wanted, ['total', 'total_amount', 'zone'])).toBe(nearest)
})

test('S21: tsc reads the same types', () => {
  interface C {
    readonly b: 'BIGINT'
    readonly d: 'DECIMAL(18, 2) NOT NULL'
    readonly e: 'DECIMAL(9,3)'
    readonly t: 'TIMESTAMP NOT NULL'
    readonly l: 'VARCHAR[]'
    readonly f: 'FLOAT'
  }
  expectTypeOf<Row<C>>().toEqualTypeOf<{
    readonly b: bigint | null
    readonly d: string
    readonly e: string | null
    readonly t: Date
    readonly l: (string | null)[] | null
    readonly f: number | null
  }>()
  expectTypeOf<KeysOf<C, Numeric>>().toEqualTypeOf<'b' | 'd' | 'e' | 'f'>()
  expectTypeOf<KeysOf<C, Time>>().toEqualTypeOf<'t'>()
  expectTypeOf<SumOf<'DECIMAL(18, 2) NOT NULL'>>().toEqualTypeOf<'DECIMAL(38,2)'>()
  expectTypeOf<SumOf<'DECIMAL(18,2)'>>().toEqualTypeOf<'DECIMAL(38,2)'>()
  expectTypeOf<SumOf<'BIGINT NOT NULL'>>().toEqualTypeOf<'DECIMAL(38,0)'>()
  expectTypeOf<SumOf<'FLOAT'>>().toEqualTypeOf<'DOUBLE'>()
  expectTypeOf<NotNull<'BIGINT'>>().toEqualTypeOf<'BIGINT NOT NULL'>()
  const columns = { b: 'BIGINT', d: 'DECIMAL(18, 2) NOT NULL', l: 'BIGINT[] NOT NULL' } as const satisfies Columns
  expect(Object.keys(columnsOf(columns, 'columns'))).toEqual(['b', 'd', 'l'])
  // @ts-expect-error HUGEINT is no declarable type.
  const bad: Columns = { h: 'HUGEINT' }
  expect(() => columnsOf(bad, 'columns')).toThrow('HUGEINT')
})
