import type { NotificationEvent } from '../../../connectors/notifications/context.ts'
import type { Deed } from '../../plan/after.ts'
import type { BadRow, BadRows } from '../read/bad-row.ts'
import type { GoneField, NewColumn } from '../read/columns-seen.ts'
import type { ReadAgain } from '../read/outcome.ts'
import type { Counts, IgnoredKeys } from './ignored-keys.ts'
import type { EpochResult, LookupRead, SetAside } from './summary.ts'
import type { WithoutPeriod } from './without-period.ts'

/**
 * The parts of an epoch: objects fetched and marked; first partials and late rows; what the watermark's move closes;
 * staging and the write of HEAD; output made visible. Those of one epoch overlap with those of the next.
 */
export const phases = ['mark', 'partial', 'apply', 'commit', 'publish'] as const
export type Phase = (typeof phases)[number]

/** A source's part of an epoch. */
export interface EpochOfSource {
  readonly source: string
  readonly objects: number
  readonly rows: number
  readonly bytes: number
}

/** Late (row, window) pairs of one reason. */
export interface LateRows {
  readonly reason: string
  readonly rows: number
  /** The key of the first one's object; null where it is not known. */
  readonly object: string | null
}

/** What happens in a run, as plain data: logs and metrics are made of these. Times are milliseconds. */
export type RunEvent =
  /** Another process owns the checkpoint and lives: this one stands by (P5). */
  | { readonly is: 'waiting'; readonly owner: string }
  /** The checkpoint is claimed and its state loaded. */
  | { readonly is: 'started'; readonly term: number; readonly epoch: number; readonly checkpoint: string }
  /** The source has no watermark: as long as the run follows it, no window closes. Told at each start. */
  | { readonly is: 'no-watermark'; readonly source: string }
  /** An epoch is committed; `tookMs` since its first object was fetched. */
  | {
      readonly is: 'epoch'
      readonly result: EpochResult
      readonly tookMs: number
      /** Of its objects. */
      readonly bytes: number
      /** What each source gave. */
      readonly sources: readonly EpochOfSource[]
      readonly quarantined: number
      readonly skipped: number
      readonly gone: number
      readonly suspect: number
      readonly quarantinedRows: number
      /** Of these. */
      readonly firstBadRow?: BadRow
      /** The same rows by why they are, those of the first first. */
      readonly badRows: readonly BadRows[]
      /** Late (row, window) pairs by why they are. */
      readonly lateRows: readonly LateRows[]
      /** Why objects were not read; the first hundred. */
      readonly setAside: readonly SetAside[]
    }
  /** So many objects that were set aside are read again before anything new. */
  | { readonly is: 'reading-again'; readonly as: ReadAgain; readonly objects: number }
  /** So many late rows are applied to windows that had closed, each counted for every window that it was late for. */
  | { readonly is: 'late-applied'; readonly rows: number }
  /** Columns of JSON have had no value in any of the rows read so far: are their names right? Told once. */
  | { readonly is: 'null-columns'; readonly source: string; readonly columns: readonly string[]; readonly rows: number }
  /** Objects of an epoch have columns that nobody declared and no object before had. Told once of each. */
  | { readonly is: 'new-columns'; readonly source: string; readonly columns: readonly NewColumn[] }
  /**
   * A declared field of JSON had values, and has had none in so many rows since. Told once, and again if it comes back
   * and goes.
   */
  | { readonly is: 'gone-field'; readonly source: string; readonly field: GoneField }
  /** A version of a lookup was read; the next rows meet it. */
  | ({ readonly is: 'lookup' } & LookupRead)
  /** A lookup has changed, or its place is away, and it could not be read: its last version goes on. */
  | { readonly is: 'lookup-failed'; readonly lookup: string; readonly error: string }
  /** A part of an epoch took so long. */
  | { readonly is: 'phase'; readonly phase: Phase; readonly ms: number }
  /** Rows that were held are committed as files, as they have waited long enough, or as the run ends. */
  | {
      readonly is: 'held-written'
      readonly outputFiles: readonly string[]
      readonly rows: number
      /** Of the files. */
      readonly bytes: number
    }
  /** A flow took one epoch's rows. */
  | {
      readonly is: 'delivered'
      readonly flow: string
      readonly epoch: number
      readonly rows: number
      readonly tookMs: number
    }
  /** What becomes of objects when they are committed, where they do not stay as they are. Told at each start. */
  | { readonly is: 'after-set'; readonly after: Exclude<Deed, 'keep'>; readonly text: string }
  /** What `after` asks for was done with so many committed objects. */
  | {
      readonly is: 'afterwards'
      readonly deed: Exclude<Deed, 'keep'>
      readonly objects: number
      readonly bytes: number
      /** Tried again after a pause. */
      readonly failed: number
      /** Objects that were found otherwise than they were committed. */
      readonly left: readonly SetAside[]
    }
  /** It could not be done, as here. Told once of each kind of error; counting goes on. */
  | {
      readonly is: 'after-failed'
      readonly deed: Exclude<Deed, 'keep'>
      readonly key: string
      readonly code: string
      readonly error: string
    }
  /** Messages came in, with so many objects; so many of them are in the ledger or under way already. */
  | {
      readonly is: 'received'
      readonly messages: number
      readonly objects: number
      readonly duplicates: number
      /** What else they named, and is not read. */
      readonly ignored: Readonly<Counts>
    }
  /** The source was listed: so many objects are new to the ledger. */
  | {
      readonly is: 'reconciled'
      readonly listed: number
      readonly found: number
      readonly ignored: IgnoredKeys
      readonly tookMs: number
    }
  /** A listing found keys that the pattern of `bounds` does not fit. Told again whenever there are twice as many. */
  | { readonly is: 'without-period'; readonly withoutPeriod: WithoutPeriod }
  /**
   * Keys are ignored: in the last listing, or of all that messages have named since the start. Told of the first of
   * each kind, and again whenever there are twice as many.
   */
  | {
      readonly is: 'ignored'
      readonly by: 'listing' | 'messages'
      readonly ignored: Readonly<Counts>
    }
  /** What a queue or topic has to say: a refused message, a lost hold. */
  | { readonly is: 'notification'; readonly notification: NotificationEvent }
  /** Something outside does not answer as it should, and is tried again. */
  | { readonly is: 'trouble'; readonly what: string; readonly error: string }
  /** The run starts again from its checkpoint, as after a crash. */
  | { readonly is: 'restarting'; readonly error: string; readonly inMs: number }
  | { readonly is: 'draining' }
  /** Nothing is left of what was there: a run that was told so ends. */
  | { readonly is: 'idle' }
  | { readonly is: 'stopped'; readonly epoch: number }

/** Does one part of an epoch and tells how long it took, unless it fails. */
export async function timed<T>({ clock, onEvent }: Timing, phase: Phase, work: () => Promise<T>): Promise<T> {
  const startedMs = clock.nowMs()
  const made = await work()
  onEvent({ is: 'phase', phase, ms: clock.nowMs() - startedMs })
  return made
}

/** A run, as far as timing needs it. */
export interface Timing {
  readonly clock: { nowMs(): number }
  onEvent(event: RunEvent): void
}
