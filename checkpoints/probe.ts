import { MillraceError } from '../src/core/errors.ts'
import type { ObjectStore, Put } from '../src/core/ports.ts'
import { probePaths } from './paths.ts'
import { isRetryable, realSleep } from './retry.ts'

const racerCount = 8
const attemptsMax = 3
/** Writes beside which the readers read. The sidecar of versitygw shows in 3 to 30 of 250 reads. */
const replacements = 40
const readers = 4
/** So long a write waits for the end of a read: one that the store repeats pauses for seconds. */
const readMsMax = 20
/** Further races for a new name. Adobe S3Mock gets about one in twenty right. */
const birthCount = 6

export interface ProbeOptions {
  readonly store: ObjectStore
  readonly newId: () => string
  /** '' in a checkpoint, `outputPrefix` in an output. */
  readonly prefix?: string
  readonly signal?: AbortSignal
}

/**
 * P4: shows by racing that the store decides conditional writes, since servers are known that accept the conditions and
 * ignore them. What a store has shown may be remembered: see `shown.ts`.
 *
 * @throws MillraceError 'unsafe-store' of kind 'user', naming what failed.
 */
export function probeStore(options: ProbeOptions): Promise<void> {
  return probing(options, probeOnce)
}

/** @param once tells why nothing is known, where an answer was lost */
export async function probing(
  options: ProbeOptions,
  once: (options: ProbeOptions) => Promise<Error | undefined>,
): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    const inDoubt = await once(options)
    if (inDoubt === undefined) return
    // A lost answer says nothing about the store's conditions.
    if (attempt === attemptsMax) {
      const message = `${options.store.address} did not answer clearly when probed; check the store and start again.`
      throw new MillraceError('retry', 'store-unavailable', message, inDoubt)
    }
  }
}

async function probeOnce({ store, newId, prefix = '', signal }: ProbeOptions): Promise<Error | undefined> {
  const { source, target, fresh, head } = probePaths(prefix, newId())
  const births =
    store.conditionsBy === 'file-system' ? [] : Array.from({ length: birthCount }, (_, i) => `${source}-${i}`)
  const doubts: Error[] = []
  const start = (key: string, round: string, ifMatch: string) => startRace(store, key, round, ifMatch, signal)
  const race = async (round: string, ifMatch: string): Promise<readonly Put[]> => {
    const puts = await start(head, round, ifMatch)
    doubts.push(...puts.filter(put => put.is === 'unknown').map(put => put.cause))
    return puts
  }
  const read = (key: string): Promise<Found | undefined> => readText(store, key, signal)
  /** Checks one race: so many winners, and the object is the winner's. */
  const settle = async (puts: readonly Put[], round: string, winners: number, condition: string): Promise<string> => {
    const won = puts.flatMap((put, i) => (put.is === 'stored' ? [i] : []))
    if (won.length !== winners)
      throw unsafe(store, condition, `${won.length} of ${racerCount} racers won, not ${winners}`)
    const now = await read(head)
    if (now === undefined) throw unsafe(store, condition, 'the object is missing after it was written')
    if (winners === 1 && now.text !== `${round} ${won[0]}`) throw unsafe(store, condition, 'a loser was stored')
    return now.eTag
  }

  try {
    const born = await race('birth', 'absent')
    if (doubts.length > 0) return doubts[0]
    const first = await settle(born, 'birth', 1, 'If-None-Match: *')
    const swaps = await race('swap', first)
    if (doubts.length > 0) return doubts[0]
    const second = await settle(swaps, 'swap', 1, 'If-Match with the current eTag')
    const stale = await race('stale', first)
    if (doubts.length > 0) return doubts[0]
    const third = await settle(stale, 'stale', 0, 'If-Match with a stale eTag')
    if (third !== second) throw unsafe(store, 'If-Match with a stale eTag', 'the object changed')
    // A server that checks and writes in two steps gets one race right now and then.
    for (const key of births) {
      const won = (await start(key, 'birth', 'absent')).filter(put => put.is === 'stored').length
      if (won > 1) throw unsafe(store, 'If-None-Match: *', `${won} of ${racerCount} racers won, not 1`)
    }
    if (store.conditionsBy !== 'file-system') {
      const doubt = await readBesideWrites(store, head, second, signal)
      if (doubt !== undefined) return doubt
    }

    return await tryCopies(store, { source, target, fresh }, signal)
  } finally {
    await store.delete([source, target, fresh, ...births, head])
  }
}

async function startRace(
  store: ObjectStore,
  key: string,
  round: string,
  ifMatch: string,
  signal: AbortSignal | undefined,
): Promise<readonly Put[]> {
  const racers = Array.from({ length: racerCount }, (_, i) =>
    store.put(key, Buffer.from(`${round} ${i}`), ifMatch, signal),
  )
  // All must have ended before the tidying: a mutable key is not deleted while it is written.
  await Promise.allSettled(racers)
  return Promise.all(racers)
}

