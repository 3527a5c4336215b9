import type { Manifest, Part } from '../../../checkpoints/types.ts'
import { durationUs } from '../../core/duration.ts'
import { configError } from '../../core/errors.ts'
import { plainJson } from '../../core/json.ts'
import { parseSizeBytes, sizeForms } from '../../core/size.ts'
import type { Hold } from '../../plan/sink.ts'
import { type HeldRecord, settingsOf, withSettings } from './engine-state.ts'

// Rows of a flow that are committed and wait for those of later epochs, until they are worth a file. They lie in a
// channel of the checkpoint like others, so HEAD stays small however many epochs they are of, and a merge of its files
// changes nothing.

const prefix = 'held-'

export const heldChannel = (flow: string): string => `${prefix}${flow}`

/** Beside the flow's columns, what orders its rows: the epoch, and their order in what that epoch gave. */
export const heldOrder = ['_epoch', '_row'] as const
export const [, heldRow] = heldOrder

/** Until when rows may wait. */
export interface HoldLimits {
  /** Of the files that they would make. */
  readonly bytes: number
  readonly delayMs: number
}

export function holdLimits({ targetSize, maxDelay }: Hold, flow: string): HoldLimits {
  const bytes = parseSizeBytes(targetSize)
  if (bytes === undefined) throw configError(`${flow}: targetSize`, targetSize, sizeForms)
  return { bytes, delayMs: Number(durationUs(maxDelay, `${flow}: maxDelay`) / 1_000n) }
}

export function heldRecord(manifest: Pick<Manifest, 'engine'>, flow: string): HeldRecord {
  return settingsOf(manifest).held?.[flow] ?? { sinceMs: null, bytesPerRow: null }
}

export function withHeldRecord(manifest: Manifest, flow: string, record: HeldRecord): Manifest {
  return withSettings(manifest, { held: plainJson({ ...settingsOf(manifest).held, [flow]: record }) })
}

/** When rows of a flow have waited long enough, in ms since 1970; at once where its sink holds none any more. */
export function heldUntilMs({ sinceMs }: HeldRecord, limits: HoldLimits | undefined, nowMs: number): number {
  // A clock that went back must not make them wait for it.
  if (limits === undefined || sinceMs === null || sinceMs > nowMs) return nowMs
  return sinceMs + limits.delayMs
}

export function heldParts({ channels }: Pick<Manifest, 'channels'>, flow: string): readonly Part[] {
  return channels[heldChannel(flow)] ?? []
}

export function rowsIn(parts: readonly Part[]): number {
  return parts.reduce((sum, { rows }) => sum + rows, 0)
}

/** The flows that have rows that wait. */
export function heldFlows({ channels }: Pick<Manifest, 'channels'>): readonly string[] {
  return Object.entries(channels).flatMap(([name, parts]) =>
    name.startsWith(prefix) && parts.length > 0 ? [name.slice(prefix.length)] : [],
  )
}

/** The first epoch whose rows of a flow wait; undefined where none do. */
export function heldFrom(manifest: Pick<Manifest, 'channels'>, flow: string): number | undefined {
  const parts = heldParts(manifest, flow)
  return parts.length === 0 ? undefined : Math.min(...parts.map(({ epochs }) => epochs[0]))
}

/** The last epoch of which a flow can have files: rows are held together, so none of an epoch with rows that wait. */
export function publishedThrough(manifest: Pick<Manifest, 'channels' | 'epoch'>, flow: string): number {
  const from = heldFrom(manifest, flow)
  return from === undefined ? manifest.epoch : from - 1
}

/** Rows of a flow that wait until they are worth a file. */
export interface HeldRows {
  readonly flow: string
  readonly rows: number
  /** That they take in the checkpoint. */
  readonly bytes: number
  /** When the first of them was committed, in ms since 1970. */
  readonly sinceMs: number | null
}

export function heldIn(manifest: Pick<Manifest, 'channels' | 'engine'>): readonly HeldRows[] {
  return heldFlows(manifest).map(flow => {
    const parts = heldParts(manifest, flow)
    const bytes = parts.reduce((sum, part) => sum + part.bytes, 0)
    return { flow, rows: rowsIn(parts), bytes, sinceMs: heldRecord(manifest, flow).sinceMs }
  })
}
