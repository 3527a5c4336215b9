import type { Manifest } from '../../../checkpoints/types.ts'
import { durationUs } from '../../core/duration.ts'
import { plainJson } from '../../core/json.ts'
import { snapshotFolder, type SnapshotOptions } from '../../plan/sink.ts'
import { settingsOf, type SnapshotRecord, withSettings } from './engine-state.ts'

/** How often a snapshot is written: the first commit with changes after so many epochs, or so long. */
export interface SnapshotLimits {
  readonly epochs: number
  readonly delayMs: number
}

export function snapshotLimits({ every }: SnapshotOptions, flow: string): SnapshotLimits {
  if (typeof every === 'number') return { epochs: every, delayMs: 0 }
  return { epochs: 1, delayMs: Number(durationUs(every, `${flow}: snapshot.every`) / 1_000n) }
}

/**
 * Whether a name is that of a snapshot that may be needed: the two that stay, and all newer ones. Another process may
 * have written those since this one has read the record.
 */
export function isKeptSnapshot({ earlier }: SnapshotRecord, name: string): boolean {
  return name.startsWith(snapshotFolder) && (earlier === null || name >= earlier)
}

const none: SnapshotRecord = { epoch: 0, atMs: null, file: null, earlier: null, isBehind: false }

export function snapshotRecord(manifest: Pick<Manifest, 'engine'>, flow: string): SnapshotRecord {
  return settingsOf(manifest).snapshots?.[flow] ?? none
}

export function withSnapshotRecord(manifest: Manifest, flow: string, record: SnapshotRecord): Manifest {
  return withSettings(manifest, { snapshots: plainJson({ ...settingsOf(manifest).snapshots, [flow]: record }) })
}

/** Whether an epoch is to write one. A clock that went back does not make anybody wait for it. */
export function isSnapshotDue(
  { epoch: last, atMs }: SnapshotRecord,
  { epochs, delayMs }: SnapshotLimits,
  epoch: number,
  nowMs: number,
): boolean {
  if (epoch - last < epochs) return false
  return atMs === null || atMs > nowMs || atMs + delayMs <= nowMs
}
