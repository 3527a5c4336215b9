import type { ErrorCode } from '../../core/error-codes/index.ts'
import type { ObjectVersion, Wanted } from '../../core/object-version.ts'
import { errorMessage, MillraceError } from '../../core/errors.ts'
import type { Clock } from '../../core/clock.ts'
import type { Executor, ObjectStore } from '../../core/ports.ts'
import type { Format } from '../../plan/format.ts'
import type { ObjectColumns } from './columns-seen.ts'
import type { NeverSeen } from './never-seen.ts'
import type { Outcome } from './outcome.ts'
import { scratchName } from '../duckdb/scratch.ts'
import type { SourcePolicies, SourceSettings } from '../../plan/source-settings.ts'

/** An object after stage 1 (S17): what became of it, its high mark, and how its good rows are read. */
export interface MarkedObject {
  readonly is: 'object'
  /** The name of its source. */
  readonly source: string
  readonly version: ObjectVersion
  readonly outcome: Outcome
  /** Why it was not read. */
  readonly reason: string | null
  readonly rows: number
  readonly quarantinedRows: number
  /** Rows that count although something of them did not fit: it lies beside them. */
  readonly rescuedRows?: number
  readonly outsideBounds: number
  readonly highMarkUs: bigint | null
  readonly minTimeUs: bigint | null
  /** Which columns it has; undefined unless read. */
  readonly columns?: ObjectColumns
  /** Where its good rows are; undefined unless read. */
  readonly good?: GoodRows
  /** SQL of the rows set aside, one a row and column; undefined when there are none. */
  setAside?(seq: number): string
  /** Reads every declared column of every row: fails where a page is corrupt. */
  probe?(): Promise<void>
  /** Whether the spooled file, a hard link, was written to since: then nothing that was read of it counts. */
  isChanged?(): Promise<boolean>
  /** Gives spool space back. */
  release(): Promise<void>
}

/** The good rows of one object. Those of small objects lie in one table. */
export interface GoodRows {
  readonly source: RowSource
  /** The object's number in the source. */
  readonly part: number
}

export interface RowSource {
  /** SQL of the good rows of these parts. */
  scan(parts: readonly StampedPart[]): string
}

export interface StampedPart {
  readonly part: number
  readonly seq: number
  readonly watermarkUs: bigint | null
}

export interface FetchContext {
  readonly store: ObjectStore
  readonly format: Format
  readonly settings: SourceSettings
  readonly policies: SourcePolicies
  readonly executor: Executor
  /** Told of what is read. */
  readonly neverSeen?: NeverSeen
  readonly spool: string
  readonly clock: Clock
  readonly signal: AbortSignal
}

/**
 * An object that may not be read, under the `onDenied` policy. A missing permission denies every object alike: by
 * default it stops the run rather than setting a whole backlog aside.
 */
export function deniedObject(
  { settings: { name }, policies: { onDenied } }: Pick<FetchContext, 'settings' | 'policies'>,
  version: ObjectVersion,
  reason: string,
): MarkedObject {
  return byPolicy(name, onDenied, version, reason, {
    code: 'denied-object',
    message:
      `source ${name}: object '${version.key}' may not be read: ${reason.replace(/\.$/, '')}. ` +
      `Nothing of it was counted. Grant the permission, or set onDenied to 'quarantine' or 'skip'.`,
  })
}

/** Why a version was not there. Ledgers hold these texts, and in those of earlier releases nothing else tells it. */
export const goneBecause = {
  missing: 'the object is gone',
  changed: 'the object changed after it was listed',
  /** A hard link whose file changed under it. */
  writtenTo: 'the file was written to while it was read',
} as const
export const goneReasons: ReadonlySet<string> = new Set(Object.values(goneBecause))

/** Why a version is not read whose key was counted before, under `overwrite: 'quarantine'`. */
export const overwritten =
  "another version of this key was counted before; overwrite: 'append' would count this one as well " +
  '(a folder copied afresh has new modification times)'

/** An object that was not read, under the `onBadObject` policy. */
export function badObject(
  { settings: { name }, policies: { onBadObject } }: Pick<FetchContext, 'settings' | 'policies'>,
  version: ObjectVersion,
  reason: string,
): MarkedObject {
  return byPolicy(name, onBadObject, version, reason, {
    code: 'bad-object',
    message:
      `source ${name}: object '${version.key}' cannot be read: ${reason}. Nothing of it was counted. ` +
      `Replace the object, or set onBadObject to 'quarantine' or 'skip'.`,
  })
}

/**
 * An object that was not there when it was to be read. Nothing is known of this version, so it is no count (P13),
 * unless the `onBadObject` policy stops the run.
 */
export function goneObject(
  context: Parameters<typeof badObject>[0],
  version: ObjectVersion,
  reason: string,
): MarkedObject {
  return { ...badObject(context, version, reason), outcome: 'gone' }
}

function byPolicy(
  source: string,
  policy: 'fail' | 'quarantine' | 'skip',
  version: ObjectVersion,
  reason: string,
  { code, message }: { readonly code: ErrorCode; readonly message: string },
): MarkedObject {
  if (policy === 'fail') throw new MillraceError('fatal', code, message)
  return unread(source, version, policy === 'skip' ? 'skipped' : 'quarantined', reason)
}

/** What may be recorded of an object that the store did not give: a message names it, and knows no size. */
export function recorded({ isAnnounced, ...version }: Wanted): ObjectVersion {
  return isAnnounced ? { ...version, sizeBytes: 0 } : version
}

/** An object of which nothing is read. */
export function unread(
  source: string,
  version: ObjectVersion,
  outcome: Exclude<Outcome, 'read'>,
  reason: string | null,
): MarkedObject {
  return {
    is: 'object',
    source,
    version,
    outcome,
    reason,
    rows: 0,
    quarantinedRows: 0,
    outsideBounds: 0,
    highMarkUs: null,
    minTimeUs: null,
    release: async () => {},
  }
}

/** Whether a DuckDB error is the object's fault. Everything else (memory, disk, a defect) ends the run. */
export function isBadObject(error: unknown): boolean {
  if (error instanceof MillraceError) return false
  return (
    /^((Invalid Input|IO|Serialization|Conversion|Out of Range|Not implemented|Invalid) Error|Binder Error: Failed to read)/i.test(
      errorMessage(error),
    ) && !/no space left|cannot allocate|out of memory|too many open files/i.test(errorMessage(error))
  )
}

const spoolPath = new RegExp(String.raw`[^'"]*${scratchName}[\\/]spool[\\/](lookups[\\/])?\d+(\.rows)?`, 'g')

/** DuckDB's reader of Parquet refuses the whole page. */
const farMilliseconds =
  "a time in milliseconds is none that a TIMESTAMP holds, such as numpy's NaT; write it as NULL, or the column in " +
  'microseconds, where it is one bad row'

/** DuckDB's first sentence, with the object's key in place of the spool's path. */
export function reasonOf(error: unknown, key: string): string {
  const [line = ''] = errorMessage(error).split('\n')
  if (line.includes('Could not convert Timestamp(MS) to Timestamp(US)')) return farMilliseconds
  return line
    .replace(spoolPath, () => key)
    .replace(/^[A-Za-z ]+ Error: /, '')
    .replace(/\.$/, '')
}
