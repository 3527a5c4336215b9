import type { Clock } from '../../plan/clock.ts'
import {
  type Emitted,
  orderOf,
  type Relation,
  resultColumn,
  resultOf,
  rowHidden,
  timeColumn,
} from '../../plan/relation.ts'
import { id } from '../../plan/sql.ts'

/**
 * Rows that a stage gave, each at its place in the ledger's order (S13): what a watermark closes belongs to the first
 * entry that brings it, which is found through the distinct watermarks, as there are few of them.
 *
 * @param mayChange they are told apart by a column of their own
 */
export function placed(given: Emitted, { entries }: Clock, mayChange: boolean): Relation {
  const clock = entries.map(({ seq, afterUs }) => `(${seq}, CAST(${afterUs ?? 'NULL'} AS BIGINT))`).join(', ')
  return placedBy(given, `VALUES ${clock}`, mayChange)
}

/** The same. @param clock SQL: the epoch's entries, as number and watermark after it */
export function placedBy(given: Emitted, clock: string, mayChange: boolean): Relation {
  if (given.closesAt === undefined) return given
  const closing =
    `SELECT d._closes, min(k.seq) AS _entry ` +
    `FROM (SELECT DISTINCT ${given.closesAt} AS _closes FROM (${given.sql})) AS d ` +
    `JOIN (${clock}) AS k(seq, after) ON k.after >= d._closes GROUP BY d._closes`
  const order = orderOf(given).map(name => `${id(name)} NULLS LAST`)
  const [seq, row] = rowHidden
  const own = mayChange ? [`${resultOf(given)} AS ${resultColumn}`] : []
  const { notBefore } = given
  const kind = notBefore === undefined ? '' : 'LEFT '
  const found = `FROM (${given.sql}) AS e ${kind}JOIN (${closing}) AS c ON c._closes = ${given.closesAt}`
  const entry = notBefore === undefined ? 'c._entry' : `greatest(c._entry, ${notBefore}) AS _entry`
  return {
    sql:
      `SELECT _entry AS ${seq}, ` +
      `row_number() OVER (PARTITION BY _entry ORDER BY ${order.join(', ')}) - 1 AS ${row}, ` +
      `${[`${given.timeUs} AS ${timeColumn}`, ...own, ...Object.keys(given.columns).map(id)].join(', ')} ` +
      `FROM (SELECT e.*, ${entry} ${found})`,
    columns: given.columns,
    hidden: [seq, row, timeColumn, ...(mayChange ? [resultColumn] : [])],
  }
}
