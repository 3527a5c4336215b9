import type { ObjectVersion } from './object-version.ts'

/** Outcome of a conditional write. `unknown` means that the write may or may not have been applied (P6). */
export type Put =
  | { readonly is: 'stored'; readonly eTag: string }
  | { readonly is: 'conflict' }
  | { readonly is: 'unknown'; readonly cause: Error }

export interface GetOptions {
  /** Read only this eTag; another one answers 'changed'. */
  readonly ifMatch?: string
  readonly versionId?: string
  /** Bytes [start, end); an end past the object's end is cut. */
  readonly range?: readonly [start: number, end: number]
  readonly signal?: AbortSignal
}

export interface StoredBody {
  readonly body: Uint8Array
  readonly eTag: string
}

/**
 * One port for inputs, checkpoints and outputs, rooted at one address. Keys are relative to it, with forward slashes.
 * Conditional writes are linearizable; `test/contracts/object-store.ts` holds what every store must pass.
 */
export interface ObjectStore {
  /** The root, for messages: 'file:///data/in', 'memory:'. */
  readonly address: string
  get(key: string, options?: GetOptions): Promise<StoredBody | 'missing' | 'changed'>
  /** `ifMatch` is the eTag that the key must have now, or 'absent'. */
  put(key: string, body: Uint8Array | { readonly file: string }, ifMatch: string, signal?: AbortSignal): Promise<Put>
  /** To a name never used before: answers 'conflict' when `to` exists. Server-side where the store can. */
  copy(from: string, to: string, signal?: AbortSignal): Promise<Put>
  /** Keys under the prefix in UTF-8 byte order, those after `after` only. */
  list(prefix: string, after?: string): AsyncIterable<ObjectVersion>
  /** Missing keys are no error. */
  delete(keys: readonly string[]): Promise<void>
  /**
   * Hard-links this version to a local file where the store is a local directory: a fetch without a copy.
   * 'unsupported' when the target lies on another file system.
   */
  link?(version: ObjectVersion, file: string): Promise<'linked' | 'missing' | 'changed' | 'unsupported'>
}

/** A DuckDB row as plain JavaScript values: BIGINT and wider as bigint, DECIMAL and times as text. */
export type Row = Readonly<Record<string, unknown>>

/** What runs SQL. Operators never see it. */
export interface Executor {
  run(sql: string, signal?: AbortSignal): Promise<void>
  rows(sql: string, signal?: AbortSignal): Promise<readonly Row[]>
  /** Binds the query, reads no data: column name to DuckDB type, in order. */
  describe(sql: string): Promise<Readonly<Record<string, string>>>
  /** Writes the query's rows to one local Parquet file in this total order: same rows, same bytes. */
  write(sql: string, file: string, orderBy: readonly string[], format?: 'parquet' | 'json'): Promise<WrittenFile>
}

export interface WrittenFile {
  readonly file: string
  readonly rows: number
  readonly bytes: number
  readonly sha256: string
}
