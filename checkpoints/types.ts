import type { Json } from '../src/core/json.ts'
import type { Operation, WaitingFile } from '../src/core/sink-port.ts'
import type { TextRows } from '../src/core/text-rows.ts'

/**
 * An immutable file of the checkpoint. Small ones ride in HEAD (P3): a few rows of a channel as `text`, which is
 * Parquet once it is merged, and others with their bytes, base64 in `inline`.
 */
export interface FileRef extends WaitingFile {
  /** Key under the checkpoint's root: `<kind>/<term>-<epoch>-<uuid>.<ext>`. */
  readonly name: string
  /** Of the file; of `text`, of the JSON of its columns and rows. So with the hash. */
  readonly bytes: number
  /** Since format 3. */
  readonly text?: TextRows
}

/** One file of a channel, and the epochs whose rows it holds. */
export interface Part extends FileRef {
  readonly epochs: readonly [first: number, last: number]
  /** Segments: the watermark in microseconds from which no row of it is alive (P11). Decimal text. */
  readonly aliveToUs?: string
}

/**
 * A channel is an append-only set of Parquet rows of one schema: 'ledger', 'outputs', 'quarantine', 'after',
 * `late-<node>`, `segment-<node>`, since format 5 `held-<flow>` and since format 7 `lookup-<name>`. Its name is also
 * the <kind> of its files' names.
 */
export type Channels = Readonly<Record<string, readonly Part[]>>

/**
 * One epoch's rows of one flow: true by the commit, and not known to be with the flow's sink yet (P8, P15). Since
 * format 4.
 */
export interface Unpublished {
  /** Name of the flow. */
  readonly output: string
  readonly epoch: number
  /** The first epoch whose rows it has, where those of several are published together. Since format 5. */
  readonly from?: number
  readonly operation: Operation
  /** What the sink said of what it staged, for itself; null where the rows wait in the checkpoint. */
  readonly receipt: Json
  /** Where the rows wait: in the sink's own place, or in the checkpoint. */
  readonly at: 'sink' | 'checkpoint'
  readonly files: readonly WaitingFile[]
}

export interface Garbage {
  /** 'checkpoint' or the name of an output. */
  readonly store: string
  readonly name: string
  /** The epoch of the manifest that dropped it. */
  readonly droppedAt: number
}

/** A copy of a manifest under `manifests/`, for forks and for whoever must look back (P3). */
export interface RetainedManifest {
  readonly name: string
  readonly epoch: number
}

/** What the engine keeps in the manifest besides files; opaque to this layer. */
export interface EngineState {
  /** The canonical plan: a pipeline that no longer fits it is refused with what changed. */
  readonly plan: Json
  /** DuckDB session settings and version, product version. */
  readonly settings: Json
  /** Ledger sequence number of the next entry. */
  readonly nextSeq: number
  /** Per source: the watermark, highest high mark and so on, decimal texts. */
  readonly watermarks: Json
  /** Watermark by stage, decimal texts; absent where they follow from those of the sources. */
  readonly clocks?: Json
  /** Up to format 5: what the notification source keeps (Kafka offsets). Null since: it is part of the settings. */
  readonly positions: Json
  /** Running totals over the checkpoint's life. */
  readonly totals: Readonly<Record<string, number>>
}

export interface Manifest {
  /** Born with the checkpoint; output folders carry it in their marker. */
  readonly checkpointId: string
  readonly epoch: number
  readonly engine: EngineState
  readonly channels: Channels
  /** In order of their epochs, one for each flow that has rows in it. */
  readonly unpublished: readonly Unpublished[]
  readonly retained: readonly RetainedManifest[]
  readonly garbage: readonly Garbage[]
}

/** What a store has shown that it keeps (P4), so that not every start has to see it again. */
export interface Shown {
  /** Who has shown it: see `ObjectStore.decider`. */
  readonly by: string
  /** When, in ms since 1970. */
  readonly atMs: number
  /** Which probe it has passed. */
  readonly probe: number
}

/** The one mutable object (P3). */
export interface Head {
  readonly format: number
  readonly minReader: number
  readonly term: number
  readonly putId: string
  readonly owner: string
  readonly beat: number
  readonly released: boolean
  readonly manifest: Manifest
  /** Readers that do not know it leave it out at their claim: then the next start probes all again. */
  readonly shown?: Shown
  /** The file that holds the manifest where HEAD has no room for it. Since format 3. */
  readonly manifestFile?: ManifestFile
}

export type ManifestFile = Pick<FileRef, 'name' | 'bytes' | 'sha256'>
