import { MillraceError } from '../src/core/errors.ts'
import type { ObjectStore, Put } from '../src/core/ports.ts'
import { probePaths } from './paths.ts'

const RACERS = 8
const ATTEMPTS_MAX = 3

export interface ProbeOptions {
  readonly store: ObjectStore
  readonly newId: () => string
  /** '' in a checkpoint, `OUTPUT_PREFIX` in an output. */
  readonly prefix?: string
  readonly signal?: AbortSignal
}

/**
 * P4: shows by racing that the store decides conditional writes, since servers are known that accept the conditions and
 * ignore them. Never after this is a condition doubted.
 *
 * @throws MillraceError 'unsafe-store' of kind 'user', naming what failed.
 */
export async function probeStore(options: ProbeOptions): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    const inDoubt = await probeOnce(options)
    if (inDoubt === undefined) return
    // A lost answer says nothing about the store's conditions.
    if (attempt === ATTEMPTS_MAX) {
      const message = `${options.store.address} did not answer clearly when probed; check the store and start again.`
      throw new MillraceError('retry', 'store-unavailable', message, inDoubt)
    }
  }
}

async function probeOnce({ store, newId, prefix = '', signal }: ProbeOptions): Promise<Error | undefined> {
  const { source, target, fresh, head } = probePaths(prefix, newId())
  const doubts: Error[] = []
  const body = (text: string): Uint8Array => Buffer.from(text)
  const race = async (round: string, ifMatch: string): Promise<readonly Put[]> => {
    const racers = Array.from({ length: RACERS }, (_, i) => store.put(head, body(`${round} ${i}`), ifMatch, signal))
    // All must have ended before the tidying below: a mutable key is not deleted while it is written.
    await Promise.allSettled(racers)
    const puts = await Promise.all(racers)
    doubts.push(...puts.filter(put => put.is === 'unknown').map(put => put.cause))
    return puts
  }
  const read = async (key: string): Promise<{ text: string; eTag: string } | undefined> => {
    const found = await store.get(key, signal ? { signal } : {})
    return typeof found === 'string' ? undefined : { text: Buffer.from(found.body).toString(), eTag: found.eTag }
  }
  /** Checks one race: so many winners, and the object is the winner's. */
  const settle = async (puts: readonly Put[], round: string, winners: number, condition: string): Promise<string> => {
    const won = puts.flatMap((put, i) => (put.is === 'stored' ? [i] : []))
    if (won.length !== winners) throw unsafe(store, condition, `${won.length} of ${RACERS} racers won, not ${winners}`)
    const now = await read(head)
    if (now === undefined) throw unsafe(store, condition, 'the object is missing after it was written')
    if (winners === 1 && now.text !== `${round} ${won[0]}`) throw unsafe(store, condition, 'a loser was stored')
    return now.eTag
  }

  try {
    const births = await race('birth', 'absent')
    if (doubts.length > 0) return doubts[0]
    const first = await settle(births, 'birth', 1, 'If-None-Match: *')
    const swaps = await race('swap', first)
    if (doubts.length > 0) return doubts[0]
    const second = await settle(swaps, 'swap', 1, 'If-Match with the current eTag')
    const stale = await race('stale', first)
    if (doubts.length > 0) return doubts[0]
    const third = await settle(stale, 'stale', 0, 'If-Match with a stale eTag')
    if (third !== second) throw unsafe(store, 'If-Match with a stale eTag', 'the object changed')

    const puts = [
      await store.put(source, body('source'), 'absent', signal),
      await store.put(target, body('target'), 'absent', signal),
      await store.copy(source, target, signal),
      await store.copy(source, fresh, signal),
    ]
    const doubt = puts.find(put => put.is === 'unknown')
    if (doubt !== undefined) return doubt.cause
    const [, , onto, to] = puts
    const condition = 'copying only to a name that does not exist'
    if (onto?.is !== 'conflict' || (await read(target))?.text !== 'target') {
      throw unsafe(store, condition, 'a copy onto an existing object was not refused')
    }
    if (to?.is !== 'stored' || (await read(fresh))?.text !== 'source') {
      throw unsafe(store, condition, 'a copy to a fresh name did not store the bytes')
    }
    return undefined
  } finally {
    await store.delete([source, target, fresh, head])
  }
}

function unsafe(store: ObjectStore, condition: string, found: string): MillraceError {
  return new MillraceError(
    'user',
    'unsafe-store',
    `${store.address} does not honour ${condition}: ${found}. Two writers could destroy each other's work there;` +
      ' use a store that does.',
  )
}