/** @returns why nothing is known, where a write is in doubt */
async function tryCopies(
  store: ObjectStore,
  { source, target, fresh }: { readonly source: string; readonly target: string; readonly fresh: string },
  signal: AbortSignal | undefined,
): Promise<Error | undefined> {
  const puts = [
    await store.put(source, Buffer.from('source'), 'absent', signal),
    await store.put(target, Buffer.from('target'), 'absent', signal),
    await store.copy(source, target, signal),
    await store.copy(source, fresh, signal),
  ]
  const doubt = puts.find(put => put.is === 'unknown')
  if (doubt !== undefined) return doubt.cause
  const [, , onto, to] = puts
  const condition = 'copying only to a name that does not exist'
  if (onto?.is !== 'conflict' || (await readText(store, target, signal))?.text !== 'target') {
    throw unsafe(store, condition, 'a copy onto an existing object was not refused')
  }
  if (to?.is !== 'stored' || (await readText(store, fresh, signal))?.text !== 'source') {
    throw unsafe(store, condition, 'a copy to a fresh name did not store the bytes')
  }
  return undefined
}

/**
 * Reads while one writer replaces the object: none may give the bytes of an earlier write with the eTag of a later one,
 * for a writer that starts from them would write over a commit that it has not seen. (Seen of versitygw with --sidecar,
 * which keeps the two in two files. The other way round is harmless: the next write is refused.)
 *
 * @returns the error of a lost answer, after which nothing is shown.
 */
async function readBesideWrites(
  store: ObjectStore,
  key: string,
  eTag: string,
  signal?: AbortSignal,
): Promise<Error | undefined> {
  const texts = new Map<string, number>()
  const eTags = new Map([[eTag, 0]])
  const seen: Found[] = []
  let lost: Error | undefined
  let isDone = false
  let wake: (() => void) | undefined
  const reader = async (): Promise<void> => {
    try {
      while (!isDone) {
        const found = await readText(store, key, signal).catch((error: Error) => {
          if (!isRetryable(error)) throw error
          lost = error
          return error
        })
        if (found === undefined)
          throw unsafe(store, 'reads beside writes', 'the object was missing while it was replaced')
        if ('eTag' in found) seen.push(found)
        wake?.()
      }
    } finally {
      isDone = true
      wake?.()
    }
  }
  const writer = async (): Promise<void> => {
    let last = eTag
    try {
      for (let i = 1; i <= replacements && !isDone; i++) {
        // Longer and longer: a server that cuts the body by the next one's length shows as well.
        const text = `write ${i} ${'x'.repeat(i * 100)}`
        const put = await store.put(key, Buffer.from(text), last, signal)
        // No other writes: a refusal is of a write of our own that was sent twice below us, or of nothing known.
        const stored = put.is === 'stored' ? put.eTag : await eTagOf(text)
        if (stored === undefined) {
          lost = put.is === 'unknown' ? put.cause : new Error('the only writer of an object was refused')
          continue
        }
        last = stored
        texts.set(text, i)
        eTags.set(last, i)
        // Requests in step with one another meet each write at one and the same point. Waiting for the end of none,
        // one, two or three reads moves the write about in them, as often on a slow machine as on a fast one.
        for (let ended = 0; ended < i % readers && !isDone; ended++) {
          const end = new Promise<void>(resolve => {
            wake = resolve
          })
          await Promise.race([end, realSleep(readMsMax)])
        }
      }
    } finally {
      isDone = true
    }
  }
  const eTagOf = async (text: string): Promise<string | undefined> => {
    const found = await readText(store, key, signal)
    return found?.text === text ? found.eTag : undefined
  }
  const isTorn = (found: Found): boolean => (eTags.get(found.eTag) ?? 0) > (texts.get(found.text) ?? 0)
  const ends = await Promise.allSettled([writer(), ...Array.from({ length: readers }, reader)])
  for (const end of ends) if (end.status === 'rejected') throw end.reason
  if (seen.some(isTorn))
    throw unsafe(store, 'reads beside writes', 'the bytes of one write came with the eTag of a later one')
  return texts.size < replacements / 2 || seen.length < replacements ? lost : undefined
}

interface Found {
  readonly text: string
  readonly eTag: string
}

export async function readText(store: ObjectStore, key: string, signal?: AbortSignal): Promise<Found | undefined> {
  const found = await store.get(key, signal ? { signal } : {})
  return typeof found === 'string' ? undefined : { text: Buffer.from(found.body).toString(), eTag: found.eTag }
}

export function unsafe(store: ObjectStore, condition: string, found: string): MillraceError {
  return new MillraceError(
    'user',
    'unsafe-store',
    `${store.address} does not honour ${condition}: ${found}. Two writers could destroy each other's work there;` +
      ' use a store that does.',
  )
}
