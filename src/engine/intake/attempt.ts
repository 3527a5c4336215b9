import type { Manifest } from '../../../checkpoints/types.ts'
import { type Attempt, settingsOf, withSettings } from '../state/engine-state.ts'
import type { AdmittedObject } from './admit.ts'

/** Deaths in one epoch that are no object's fault: machines go down, and people kill processes. */
export const carefulAfter = 5

/** What a start does about the deaths before it. */
export type AttemptDecision =
  | { readonly is: 'none' }
  /** A clean start: the owner before released the checkpoint. Suspects are read once more, each alone. */
  | { readonly is: 'clean' }
  /** Reads on as ever, and records the death. */
  | { readonly is: 'count'; readonly attempt: Attempt }
  /** Reads at most `limit` objects at a time, alone, and records which. */
  | { readonly is: 'careful'; readonly attempt: Attempt; readonly limit: number }
  /** Sets aside the object that was alone when a process died. */
  | { readonly is: 'quarantine'; readonly killer: NonNullable<Attempt['alone']>; readonly deaths: number }

/**
 * P13, over what HEAD held before the claim.
 *
 * @param isSameProcess this process owned it and starts again, so nobody died
 */
export function decideAttempt(manifest: Manifest, isReleased: boolean, isSameProcess = false): AttemptDecision {
  const epoch = manifest.epoch + 1
  const found = attemptOf(manifest)
  const last = found?.epoch === epoch ? found : null
  // `retry` releases what an owner left that died, and leaves its deaths on record.
  if (isReleased && last === null) return { is: 'clean' }
  const isRestart = isSameProcess && !isReleased
  if (last === null) {
    const attempt = { epoch, deaths: 1, objects: null, left: null, alone: null }
    return isRestart ? { is: 'none' } : { is: 'count', attempt }
  }
  const attempt = { ...last, deaths: last.deaths + (isReleased ? 0 : 1) }
  // Where a search is on, it goes on.
  if (isRestart && last.alone === null && attempt.deaths < carefulAfter) return { is: 'none' }
  if (last.alone !== null && !isRestart) return { is: 'quarantine', killer: last.alone, deaths: attempt.deaths }
  if (attempt.deaths < carefulAfter) return { is: 'count', attempt }
  const limit = last.objects === null ? Number.MAX_SAFE_INTEGER : Math.ceil(last.objects / 2)
  return { is: 'careful', attempt, limit }
}

/** What whoever claims and reads nothing leaves on record: the deaths that the next start is to know of. */
export function recordOf(decision: AttemptDecision, manifest: Manifest): Attempt | null {
  if (decision.is === 'count' || decision.is === 'careful') return decision.attempt
  const last = attemptOf(manifest)
  return decision.is === 'quarantine' ? last && { ...last, deaths: decision.deaths } : null
}

export function attemptOf(manifest: Manifest): Attempt | null {
  return settingsOf(manifest).attempt ?? null
}

export function withAttempt(manifest: Manifest, attempt: Attempt | null): Manifest {
  return withSettings(manifest, {
    attempt: attempt === null ? undefined : { ...attempt, alone: attempt.alone && { ...attempt.alone } },
  })
}

/** What deaths in the epoch to come ask of this run; changes with its commits. */
export interface Care {
  /** The most objects of the next mini-batch. Undefined where nothing is to be careful about. */
  limit(): number | undefined
  /** Before anything of the mini-batch is read: what is to be known if the process dies of it. */
  begin(objects: readonly AdmittedObject[]): Promise<void>
  /** How an object is set aside unread, where a process died while it was read alone. */
  setAside(object: AdmittedObject): { readonly outcome: 'suspect' | 'quarantined'; readonly reason: string } | undefined
}

/**
 * @param write commits a record in HEAD, and nothing else
 * @param nextEpoch the epoch that is to be committed next
 */
export function createCare(
  first: AttemptDecision,
  write: (attempt: Attempt | null) => Promise<void>,
  nextEpoch: () => number,
): Care & {
  /** The record that the commit of this many objects leaves. */
  after(objects: number, epoch: number): Attempt | null
  /** After an end that was no death: what this run has recorded is taken back. */
  undo(before: Attempt | null): Promise<void>
} {
  let now = first
  let hasWritten = false
  return {
    limit: () => (now.is === 'careful' ? now.limit : undefined),
    async begin(objects) {
      const alone = onlyOf(objects)
      let attempt: Attempt
      if (objects[0]?.again === 'suspect' && now.is === 'clean') {
        attempt = { epoch: nextEpoch(), deaths: 0, objects: 1, left: 1, alone }
      } else if (now.is === 'careful') {
        const { length } = objects
        attempt = { ...now.attempt, objects: length, left: now.attempt.left ?? length, alone }
        now = { ...now, attempt, limit: Math.min(now.limit, length) }
      } else if (now.is === 'count' && !hasWritten) attempt = now.attempt
      else return
      hasWritten = true
      await write(attempt)
    },
    setAside(object) {
      if (now.is !== 'quarantine' || !isKiller(now.killer, object)) return undefined
      if (object.earlier === 'suspect')
        return { outcome: 'quarantined', reason: 'a process died again while it read this object alone' }
      return {
        outcome: 'suspect',
        reason:
          `the process died ${now.deaths} times in a row in its epoch, the last time while it read this object ` +
          'alone; a start after a clean stop reads it once more',
      }
    },
    after(objects, epoch) {
      hasWritten = false
      if (now.is !== 'careful' || now.attempt.left === null) {
        if (now.is === 'count' || now.is === 'careful') now = { is: 'none' }
        return null
      }
      const left = now.attempt.left - objects
      if (left <= 0) {
        now = { is: 'none' }
        return null
      }
      const attempt = { ...now.attempt, epoch: epoch + 1, objects: Math.min(now.limit, left), left, alone: null }
      now = { ...now, attempt }
      return attempt
    },
    async undo(before) {
      if (hasWritten) await write(before)
    },
  }
}

/** The one object of a mini-batch; null where there are more. */
function onlyOf([only, ...more]: readonly AdmittedObject[]): Attempt['alone'] {
  if (only === undefined || more.length > 0) return null
  return { source: only.source, bucket: only.bucket, key: only.key, eTag: only.eTag }
}

/** Other sources may read the same object as something else, and nobody died of that. */
export function isKiller(
  { source, bucket, key, eTag }: NonNullable<Attempt['alone']>,
  object: NonNullable<Attempt['alone']>,
): boolean {
  const isOfSource = source === undefined || source === object.source
  return isOfSource && bucket === object.bucket && key === object.key && eTag === object.eTag
}
