import type { Executor } from '../../src/core/ports.ts'
import { id, rowsSql } from '../../src/plan/sql.ts'
import type { ColumnStatistics, LakeColumn } from './statistics.ts'

/** SQL: whether a row of `a` and one of `b` have the same key. NULL is a value like others. */
export function isSameKey(key: readonly LakeColumn[], a: string, b: string): string {
  return key.map(({ name }) => `${a}.${id(name)} IS NOT DISTINCT FROM ${b}.${id(name)}`).join(' AND ')
}

/** SQL: rows of a relation whose key is not among those of the changes. */
export function rowsWithoutKeys(rows: string, changes: string, key: readonly LakeColumn[]): string {
  return `SELECT a.* FROM ${rows} AS a ANTI JOIN ${changes} AS b ON ${isSameKey(key, 'a', 'b')}`
}

/** SQL: rows of a relation whose key is among those of the changes. */
export function rowsWithKeys(rows: string, changes: string, key: readonly LakeColumn[]): string {
  return `SELECT a.* FROM ${rows} AS a SEMI JOIN ${changes} AS b ON ${isSameKey(key, 'a', 'b')}`
}

/** What is known of the values that a file has in the columns of a key. */
export type KeyBounds = Readonly<Record<string, ColumnStatistics | undefined>>

/** So many pairs of a file and a key are compared at most; where there are more, the range of all keys decides. */
const pairsMax = 20_000_000

/**
 * The files that may hold a key of the changes, by their places in the list.
 *
 * @param changes a relation that has the columns of the key
 * @param upTo SQL: the greatest value that a file of this bound may hold. Default: the bound
 */
export async function filesThatMayHold(
  executor: Executor,
  files: readonly KeyBounds[],
  changes: string,
  key: readonly LakeColumn[],
  upTo: (bound: string, column: LakeColumn) => string = bound => bound,
): Promise<readonly number[]> {
  if (files.length === 0) return []
  const types = Object.fromEntries([
    ['file', 'INTEGER'],
    ...key.flatMap(({ sql }, index) => [
      [`min_${index}`, sql],
      [`max_${index}`, sql],
      [`nulls_${index}`, 'BIGINT'],
    ]),
  ]) as Readonly<Record<string, string>>
  const bounds = files.map((file, number) =>
    Object.fromEntries([
      ['file', number],
      ...key.flatMap(({ name }, index) => [
        [`min_${index}`, file[name]?.min ?? null],
        [`max_${index}`, file[name]?.max ?? null],
        [`nulls_${index}`, file[name]?.nulls ?? null],
      ]),
    ]),
  )
  const tables = ['_bounds', '_keys'].map(name => `CREATE OR REPLACE TEMP TABLE ${name} AS `)
  await executor.run(`${tables[0]}${rowsSql(bounds, types)}`)
  await executor.run(`${tables[1]}SELECT DISTINCT ${key.map(({ name }) => id(name)).join(', ')} FROM ${changes}`)
  const [count] = await executor.rows('SELECT (SELECT count(*) FROM _bounds) * (SELECT count(*) FROM _keys) AS pairs')
  const found = await executor.rows(Number(count?.pairs) > pairsMax ? byRange(key, upTo) : byEachKey(key, upTo))
  await executor.run('DROP TABLE _bounds; DROP TABLE _keys')
  return found.map(({ file }) => Number(file)).toSorted((a, b) => a - b)
}

type UpTo = (bound: string, column: LakeColumn) => string

function byEachKey(key: readonly LakeColumn[], upTo: UpTo): string {
  const mayHold = key.map((column, index) => {
    const value = `k.${id(column.name)}`
    const isWithin = `${value} >= f.min_${index} AND ${value} <= ${upTo(`f.max_${index}`, column)}`
    // What is not known is NULL, and may be.
    return `CASE WHEN ${value} IS NULL THEN coalesce(f.nulls_${index} > 0, true) ELSE coalesce(${isWithin}, true) END`
  })
  return `SELECT file FROM _bounds AS f SEMI JOIN _keys AS k ON ${mayHold.join(' AND ')}`
}

function byRange(key: readonly LakeColumn[], upTo: UpTo): string {
  const items = key.flatMap(({ name }, index) => [
    `min(${id(name)}) AS least_${index}`,
    `max(${id(name)}) AS greatest_${index}`,
    `bool_or(${id(name)} IS NULL) AS has_null_${index}`,
  ])
  const mayHold = key.map((column, index) => {
    const isWithin = `k.greatest_${index} >= f.min_${index} AND k.least_${index} <= ${upTo(`f.max_${index}`, column)}`
    return `((k.has_null_${index} AND coalesce(f.nulls_${index} > 0, true)) OR coalesce(${isWithin}, true))`
  })
  return `SELECT file FROM _bounds AS f, (SELECT ${items.join(', ')} FROM _keys) AS k WHERE ${mayHold.join(' AND ')}`
}
