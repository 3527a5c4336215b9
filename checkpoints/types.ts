import type { Json } from '../src/core/json.ts'
import type { TextRows } from '../src/core/text-rows.ts'

/**
 * An immutable file of the checkpoint. Small ones ride in HEAD (P3): a few rows of a channel as `text`, which is
 * Parquet once it is merged, and others with their bytes, base64 in `inline`.
 */
export interface FileRef {
  /** Key under the checkpoint's root: `<kind>/<term>-<epoch>-<uuid>.<ext>`. */
  readonly name: string
  /** Of the file; of `text`, of the JSON of its columns and rows. So with the hash. */
  readonly bytes: number
  readonly rows: number
  readonly sha256: string
  readonly inline?: string
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
 * `late-<node>` and `segment-<node>`. Its name is also the <kind> of its files' names.
 */
export type Channels = Readonly<Record<string, readonly Part[]>>

/** A file staged in the output's own store (or inline here) that the commit made true and that waits to be published (P8). */
export interface Unpublished {
  /** Name of the flow whose output store holds it. */
  readonly output: string
  readonly file: FileRef
  /** Final key in the output store, used once. */
  readonly to: string
}

/** One epoch's rows of a flow that hands rows over, as a file of the checkpoint: committed, and not known to be taken yet. */
export interface Undelivered {
  /** Name of the flow that takes them. */
  readonly output: string
  readonly epoch: number
  readonly file: FileRef
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
  /** What notification sources keep (Kafka offsets). */
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
  readonly unpublished: readonly Unpublished[]
  /** In order of their epochs. Since format 2. */
  readonly undelivered: readonly Undelivered[]
  readonly retained: readonly RetainedManifest[]
  readonly garbage: readonly Garbage[]
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
  /** The file that holds the manifest where HEAD has no room for it. Since format 3. */
  readonly manifestFile?: ManifestFile
}

export type ManifestFile = Pick<FileRef, 'name' | 'bytes' | 'sha256'>
