import { parseColumnType } from '../../core/types.ts'
import { microsecondsOf, noTimeUs, type Relation, rowHidden, timeColumn } from '../../plan/relation.ts'
import type { SourceSettings } from '../../plan/source-settings.ts'
import { id } from '../../plan/sql.ts'
import type { StampedPart } from './marked-object.ts'
import { type ReadColumn, typedName } from './read-column.ts'

/** Rows by declared type, of one object or of several. */
export interface TypedRows {
  /** SQL behind FROM: rows with `_row`, and with `_part` where they are of several objects. */
  readonly from: string
  /** The declared columns, in SQL over them. */
  readonly items: readonly string[]
  /** SQL over them that holds for good rows; null where there are no others. */
  readonly isGood: string | null
}

/** The declared columns out of a table of values by declared type. */
export const typedItems = (columns: readonly ReadColumn[]): readonly string[] =>
  columns.map(({ name }, index) => `${typedName(index)} AS ${id(name)}`)

const bigint = (value: bigint | number | null | undefined) => `CAST(${value ?? 'NULL'} AS BIGINT)`
const [seqColumn, rowColumn, watermarkColumn] = rowHidden
const where = (predicate: string | null) => (predicate === null ? '' : ` WHERE ${predicate}`)

/** SQL of the good rows of an object that lies by itself. */
export function goodRowsOfOne({ from, items, isGood }: TypedRows, { seq, watermarkUs }: StampedPart): string {
  const hidden = [
    `${bigint(seq)} AS ${seqColumn}`,
    `_row AS ${rowColumn}`,
    `${bigint(watermarkUs)} AS ${watermarkColumn}`,
  ]
  return `SELECT ${[...hidden, ...items].join(', ')} FROM ${from}${where(isGood)}`
}

/** The same of some of the objects that lie in one table. @param firstRows the `_row` of the table where each begins */
export function goodRowsOfParts(
  { from, items, isGood }: TypedRows,
  firstRows: readonly bigint[],
  stamped: readonly StampedPart[],
): string {
  const hidden = [`_seq_of AS ${seqColumn}`, `_row - _first AS ${rowColumn}`, `_watermark_of AS ${watermarkColumn}`]
  const stamps = stamped.map(
    ({ part, seq, watermarkUs }) => `(${part}, ${bigint(seq)}, ${bigint(watermarkUs)}, ${bigint(firstRows[part])})`,
  )
  return (
    `SELECT ${[...hidden, ...items].join(', ')} FROM ${from} ` +
    `JOIN (VALUES ${stamps.join(', ')}) AS _(_part, _seq_of, _watermark_of, _first) USING (_part)${where(isGood)}`
  )
}

/** Good rows of a source with their event time, as steps take them. @param rows SQL, as a `RowSource` gives it */
export function timedRows(rows: string, { columns, time }: SourceSettings): Relation {
  const timeUs =
    time === undefined ? noTimeUs : microsecondsOf(id(time), parseColumnType(columns[time] ?? '', time).name)
  return { sql: `SELECT *, ${timeUs} AS ${timeColumn} FROM (${rows})`, columns, hidden: rowHidden }
}
