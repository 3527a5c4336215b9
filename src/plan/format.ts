import type { OptionTable } from '../core/options.ts'
import type { Executor } from '../core/ports.ts'
import type { ParsedType } from '../core/types.ts'
import type { OwnColumn } from './find-column.ts'
import type { FormatSpec } from './source-options.ts'
import type { SourcePolicies } from './source-settings.ts'

/** A format, as `connectors/<name>/index.ts` describes it and `connectors/registry.ts` lists it. */
export interface FormatConnector<T extends object = any> {
  /** What its specs have as `format`, and what the plan has its settings under: 'csv'. */
  readonly kind: string
  /** What a user calls, for messages: 'csv()'. */
  readonly call: string
  /** The options of that call, which the reference page lists. */
  readonly options: OptionTable
  /** Calls it with these options, as SQL does. Absent: SQL has no way to say it. */
  make?(options: Readonly<Record<string, unknown>>): FormatSpec
  /** @param settings what the call made; empty where nothing was asked for */
  create(settings: T, policies: SourcePolicies): Format
  /** How `millrace infer` reads the columns of a file. Absent where files do not tell them. */
  readonly infer?: InferFormat
}

/** Reads the columns of one file. */
export interface InferFormat {
  /** For messages: 'Parquet'. */
  readonly shown: string
  /** Lower-case, with the dot. */
  readonly extensions: readonly string[]
  /** As that of the format: what is fetched to know the columns. Absent: all. */
  readonly needed?: NonNullable<Format['needed']>
  /** Whether the last four bytes of a file whose name tells nothing are those of this format. */
  isTail?(tail: Uint8Array): boolean
  /** The same by its content. The one format that has neither is taken where no other is. */
  isContent?(object: SpooledObject): Promise<boolean>
  /** Whether rows may lie in a field that the user names (`--records`). */
  readonly takesRecords?: true
  /**
   * Readies the file for DuckDB. 'empty': nothing of what is expected is in it.
   *
   * @param records only where `takesRecords`
   */
  ready(
    object: SpooledObject,
    records: string | undefined,
  ): Promise<Ready | { readonly is: 'empty'; readonly expected: string }>
  columns(executor: Executor, ready: ReadyFile): Promise<readonly FileColumn[]>
}

/** A column as a file has it. */
export interface FileColumn extends Pick<OwnColumn, 'name' | 'twins'> {
  /** DuckDB's type of it. */
  readonly physical: string
  /** Of JSON: it is NULL wherever it is there, so any type would do. */
  readonly isNull?: true
}

/** How one object's rows are read, as SQL text. Implemented in `connectors/<format>/format.ts`. */
export interface Format {
  readonly name: string
  /** Lower-case, with the dot. */
  readonly extensions: readonly string[]
  /**
   * What a reader of these columns needs of an object, told from its last bytes. Absent for formats that are read
   * whole. What is not needed reads as zeros.
   */
  needed?(tail: Uint8Array, sizeBytes: number, columns: readonly string[]): Needed
  /** Readies a spooled object for DuckDB, and checks what DuckDB does not. */
  ready(object: SpooledObject): Promise<Ready>
  /** Readies an object once more whose quick reading found broken rows: slower, and as it is to be read. */
  again?(object: SpooledObject): Promise<Ready>
  /**
   * A query that gives, of files all of which are proven, `_part` and the columns by their declared names, in their
   * declared types: what `scan` and the checked casts give of the rows of `read`, in the same order.
   */
  readProven?(files: readonly string[], columns: readonly ProvenColumn[]): string
  /** Whether `read` takes several objects of the same `names`. */
  readonly isShared: boolean
  /**
   * A query that reads whole objects, for row formats: one after the other, each in its order, with `_part`, the place
   * of the row's file among `files`. Null where `scan` reads the file itself.
   *
   * @param files as `ready` gave them; several only where `isShared`
   * @param own as `ready` found them
   */
  read(files: readonly string[], own: readonly OwnColumn[], declared: readonly string[]): string | null
  /** SQL whose DESCRIBE gives the types of these columns, in their order. Absent where every column is text. */
  types?(file: string, columns: readonly ScannedColumn[], own: readonly OwnColumn[]): string
  /**
   * The object's rows: `_row` (its number in the object, before any filter, S18), `_part`, `_broken` (TRUE for a row
   * that cannot be parsed at all) and the columns by their declared names, with their own types.
   *
   * @param from the file; of a format that has `read` SQL of its rows or of a table of them, with `_row`
   */
  scan(from: string, columns: readonly ScannedColumn[], own: readonly OwnColumn[]): string
  /**
   * SQL of the names of fields that rows of `read` have, with `_part`; for a format whose objects have no columns of
   * their own.
   */
  fields?(rows: string): string
  /**
   * The text of broken rows, by `_row`, where the format can tell, of a file that was not read quickly; each cut to
   * 1,000 characters.
   */
  brokenText?(file: string, rows: readonly number[]): Promise<ReadonlyMap<number, string>>
  /** The same as SQL over the rows of `scan`. */
  readonly brokenSql?: string
  /** A query that cannot be bound where a setting is wrong in a way that only DuckDB can tell. */
  readonly check?: { readonly option: string; readonly value: string; readonly sql: string }
  /** What a broken row should have been, for errors. */
  readonly rowIs: string
  /** The same as SQL over the rows of `scan`, where each row is broken in its own way. */
  readonly rowIsSql?: string
}

/** A declared column, and where an object has it. */
export interface ScannedColumn {
  readonly name: string
  /** The object's name of it. */
  readonly from: string
  readonly type: ParsedType
  /** Of a row format whose rows have fields of their own: the text in place of a field that a row lacks. Else NULL. */
  readonly ifMissing?: string | null
  /** Its number among the object's own columns; of a field inside a struct also those of the fields down to it. */
  readonly at: readonly number[]
}

/** A column that an object may be proven for. */
export type ProvenColumn = Pick<ScannedColumn, 'name' | 'from' | 'type' | 'ifMissing'>

/** Bytes [start, end) of an object. */
export type ByteRange = readonly [start: number, end: number]

/** More of the object's end, from there on; or these ranges beside the end that is known. */
export type Needed =
  | { readonly is: 'more'; readonly start: number }
  | { readonly is: 'ranges'; readonly ranges: readonly ByteRange[] }

export interface SpooledObject {
  /** Never written to: it may be a hard link to the user's own file. */
  readonly file: string
  /** A file that is not there yet, for what `file` cannot be read as it is. */
  readonly changed: string
  readonly key: string
  /** The object's names of the declared columns. */
  readonly columns: readonly string[]
  /** The declared columns that lie in rows, where a proof is wanted. */
  readonly declared?: readonly ProvenColumn[]
  readonly signal: AbortSignal
}

/** The file that DuckDB reads, or why the object is a bad one. */
export type Ready = ReadyFile | { readonly is: 'bad'; readonly reason: string }

export interface ReadyFile {
  readonly is: 'ready'
  readonly file: string
  /** The object's own columns. Absent where it has a field by any name that is declared. */
  readonly columns?: readonly OwnColumn[]
  /**
   * Every row is one, every value fits, and `readProven` reads all of them right: the names of the fields that each row
   * has.
   */
  readonly provenFields?: readonly string[]
  /** Whether `again` has to tell what the object is where some of its rows are broken. */
  readonly isQuick?: boolean
}
