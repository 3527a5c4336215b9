import type { Json } from './json.ts'
import type { Announced, ObjectVersion } from './object-version.ts'
import type { TextRows } from './text-rows.ts'

/** Outcome of a conditional write. `unknown` means that the write may or may not have been applied (P6). */
export type Put =
  | { readonly is: 'stored'; readonly eTag: string }
  | { readonly is: 'conflict' }
  | { readonly is: 'unknown'; readonly cause: Error }

/** What a version is found to be when something is to be done with it: 'linked' lies behind a symbolic link. */
export type NotAsCommitted = 'missing' | 'changed' | 'linked'

/** What became of taking an object over from another place: as it lies here now, or why not. */
export type Taken =
  | { readonly is: 'taken'; readonly version: ObjectVersion }
  /** The key holds something. */
  | { readonly is: 'conflict' }
  | { readonly is: NotAsCommitted }

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
  /** Where the store keeps versions of the key. */
  readonly versionId?: string
  /** Of the whole object, whatever range of it was asked for. */
  readonly sizeBytes: number
  readonly lastModifiedMs: number
}

/**
 * One port for inputs, checkpoints and outputs, rooted at one address. Keys are relative to it, with forward slashes.
 * Conditional writes are linearizable; `test/contracts/object-store.ts` holds what every store must pass.
 */
export interface ObjectStore {
  /** The root, for messages: 'file:///data/in', 'memory:'. */
  readonly address: string
  /** A listing may show an object that is still being written: a local directory. */
  readonly showsUnfinished?: true
  /**
   * What decides conditions. Absent: a server, whose code may check and write in two steps, or give one write's bytes
   * with the eTag of another. A file system decides in one call of the kernel, and an eTag is the name of the bytes.
   */
  readonly conditionsBy?: 'file-system'
  /**
   * Who decides conditions here: another answer is another server or another disk. What a store has shown is remembered
   * by it (P4); of one that does not say so nothing is remembered. No request is sent.
   */
  decider?(): Promise<string | undefined>
  get(key: string, options?: GetOptions): Promise<StoredBody | 'missing' | 'changed'>
  /** `ifMatch` is the eTag that the key must have now, or 'absent'. */
  put(key: string, body: Uint8Array | { readonly file: string }, ifMatch: string, signal?: AbortSignal): Promise<Put>
  /** To a name never used before: answers 'conflict' when `to` exists. Server-side where the store can. */
  copy(from: string, to: string, signal?: AbortSignal): Promise<Put>
  /**
   * Keys under the prefix in UTF-8 byte order, those after `after` only.
   *
   * @param onLink told the key of a symbolic link that is not followed; of a folder it ends in a slash
   * @param watch of this store, where all of it is listed: it learns what the listing sees
   */
  list(
    prefix: string,
    after?: string,
    signal?: AbortSignal,
    onLink?: (key: string) => void,
    watch?: ListingWatch,
  ): AsyncIterable<ObjectVersion>
  /**
   * Listings that are repeated, where the store can tell what has come since the last one for less than another
   * listing.
   *
   * @param nowMs of a monotonic clock
   */
  watch?(nowMs: () => number): ListingWatch
  /** What a key holds now, or this version of it; 'missing' where there is none. */
  head?(key: string, versionId?: string, signal?: AbortSignal): Promise<ObjectVersion | 'missing'>
  /**
   * What a mutable key held before, newest first, where the store keeps it and the key itself may be lost. At most
   * the last few: for whoever must look back.
   */
  former?(key: string): Promise<readonly Uint8Array[]>
  /** Missing keys are no error. */
  delete(keys: readonly string[]): Promise<void>
  /**
   * Takes this version of another place over, under a key that must not be there yet: as it lies there, and the bytes
   * need not come through this process. Both places are of one kind. When it fails, it may have been done.
   */
  take?(from: ObjectStore, version: ObjectVersion, key: string, signal?: AbortSignal): Promise<Taken>
  /** Deletes this version, and nothing else that the key may hold by now. When it fails, it may have been done. */
  remove?(version: ObjectVersion, signal?: AbortSignal): Promise<'removed' | NotAsCommitted>
  /** Gives this version a tag, beside those that it has. Absent where objects have none. */
  tag?(version: ObjectVersion, name: string, value: string, signal?: AbortSignal): Promise<'tagged' | NotAsCommitted>
  /**
   * Hard-links this version to a local file where the store is a local directory: a fetch without a copy.
   * 'unsupported' when the target lies on another file system.
   */
  link?(version: ObjectVersion, file: string): Promise<LinkedFile | 'missing' | 'changed' | 'unsupported'>
}

