import type { Duration } from '../core/duration.ts'
import type { OptionTable } from '../core/options.ts'
import type { Executor, FileForm, ObjectStore } from '../core/ports.ts'
import type { Size } from '../core/size.ts'
import type { Operation, SinkPort, WaitingFile } from '../core/sink-port.ts'
import { plainJson, type Json } from '../core/json.ts'
import type { ColumnTypes } from './relation.ts'

/** Until when committed rows may wait for those of later epochs, so that few files have many. As a user writes it. */
export interface Hold {
  /** Bytes of the files that the rows would make together. */
  readonly targetSize: Size
  /** Since the first of them was committed. */
  readonly maxDelay: Duration
}

/** Where snapshots lie in their output's place, apart from the files of changes. */
export const snapshotFolder = 'snapshot/'

/** How often the latest results of a flow that gives changes are written as a whole. As a user writes it. */
export interface SnapshotOptions {
  /** Epochs, or a time since the last one: the first commit with changes after it writes the next. */
  readonly every: number | Duration
}

/** Where rows go, as plain data; `files(...)` makes one. `C` is what it asks of the columns. */
export interface Sink<in C = never> {
  /** Its kind, as `connectors/registry.ts` lists it. */
  readonly sink: string
  /** Where it is. Results may move, so it is no part of the plan; all else that a sink is told is. */
  readonly uri: string
  /** Absent: each epoch is published by itself. It may change between runs, so it is no part of the plan. */
  readonly hold?: Hold
  /** Absent: there are none. It may change between runs as well. */
  readonly snapshot?: SnapshotOptions
  /**
   * How its place is reached, as its kind knows it: users, passwords, time-outs. It may change between runs. A
   * function, so that nothing which writes data down has any of it: it is no part of the plan, and never shown.
   */
  readonly access?: () => unknown
  /** Never called: carries what the sink asks of the columns. */
  readonly takes?: (columns: C) => void
}

/**
 * Below the place of a flow whose results are given once: files of changes that late rows made of them since (S16).
 * Spark, Hive, Trino and Athena take it for no data.
 */
export const correctionsFolder = '_corrections/'

/** How far a sink may be behind before no further epoch is committed. */
export interface Behind {
  /** Committed epochs that are not published yet. */
  readonly epochsMax: number
  /** Bytes of their files. The last epoch may pass them, as its size is known when it is made. */
  readonly bytesMax: number
}

/** What a sink is opened with. */
export interface SinkContext {
  /** The name of the flow. */
  readonly output: string
  readonly columns: ColumnTypes
  readonly operation: Operation
  /** Changes of results come as well, in `correctionsFolder`, for late rows that are applied later. */
  readonly hasCorrections?: true
  readonly checkpointId: string
  /** Name of the pipeline: for people who look at the target. */
  readonly pipeline: string
  readonly newId: () => string
  readonly sleep: (ms: number) => Promise<void>
  /** The time, in ms since 1970, for those who look at the target: no row depends on it (I9). */
  readonly nowMs: () => number
  /** Opens a folder or prefix, made when it is not there. */
  openStore(address: string): Promise<ObjectStore>
  /** Lends DuckDB for what a sink makes of rows itself. It reads and writes in `folder` and in the run's own files. */
  duckdb<T>(work: (duckdb: SinkDuckdb) => Promise<T>): Promise<T>
}

/** DuckDB in the hands of a sink. */
export interface SinkDuckdb {
  /** Of this sink alone, gone after the run. What lies there counts against the disk until the sink deletes it. */
  readonly folder: string
  readonly executor: Executor
}

/** How rows lie in the local files that a sink is given. */
export interface SinkRows {
  /** Items of a SELECT over the flow's rows. */
  readonly items: string
  readonly form: FileForm
  /** Rows that differ in these lie in files of their own. Absent: all in one. */
  readonly partitions?: SinkPartitions
}

/** What parts rows into files. */
export interface SinkPartitions {
  /** SQL of texts over the flow's rows; NULL is a value. */
  readonly texts: readonly string[]
  /** Where the file of these values belongs, as `WrittenFile.folder`. */
  folder(values: readonly (string | null)[]): string
}

/** A published file here. */
export interface LocalFile {
  readonly file: string
  /** As it is published. */
  readonly name: string
}

/** Brings published rows back, for `sql` and `verify`. */
export interface SinkReader {
  /** Whether the place says that it belongs to this checkpoint. */
  isOf(checkpointId: string): Promise<boolean>
  /** A published file, or what it waits as until then, verified, to a local path. */
  load(file: WaitingFile, to: string, waiting: WaitingFile | undefined): Promise<void>
  /** A relation of what such local files hold. @param columns name to type; undefined where that is not on record */
  rows(files: readonly LocalFile[], columns: ColumnTypes | undefined): string
  /** The same as `verify` compares them: rows that are equal are equal here. */
  compared(file: LocalFile): string
}

/** A kind of sink: what the engine must know to run one. `connectors/registry.ts` lists them. */
export interface SinkKind<S extends Sink = Sink> {
  readonly kind: string
  /** How a user makes one, for messages: 'files(...)'. */
  readonly call: string
  /** The options of that call, those first that are given by position. */
  readonly options?: OptionTable
  /** Makes it of these options, by name, as SQL does. Absent: SQL has no way to say it. */
  make?(options: Readonly<Record<string, unknown>>): S
  /** Its `uri` is a folder or prefix, which must lie apart from the input and the checkpoint. */
  readonly isFolder?: true
  /** Changes of results may lie beside these, in a folder of their own, as files of other columns. */
  readonly takesCorrections?: true
  /** How far it may be behind, unless `to` says otherwise. Default: 10 epochs, 256 MiB. */
  readonly behind?: Partial<Behind>
  /**
   * Default: all columns, as Parquet.
   *
   * @param at names the flow in errors
   * @param changesBy of a flow that gives changes, where options are to be judged: what tells its results apart
   * @throws MillraceError `user` for options that do not fit the columns: asked before anything is claimed
   */
  rows?(sink: S, columns: ColumnTypes, at: string, changesBy?: readonly string[]): SinkRows
  /**
   * The same sink at another place. Default: with that `uri`.
   *
   * @param field names the place in errors
   */
  movedTo?(sink: S, uri: string, field: string): S
  /**
   * The sink that the plan and the address of its port tell of, where no pipeline is at hand, as for `repair` and
   * `sql`, by a login of the environment where one is needed. Default: as it is, with that address as `uri`.
   *
   * @throws MillraceError `user` where more is needed to reach it, that says what
   */
  remade?(stored: S): S
  open(sink: S, context: SinkContext): Promise<SinkPort>
  /** Absent: nothing can be read back. */
  reader?(sink: S, openInput: (address: string) => Promise<ObjectStore>): Promise<SinkReader>
}

/** What a sink is told beside its place, as the plan keeps it. `files` came first and goes without its name. */
export function sinkOptions(given: Sink): { readonly [key: string]: Json } {
  const { sink, uri: _, hold: __, takes: ___, snapshot: ____, access: _____, ...options } = given
  return plainJson(sink === 'files' ? options : { sink, ...options })
}

/** A sink of a stored plan, at this place. */
export function sinkAt(uri: string, options: Json | undefined): Sink {
  const { emit: _, ...own } = (options ?? {}) as { readonly emit?: unknown }
  return { sink: 'files', ...own, uri }
}
