/** What a run tells while it works and when it ends. Plain data: the command line prints it, `--json` serialises it. */
import type { GoneField, NewColumn } from '../read/columns-seen.ts'
import type { IgnoredKeys } from './ignored-keys.ts'
import type { WaitingRows } from './lags.ts'
import type { WithoutPeriod } from './without-period.ts'

/** Emitted after each commit, and while objects are read. */
export interface Progress {
  readonly objectsDone: number
  readonly objectsTotal: number
  readonly bytesDone: number
  readonly bytesTotal: number
  /** Rows read in this run. */
  readonly rows: number
  readonly epoch: number
  /** Epochs that wait to be taken, over all flows that end in `rows()` or `batches()`. */
  readonly undelivered: number
}

/** Totals over the checkpoint's life. */
export interface Totals {
  /** Rows read from good objects, before any `where`. */
  readonly rows: number
  /** Late (row, window) pairs over all flows. */
  readonly late: number
  /** Those of them that `apply-late` has brought into their windows. */
  readonly applied: number
  /**
   * Object versions in the ledger, each once, whatever their outcome. The next four: those whose last outcome is that.
   */
  readonly objects: number
  readonly quarantined: number
  readonly skipped: number
  /** They were not there when they were to be read: read when they are found again. */
  readonly gone: number
  /** Processes died while they read them: read once more after a clean stop. */
  readonly suspect: number
  /** Rows set aside under `onBadRow: 'quarantine'`, and rows without a usable event time. */
  readonly quarantinedRows: number
  /** Rows outside the watermark's `bounds`: processed and counted like others, but they move no watermark. */
  readonly outsideBounds: number
  readonly epochs: number
}

/** One committed epoch, as `run()` emits it. */
export interface EpochResult {
  readonly epoch: number
  readonly objects: number
  readonly rows: number
  readonly late: number
  /** Addresses of the files that this epoch made visible. */
  readonly outputFiles: readonly string[]
  readonly totals: Totals
}

export interface SetAside {
  readonly key: string
  readonly reason: string
}

/** State that a flush leaves open because its rows lie beyond the highest high mark (S6). */
export interface FarAhead {
  readonly flow: string
  /** ISO 8601, UTC. */
  readonly windowStart: string
  readonly windowEnd: string
  readonly groups: number
}

export interface Summary {
  readonly pipeline: string
  readonly checkpoint: string
  readonly outputs: readonly string[]
  readonly totals: Totals
  /** Every output file of the checkpoint. */
  readonly outputFiles: readonly string[]
  readonly run: {
    readonly objects: number
    readonly rows: number
    readonly bytes: number
    /** Late (row, window) pairs. */
    readonly late: number
    /** Rows set aside. */
    readonly quarantinedRows: number
    /** Rows that count although something of them did not fit: the column of `rescue` has it. */
    readonly rescuedRows: number
    /** Rows that moved no watermark, as their time lies outside `bounds`. */
    readonly outsideBounds: number
    readonly epochs: number
    /** Epochs that flows have taken in this run, counted for each flow that ends in `rows()` or `batches()`. */
    readonly delivered: number
    readonly seconds: number
    /** Objects quarantined or skipped in this run. */
    readonly setAsideObjects: number
    /** The first 1,000 of them. */
    readonly setAside: readonly SetAside[]
    /** Files of the input that are objects of the source, whether new or not. */
    readonly matched: number
    /** Files of the input that are none: hidden, behind symbolic links, or with another ending. */
    readonly ignored: number
    /** The same by reason, with the first of each. */
    readonly ignoredBy: IgnoredKeys
    /** Objects left out by --from and --to because their key names no period, or one outside. */
    readonly leftOut: number
    /** Objects of the listing, new or not, that the key pattern of `bounds` does not fit; null where it fits all. */
    readonly withoutPeriod: readonly WithoutPeriod[]
    /** Versions of lookups that were read, in order. */
    readonly lookups: readonly LookupRead[]
    /** Columns of JSON without a value in any row that was read. */
    readonly nullColumns: readonly { readonly source: string; readonly column: string }[]
    /** Columns that nobody declared and that objects of this run are the first to have. */
    readonly newColumns: readonly (NewColumn & { readonly source: string })[]
    /** Declared fields of JSON that had values, and none in the last objects of this run. */
    readonly goneFields: readonly (GoneField & { readonly source: string })[]
    /** Of another checkpoint's ledger, instead of a listing. */
    readonly isReplay: boolean
    /** Stopped by a drain before the end of the listing. */
    readonly drained: boolean
  }
  /** What waits to be taken at the end: nothing, as a run ends well when all is taken. */
  readonly undelivered: readonly WaitingRows[]
  readonly openWindows: number
  /** By name of the source, ISO 8601, UTC; null before the first. */
  readonly watermarks: Readonly<Record<string, string | null>>
  /** Of the open window that closes next what it waits for, in words. Null where none is open, or all lie far ahead. */
  readonly next: string | null
  /** The first hundred. */
  readonly farAhead: readonly FarAhead[]
  /** Groups of `global`, which are given when the checkpoint is sealed. */
  readonly untilTheEnd: readonly HeldGroups[]
  /** True when the listing held nothing new, and nothing was left to flush or to hand over. */
  readonly nothingToDo: boolean
}

/** A version of a lookup that was read. */
export interface LookupRead {
  readonly lookup: string
  readonly rows: number
  readonly objects: number
}

/** Groups of a flow that no watermark closes. */
export interface HeldGroups {
  readonly flow: string
  readonly groups: number
}

export interface InspectedState {
  readonly name: string
  readonly rows: number
  /** Of its segments, rows of closed windows among them. */
  readonly bytes: number
  /** Undefined for side tables, and until an epoch is committed by a release that records it. */
  readonly openWindows?: number
}

/** What a checkpoint holds, read without claiming it. */
export interface Inspection {
  readonly checkpoint: string
  /** What the marker of its output folders names. */
  readonly checkpointId: string
  readonly pipeline: string
  readonly term: number
  readonly epoch: number
  readonly owner: string
  readonly released: boolean
  readonly duckdb: string
  readonly totals: Totals
  /** ISO 8601 per source; null before the first mark. Sources without event time are not among them. */
  readonly watermarks: Readonly<Record<string, string | null>>
  /** State tables, by their rows that are alive. */
  readonly states: readonly InspectedState[]
  readonly channels: readonly {
    readonly name: string
    readonly files: number
    readonly rows: number
    readonly bytes: number
  }[]
  /** Epochs that sinks do not have yet, counted for each flow. An epoch may have several files. */
  readonly unpublished: number
  /** Rows that are committed and wait for those of later epochs, until they are worth a file. */
  readonly held: readonly {
    readonly flow: string
    readonly rows: number
    /** That they take in the checkpoint. */
    readonly bytes: number
    /** When the first of them was committed: ISO 8601, UTC. */
    readonly since: string | null
  }[]
  /** Epochs that flows have not taken yet, by flow. */
  readonly undelivered: readonly WaitingRows[]
  /** Objects that `retry` has put back and no run has read yet. */
  readonly retried: number
  /** Requests of `apply-late` that no run has done yet. */
  readonly applyLate: number
  readonly outputFiles: readonly string[]
  readonly setAside: readonly SetAside[]
}
