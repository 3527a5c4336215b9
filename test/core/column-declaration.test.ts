import { describe, expect, test } from 'vitest'
import { declarationsOf } from '../../src/core/column-declaration.ts'
import { expectConfigError } from '../operators/flow.ts'

const of = (text: string) => {
  const { type, ...clauses } = declarationsOf({ c: text }, 'columns').c ?? {}
  return [type?.nullable ? type.sql : `${type?.sql} NOT NULL`, clauses]
}
const grammar = 'TYPE [NOT NULL] [DEFAULT literal] [FROM name|KEY|META]'

describe('a declaration is TYPE [NOT NULL] [DEFAULT literal] [FROM name|KEY|META]', () => {
  test.each<readonly [string, string, object]>([
    ['DOUBLE', 'DOUBLE', {}],
    ['DOUBLE DEFAULT NULL', 'DOUBLE', { ifMissing: null }],
    [' double  default  null ', 'DOUBLE', { ifMissing: null }],
    ["VARCHAR DEFAULT 'none'", 'VARCHAR', { ifMissing: 'none' }],
    ["VARCHAR DEFAULT''", 'VARCHAR', { ifMissing: '' }],
    ["VARCHAR NOT NULL DEFAULT 'it''s FROM x DEFAULT y'", 'VARCHAR NOT NULL', { ifMissing: "it's FROM x DEFAULT y" }],
    ['BIGINT NOT NULL DEFAULT -5', 'BIGINT NOT NULL', { ifMissing: '-5' }],
    ['DECIMAL(18, 2) DEFAULT 0.50', 'DECIMAL(18,2)', { ifMissing: '0.50' }],
    ['DOUBLE DEFAULT 1E3', 'DOUBLE', { ifMissing: '1e3' }],
    ['BOOLEAN DEFAULT TRUE', 'BOOLEAN', { ifMissing: 'true' }],
    ["BIGINT[] DEFAULT '[]'", 'BIGINT[]', { ifMissing: '[]' }],
    ['BIGINT FROM PULocationID', 'BIGINT', { from: 'PULocationID' }],
    ['BIGINT from "a ""name"" DEFAULT 1"', 'BIGINT', { from: 'a "name" DEFAULT 1' }],
    ["VARCHAR NOT NULL DEFAULT 'x' FROM address.city", 'VARCHAR NOT NULL', { ifMissing: 'x', from: 'address.city' }],
    ['DATE NOT NULL FROM KEY', 'DATE NOT NULL', { fact: 'key' }],
    ["VARCHAR DEFAULT 'x' FROM KEY", 'VARCHAR', { ifMissing: 'x', fact: 'key' }],
    ['VARCHAR from META', 'VARCHAR', { fact: 'meta' }],
    ['VARCHAR FROM "KEY"', 'VARCHAR', { from: 'KEY' }],
    ['VARCHAR FROM KEYS', 'VARCHAR', { from: 'KEYS' }],
  ])('%s', (text, type, clauses) => {
    expect(of(text)).toEqual([type, clauses])
  })

  const literals =
    "a literal after DEFAULT: NULL, TRUE, FALSE, a number, or text in single quotes, such as DEFAULT 'none'"
  test.each([
    ['VARCHAR DEFAULT none', `${literals}; did you mean DEFAULT 'none'?`],
    ['VARCHAR DEFAULT "none"', `${literals}; did you mean DEFAULT 'none'?`],
    ['VARCHAR DEFAULT', literals],
    ["VARCHAR DEFAULT 'none", literals],
    ['DOUBLE DEFAULT now()', literals],
    ['DOUBLE DEFAULT 1 + 1', `${grammar}, in this order; '+ 1' is left over`],
    [
      'DOUBLE DEFAULT 0 NOT NULL',
      `${grammar}, in this order; 'NOT NULL' is left over; did you mean NOT NULL right behind the type?`,
    ],
    [
      'DOUBLE FROM x DEFAULT 0',
      `${grammar}, in this order; 'DEFAULT 0' is left over; did you mean DEFAULT before FROM?`,
    ],
    ['DOUBLE FROM x y', `${grammar}, in this order; 'y' is left over`],
    ['DOUBLE FROM', 'a name after FROM, such as FROM PULocationID or FROM "a name"; or FROM KEY, FROM META'],
    ["DOUBLE FROM 'x'", 'a name after FROM, such as FROM PULocationID or FROM "a name"; or FROM KEY, FROM META'],
    ['VARCHAR FROM key', `FROM KEY for a value of the object's key, or FROM "key" for a column of that name`],
    ['VARCHAR FROM Meta', `FROM META for one of the object's metadata, or FROM "Meta" for a column of that name`],
    ['BIGINT DEFAULT 0 FROM META', 'no DEFAULT before FROM META, as every object has what is there'],
    ['DOUBLE DEFALT 0', `${grammar}; did you mean DEFAULT instead of DEFALT?`],
    ['DOUBLE NOT NULL FORM x', `${grammar}; did you mean FROM instead of FORM?`],
    ['DOUBLE PRIMARY KEY', `${grammar}, and found PRIMARY behind the type`],
    ['DOUBLE NOT NULL DEFAULT NULL', 'another value than NULL after DEFAULT, or no NOT NULL before it'],
  ])('%s is refused with what was expected', (text, expected) => {
    expectConfigError(() => declarationsOf({ c: text }, 'columns'), 'columns.c', `'${text}'`, expected)
  })

  test('a type that is none is still told as such', () => {
    expect(() => declarationsOf({ c: "STRING DEFAULT 'x'" }, 'columns')).toThrow(
      "columns.c: 'STRING' is not valid; expected VARCHAR.",
    )
    expect(() => declarationsOf({ c: 5 as never }, 'columns')).toThrow('expected a SQL type name as text')
    expect(() => declarationsOf(null as never, 'columns')).toThrow('at least one column')
  })
})
