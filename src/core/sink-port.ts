import type { Finding } from './finding.ts'
import type { Json } from './json.ts'
import type { SqlRow, WrittenFile } from './ports.ts'

/** What an epoch's rows are to their target: rows to add, or changes, whose `_op` says upsert or delete. */
export type Operation = 'append' | 'change'

/** An immutable file that waits until its epoch is published. A small one rides in HEAD, base64 in `inline` (P3). */
export interface WaitingFile {
  /** Its key in the place where it waits, used once. */
  readonly name: string
  readonly bytes: number
  readonly rows: number
  readonly sha256: string
  readonly inline?: string
}

/** One epoch's rows of one flow, before the commit. */
export interface EpochOutput {
  readonly term: number
  readonly epoch: number
  readonly operation: Operation
  /** Local files, made as the sink's kind asks for. */
  readonly files: readonly WrittenFile[]
  /** So many bytes of them may ride in HEAD. */
  readonly inlineBytesMax: number
}

/**
 * What a sink did with them. A crash after it leaves what no manifest names: `orphans` of the next claim removes it.
 */
export interface StagedOutput {
  /** What the sink needs to publish them. HEAD keeps it. */
  readonly receipt: Json
  /** What waits in the sink's own place, or is to ride in HEAD. */
  readonly files: readonly WaitingFile[]
  /** Names that the files will have once they are published: what the checkpoint records as its output files. */
  readonly names: readonly string[]
}

/** One epoch's rows of one flow, once HEAD names them. */
export interface CommittedOutput {
  /** Of the process that publishes: a later one has claimed where the target knows a higher term. */
  readonly term: number
  readonly epoch: number
  readonly operation: Operation
  /** As `stage` gave it; null where the rows wait in the checkpoint. */
  readonly receipt: Json
  readonly files: readonly WaitingFile[]
  /** The same files here, verified, to be read only and gone afterwards: of a sink that stages nothing. */
  readonly local: readonly string[]
  /** Their rows, in order, a few thousand at a time; each call reads them anew. */
  rows(): AsyncIterable<readonly SqlRow[]>
}

/** What a place tells of those who wrote to it, where a checkpoint has lost its HEAD. */
export interface SinkTraces {
  /** The highest term and epoch that anything there tells of. */
  readonly term: number
  readonly epoch: number
  /** What of later epochs than the one asked for is visible, oldest first, by names of the place. */
  readonly later: readonly string[]
}

/** What `repair` asks of a sink. */
export interface SinkRepair {
  traces(epoch: number): Promise<SinkTraces>
  /** @throws MillraceError 'corrupt-object' unless it is published, or can be. */
  verify(output: Pick<CommittedOutput, 'receipt' | 'files'>): Promise<void>
  /** Takes out of sight what is visible under these names. Broken off, it is repeated. */
  withdraw(names: readonly string[]): Promise<void>
}

/** A target that is a table, for whoever reads a checkpoint. Nothing is claimed or changed. */
export interface SinkTable {
  /**
   * The rows as they are there now, whoever wrote them.
   *
   * @returns a relation over files of the folder that `SinkContext.duckdb` lends; whoever has lent it deletes them
   * @throws MillraceError `user` where the table is gone, another's or not as it can be read here
   */
  rows(): Promise<string>
  /**
   * Which version of the table each epoch came with, as far as the table itself still tells: epoch to the number or
   * id of a version, snapshot or transaction.
   */
  versions(): Promise<ReadonlyMap<number, string>>
}

/**
 * The way of one flow's rows into their target: staged before the commit, published after it (P8, P15). Every call may
 * be repeated, by the same process or by the next one. `test/contracts/sink.ts` holds what every sink must pass.
 *
 * What the target refuses for good is a MillraceError of kind `user` or `fatal`; kind `retry` says that it is away for
 * a while: the epoch is published again after a pause, and other sinks go on.
 */
export interface SinkPort {
  /** For messages: 'file:///data/out'. */
  readonly address: string
  /**
   * Whether each epoch is to be published after the one before: then `through` is one number. Epochs without rows for
   * the flow are left out. Else epochs may be published in any order, some at once.
   */
  readonly isOrdered: boolean
  /**
   * What `own` refuses is refused, and nothing is written.
   *
   * @param isNewCheckpoint whether nothing was committed yet (epoch 0)
   * @throws MillraceError `user` where the target belongs to another checkpoint, does not fit, or is gone.
   */
  check(isNewCheckpoint: boolean): Promise<void>
  /**
   * Makes the target where it is missing, and takes it for this checkpoint and term. Where the target can, that fences
   * lower terms.
   */
  own(isNewCheckpoint: boolean, term: number): Promise<void>
  /**
   * The last epoch that is there, by the target's own word; undefined where it cannot tell, and then HEAD's word counts
   * and a crash may publish an epoch twice.
   *
   * @param known epochs up to this one need not be looked for
   */
  through(known: number): Promise<number | undefined>
  /** Makes the rows durable in the target's own place, unseen. Absent: they wait in the checkpoint, as Parquet. */
  stage?(output: EpochOutput): Promise<StagedOutput>
  /** Makes committed rows visible, once: in the same step of the target as its `through`, where it can tell that. */
  publish(output: CommittedOutput, signal: AbortSignal): Promise<'published' | 'already'>
  /**
   * At a claim: deletes what lower terms staged and no manifest names, and snapshots that are not named any more. How
   * many.
   *
   * @param named whether a manifest names a file of the sink's own place: one that waits, or a snapshot
   */
  orphans(term: number, named: (name: string) => boolean): Promise<number>
  /** Deletes files of its own place that are published. Absent where nothing is staged. */
  discard?(names: readonly string[]): Promise<void>
  /** For `doctor`, once `check` has passed: what is worth a thought and keeps no run from working. */
  examine?(): Promise<readonly Finding[]>
  /** Absent: what is visible there cannot be taken back. */
  readonly repair?: SinkRepair
  /** Absent: it is no table, or none that can be read. */
  readonly table?: SinkTable
}
