import type { Option } from '../src/core/options.ts'
import { whole } from '../src/core/option-kinds.ts'
import type { SqlRow } from '../src/core/ports.ts'
import { parseColumnType } from '../src/core/types.ts'
import { normalKey } from '../src/plan/normal-key.ts'
import { id } from '../src/plan/sql.ts'

/** Columns that must be equal, with their common type. */
export type JoinKeys = readonly { readonly left: string; readonly right: string; readonly type: string }[]

// Pairs grow with the product of a key's rows on both sides. They are counted before they are made.

/** So many, sorted, take about half a minute and a few gigabytes of spill (decision 44). */
export const pairsOfKeyMax = 100_000_000

export const pairsOption = {
  kind: whole(1),
  otherwise: '100000000',
  about: 'Pairs of rows of one key that an epoch may compare; more fail the run before they are made.',
} satisfies Option<number>

/**
 * SQL: the key with the most pairs where these are more than `max`, its columns as text in `_key0` and so on, its rows
 * in `_left` and `_right`, and `_pairs` as text; else no row.
 *
 * @param left and right: rows with the columns of the keys, `_meets` (two rows are compared where this is equal too),
 * `_is_new` (two rows that are not are no pair of this epoch) and `_is_first` (once for each row)
 */
export function crowdedKeySql(keys: JoinKeys, left: string, right: string, max: number): string {
  const key = keys.map((_, index) => `_key${index}`).join(', ')
  const rowsOf = (side: string) => `(SELECT CAST(sum(_rows) AS BIGINT) FROM ${side} SEMI JOIN _worst USING (${key}))`
  return (
    `WITH _l AS MATERIALIZED (${counted(keys, 'left', left)}), ` +
    `_r AS MATERIALIZED (${counted(keys, 'right', right)}), ` +
    `_worst AS MATERIALIZED (SELECT ${key}, sum(_l._all * _r._all - _l._old * _r._old) AS _pairs ` +
    `FROM _l JOIN _r USING (${key}, _meets) GROUP BY ALL HAVING _pairs > ${max} ` +
    `ORDER BY _pairs DESC, ${key} LIMIT 1) ` +
    `SELECT CAST(COLUMNS('^_key|^_pairs') AS VARCHAR), ${rowsOf('_l')} AS _left, ${rowsOf('_r')} AS _right FROM _worst`
  )
}

/**
 * SQL: a row where a key might have more pairs than `max`, by the numbers of rows whose keys have one hash. It costs a
 * small part of the join, and nearly always tells that nothing more need be counted.
 *
 * @param left and right: as of `crowdedKeySql`; `_meets` is not asked for
 */
export function crowdedHashSql(keys: JoinKeys, left: string, right: string, max: number): string {
  const byHash = (side: 'left' | 'right', rows: string) =>
    `(SELECT CAST(hash(${keyItems(keys, side).join(', ')}) % 65536 AS USMALLINT) AS _hash, ` +
    `CAST(count(*) AS HUGEINT) AS _all, CAST(count(*) FILTER (NOT _is_new) AS HUGEINT) AS _old ` +
    `FROM (${rows}) GROUP BY _hash)`
  return (
    `SELECT 1 FROM ${byHash('left', left)} AS _l JOIN ${byHash('right', right)} AS _r USING (_hash) ` +
    `WHERE _l._all * _r._all - _l._old * _r._old > ${max} LIMIT 1`
  )
}

function keyItems(keys: JoinKeys, side: 'left' | 'right'): readonly string[] {
  return keys.map(key => normalKey(id(key[side]), parseColumnType(key.type, key[side])))
}

/** How many rows of each key may meet others. */
function counted(keys: JoinKeys, side: 'left' | 'right', rows: string): string {
  const key = keyItems(keys, side).map((item, index) => `${item} AS _key${index}`)
  return (
    `SELECT ${key.join(', ')}, _meets, CAST(count(*) AS HUGEINT) AS _all, ` +
    'CAST(count(*) FILTER (NOT _is_new) AS HUGEINT) AS _old, count(*) FILTER (_is_first) AS _rows ' +
    `FROM (${rows}) GROUP BY ALL`
  )
}

/** What is said of that row. @param narrower what of the step makes fewer pairs */
export function crowdedKey(keys: JoinKeys, row: SqlRow, max: number, narrower: string): string {
  const count = (value: unknown) => BigInt(String(value)).toLocaleString('en')
  const key = keys.map(({ left }, index) => `${left} = ${String(row[`_key${index}`])}`).join(', ')
  return (
    `key ${key} has ${count(row._left)} rows on the left side and ${count(row._right)} on the right one, so ` +
    `${count(row._pairs)} pairs of them would be compared in this epoch; at most ${count(max)} are. Nothing of the ` +
    'epoch was committed. Allow more with pairsOfKeyMax of join, which the checkpoint takes as it is. Or begin with ' +
    'a new checkpoint: leave the rows out with where on both sides if the key is none, such as an empty text, add a ' +
    `column to on, or ${narrower}.`
  )
}
