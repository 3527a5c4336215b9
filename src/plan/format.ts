import type { ParsedType } from '../core/types.ts'

/** How one object's rows are read, as SQL text. Implemented in `connectors/<format>/format.ts`. */
export interface Format {
  readonly name: 'parquet' | 'json'
  /** Lower-case, with the dot. */
  readonly extensions: readonly string[]
  /**
   * A statement that reads the whole object into a table once, for row formats; null where the file itself is read
   * as often as needed.
   */
  spool(file: string, table: string): string | null
  /** SQL whose DESCRIBE gives the object's own columns and types. `at` is the file, or the table of `spool`. */
  physical(at: string, declared: readonly string[]): string
  /**
   * The object's rows: `_row` (its number in the object, before any filter, S18), `_broken` (TRUE for a row that
   * cannot be parsed at all) and the columns by their own names and types.
   */
  scan(at: string, columns: readonly ScannedColumn[]): string
  /** The object's own name of a declared column; undefined when it has none, which makes it a bad object. */
  find(declared: string, physical: readonly string[]): string | undefined
  /** The text of broken rows, by `_row`, where the format can tell; each cut to 1,000 characters. */
  brokenText?(file: string, rows: readonly number[]): Promise<ReadonlyMap<number, string>>
  /** What a broken row should have been, for errors. */
  readonly rowIs: string
}

/** A column by the object's own name, with the type that it is declared as. */
export interface ScannedColumn {
  readonly name: string
  readonly type: ParsedType
}
