import type { Executor, SqlRow } from '../../core/ports.ts'
import { visible } from '../../core/visible.ts'

/** A row that is set aside. */
export interface BadRow {
  readonly object: string
  /** Counted from 0, as in the record of rows that are set aside. */
  readonly row: number
  /** null where the whole row is broken. */
  readonly column: string | null
  readonly expected: string
  /** null for NULL, and where the text of a broken row is not known. */
  readonly found: string | null
}

/** Rows that were set aside for the same reason. */
export interface BadRows {
  /** null where whole rows are broken. */
  readonly column: string | null
  readonly expected: string
  readonly rows: number
  /** The key of the first one's object. */
  readonly object: string
}

/** Rows that are set aside by why they are, those of the first first. @param asideSql as for `firstBadRow` */
export async function badRowsIn(executor: Pick<Executor, 'rows'>, asideSql: string): Promise<readonly BadRows[]> {
  const rows = await executor.rows(
    'SELECT "column", expected, count(*) AS n, arg_min(object, (_seq, _row)) AS object ' +
      `FROM (${asideSql}) GROUP BY "column", expected ORDER BY min((_seq, _row)), "column"`,
  )
  return rows.map(({ column, expected, n, object }) => ({
    column: column === '' ? null : String(column),
    expected: String(expected),
    rows: Number(n),
    object: String(object),
  }))
}

/**
 * The first row that is set aside.
 *
 * @param asideSql as `setAside` of a marked object gives it, of one or of several
 */
export async function firstBadRow(
  executor: Pick<Executor, 'rows'>,
  asideSql: string,
  signal?: AbortSignal,
): Promise<BadRow> {
  const [first] = await executor.rows(`SELECT * FROM (${asideSql}) ORDER BY _seq, _row, "column" LIMIT 1`, signal)
  const { object, _row, column, expected, found } = first as SqlRow
  return {
    object: String(object),
    row: Number(_row),
    column: column === '' ? null : String(column),
    expected: String(expected),
    found: typeof found === 'string' ? found : null,
  }
}

/** Its row and column, what was expected and what is there, as one line. */
export function badRowText({ row, column, expected, found }: BadRow): string {
  const shown = found === null ? 'NULL' : `'${visible(found)}'`
  return `row ${row}${column === null ? '' : `, column '${column}'`}: expected ${expected}, found ${shown}`
}

/** For `millrace sql`: bad rows of each column, the most frequent first, with an example. */
export const badRowsQuery =
  'SELECT "column", expected, min(object) AS object, min(found) AS found, count(*) AS n ' +
  'FROM quarantine GROUP BY ALL ORDER BY n DESC'