/** A local file that is the user's own by another name. */
export interface LinkedFile {
  readonly is: 'linked'
  /** Whether it was written to since. */
  isChanged(): Promise<boolean>
}

/** Listings of a whole store, one after the other. */
export interface ListingWatch {
  /** For `ObjectStore.list`, which others may stand before: all keys. */
  list(signal?: AbortSignal, onLink?: (key: string) => void): AsyncIterable<ObjectVersion>
  /**
   * Whether keys have neither come nor gone since the last listing, as far as that tells. False where it is not known.
   * What is written into an object under its old key does not show.
   */
  isUnchanged(): Promise<boolean>
}

/** One message of a queue or log. It names any number of objects, and is settled as a whole. */
export interface Notification {
  /** Objects of the source's own place, in the message's order; keys relative to the source's root. */
  readonly objects: readonly Announced[]
  /** Where the message came from, for logs: a message id, or topic, partition and offset. */
  readonly id: string
  /** Every object is in the committed ledger: the message may go (P9). Resolves when that is settled or given up on. */
  acknowledge(): Promise<void>
  /** Not committed: somebody else may have it at once. */
  release(): Promise<void>
}

/** How far the reader is behind; absent where the server does not tell. */
export interface Backlog {
  /** Messages that wait to be received. */
  readonly messages?: number
  /** Age of the oldest of them. */
  readonly oldestAgeMs?: number
}

/**
 * SQS, Kafka: announces objects that have landed, at least once, in any order. Messages that name nothing of the
 * source's own place are settled inside and counted. Each notification is held (heartbeats) until it is told.
 */
export interface NotificationSource {
  /**
   * Waits until at least one is there; at most `max`. Empty once the signal is aborted, and where the source was opened
   * for a run that ends when it is idle, once nothing more is there. Never two at once.
   */
  pull(max: number, signal: AbortSignal): Promise<readonly Notification[]>
  /**
   * Where reading goes on once these are committed, beside all that were settled before: kept in the checkpoint, given
   * back at the next start. Null where the queue itself remembers.
   */
  positionsAfter(committed: readonly Notification[]): Json
  backlog(): Promise<Backlog>
  /** What has been received and refused so far, by reason; for metrics. */
  readonly counts: Readonly<Record<string, number>>
  /** Ends receiving. What is still held is released. May be called twice. */
  close(): Promise<void>
}

/** A DuckDB row as plain JavaScript values: BIGINT and wider as bigint, DECIMAL and times as text. */
export type SqlRow = Readonly<Record<string, unknown>>

/** What runs SQL. Operators never see it. */
export interface Executor {
  run(sql: string, signal?: AbortSignal): Promise<void>
  rows(sql: string, signal?: AbortSignal): Promise<readonly SqlRow[]>
  /** Binds the query, reads no data: column name to DuckDB type, in order. */
  describe(sql: string): Promise<Readonly<Record<string, string>>>
  /**
   * Writes the query's rows to one local file in this total order: same rows, same bytes.
   *
   * @param form default: Parquet
   */
  write(sql: string, file: string, orderBy: readonly string[], form?: FileForm): Promise<WrittenFile>
  /** The query's rows in this total order, as text; undefined where a column's type has no form as text. */
  textRows(sql: string, orderBy: readonly string[]): Promise<TextRows | undefined>
  /** Appends rows to a table that has their columns, in their order. */
  append(table: string, rows: TextRows): Promise<void>
}

/** How a file is written. */
export interface FileForm {
  /** 'json': JSON lines. 'csv': with a header; NULL is an empty field, an empty text is `""`. */
  readonly format: 'parquet' | 'json' | 'csv'
  /** Default: zstd of Parquet, none of text. */
  readonly compression?: 'zstd' | 'snappy' | 'gzip' | 'none'
  /** Of Parquet: DuckDB rounds it up to a multiple of 2,048. Default 122,880. */
  readonly rowGroupRows?: number
  /** Of Parquet: the numbers that columns have in the file, as DuckDB's COPY takes them: '{"zone": 1}'. */
  readonly fieldIds?: string
}

export interface WrittenFile {
  readonly file: string
  /** Where it belongs below the place of its sink, with a slash at the end. Absent: in that place itself. */
  readonly folder?: string
  readonly rows: number
  readonly bytes: number
  readonly sha256: string
}
