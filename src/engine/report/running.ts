import type { Backlog } from '../../core/ports.ts'
import type { StoredPlan } from '../../plan/stored-plan.ts'
import type { SinkLag, WaitingRows } from './lags.ts'
import type { Totals } from './summary.ts'

/** A run between its start and its end, for those who watch it. */
export interface Running {
  /** What it does, step by step. */
  readonly plan: StoredPlan
  /**
   * How long work in hand has waited for a commit, beyond what its mini-batch waits on purpose; 0 when there is none,
   * and while an output that is behind holds commits back. Of the monotonic clock. It grows without end only
   * when the engine hangs.
   */
  stalledMs(): number
  /** Costs queries of the state. Queues are asked once in a few seconds, however often this is. */
  measure(): Promise<Measurement>
}

/** What a run holds now. */
export interface Measurement {
  readonly term: number
  readonly epoch: number
  readonly checkpointAddress: string
  readonly outputs: readonly string[]
  readonly totals: Totals
  /** Object versions on their way into the ledger. */
  readonly inHand: number
  /** Taken in since the start. */
  readonly admitted: { readonly objects: number; readonly bytes: number }
  readonly sources: readonly MeasuredSource[]
  readonly states: readonly MeasuredState[]
  /** Epochs that flows have not taken yet, for every flow that ends in `rows()` or `batches()` and is behind. */
  readonly undelivered: readonly WaitingRows[]
  /** How far each sink is behind. */
  readonly sinks: readonly SinkLag[]
  /** What waits for rows of later epochs, for every flow whose sink holds rows. */
  readonly held: readonly MeasuredHeld[]
  readonly checkpoint: { readonly headBytes: number; readonly bytes: number; readonly files: number }
  readonly backlog: Backlog
  /** What the notification source has counted, by name. */
  readonly notifications: Readonly<Record<string, number>>
  /** The limit to a tenth of its unit, as DuckDB shows it. */
  readonly duckdb: { readonly memoryBytes: number; readonly spillBytes: number; readonly limitBytes: number }
}

/** How far a source is. */
export interface MeasuredSource {
  readonly source: string
  /** Event times, microseconds since 1970; null before the first, and where the source has none. */
  readonly watermarkUs: bigint | null
  readonly highMarkUs: bigint | null
  /** The root of its input. */
  readonly address: string
  /** Object versions on their way into the ledger, and how long the first of them has been; null where none is. */
  readonly inHand: { readonly objects: number; readonly oldestMs: number | null }
  /** Taken in since the start. */
  readonly admitted: { readonly objects: number; readonly bytes: number }
  readonly backlog: Backlog
}

/** Committed rows that wait until they are worth a file. */
export interface MeasuredHeld {
  readonly flow: string
  readonly rows: number
  /** That they take in the checkpoint. */
  readonly bytes: number
  /** Since the first of them was committed; 0 where none waits. */
  readonly ageMs: number
}

/** A state table: its rows in DuckDB, its bytes as segments of the checkpoint. */
export interface MeasuredState {
  readonly name: string
  readonly rows: number
  readonly bytes: number
  /** Undefined for side tables. */
  readonly openWindows?: number
  /** The first of them by their ends; absent where `openWindows` is. */
  readonly windows?: readonly MeasuredWindow[]
  /** What closes them; null before the first mark. */
  readonly watermarkUs: bigint | null
  /** Of the window that closes next: what it waits for, in words. */
  readonly why?: string
}

/** An open window. Event times are microseconds since 1970. */
export interface MeasuredWindow {
  readonly startUs: bigint
  readonly endUs: bigint
  readonly groups: number
}
