import { expect, test } from 'vitest'
import { commonType } from '../../src/plan/common-type.ts'

test.each([
  ['BIGINT', 'BIGINT', 'BIGINT'],
  ['INTEGER', 'BIGINT', 'BIGINT'],
  ['TINYINT', 'SMALLINT', 'SMALLINT'],
  ['BIGINT', 'UBIGINT', 'DECIMAL(20,0)'],
  ['BIGINT', 'DOUBLE', 'DOUBLE'],
  ['FLOAT', 'DOUBLE', 'DOUBLE'],
  ['FLOAT', 'FLOAT', 'FLOAT'],
  ['DECIMAL(10,2)', 'DECIMAL(8,4)', 'DECIMAL(12,4)'],
  ['DECIMAL(10,2)', 'INTEGER', 'DECIMAL(12,2)'],
  ['DECIMAL(38,2)', 'DECIMAL(38,10)', 'DOUBLE'],
  ['DECIMAL(10,2)', 'DOUBLE', 'DOUBLE'],
  ['DATE', 'TIMESTAMP', 'TIMESTAMP'],
  ['TIMESTAMP', 'TIMESTAMPTZ', 'TIMESTAMPTZ'],
  ['INTEGER', 'TIMESTAMP', 'TIMESTAMP'],
  ['BIGINT', 'TIMESTAMP', 'VARCHAR'],
  ['INTEGER', 'VARCHAR', 'VARCHAR'],
  ['UUID', 'BIGINT', 'VARCHAR'],
  ['BOOLEAN', 'DOUBLE', 'VARCHAR'],
  ['INTEGER[]', 'BIGINT[]', 'BIGINT[]'],
  ['INTEGER[]', 'VARCHAR[]', 'VARCHAR[]'],
  ['BIGINT[]', 'BIGINT', 'JSON'],
  ['JSON', 'DOUBLE', 'JSON'],
  ['JSON', 'VARCHAR', 'VARCHAR'],
  ['BLOB', 'VARCHAR', 'VARCHAR'],
  ['BLOB', 'BIGINT[]', null],
])('%s and %s make %s, either way round', (a, b, common) => {
  expect(commonType(a, b)).toBe(common)
  expect(commonType(b, a)).toBe(common)
})
