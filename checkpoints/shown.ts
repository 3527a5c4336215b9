import type { Put } from '../src/core/ports.ts'
import { probePaths } from './paths.ts'
import { type ProbeOptions, probeStore, probing, readText, unsafe } from './probe.ts'
import type { Shown } from './types.ts'

/** Raised when the probe looks at more: what an earlier one has shown is probed again then. */
const probe = 1
/** A server may be upgraded, or replaced behind its address: after a week it shows all of it again. */
const ageMsMax = 7 * 24 * 3_600_000

/**
 * Probes what a store is not remembered to have shown, and in any case one object whose conditional writes must be
 * kept now (P4). Undefined where nothing can be remembered.
 *
 * @param before what HEAD remembers
 * @param nowMs the time in ms since 1970; undefined: nothing is remembered
 * @throws MillraceError 'unsafe-store' of kind 'user', naming what failed.
 */
export async function probeUnlessShown(
  options: ProbeOptions,
  before: Shown | undefined,
  nowMs: number | undefined,
): Promise<Shown | undefined> {
  const by = await options.store.decider?.()
  if (by === undefined || nowMs === undefined) {
    await probeStore(options)
    return undefined
  }
  if (before && isShown(before, by, nowMs)) {
    await probing(options, probeBriefly)
    return before
  }
  await probeStore(options)
  return { by, atMs: nowMs, probe }
}

/** Whether it still counts. What was shown in the future was shown by a clock that cannot be trusted. */
function isShown(before: Shown, by: string, nowMs: number): boolean {
  const ageMs = nowMs - before.atMs
  return before.by === by && before.probe === probe && ageMs >= 0 && ageMs < ageMsMax
}

/** @returns why nothing is known, where an answer was lost */
async function probeBriefly({ store, newId, prefix = '', signal }: ProbeOptions): Promise<Error | undefined> {
  const { head } = probePaths(prefix, newId())
  const put = (text: string, ifMatch: string) => store.put(head, Buffer.from(text), ifMatch, signal)
  const refuses = (tried: Put, condition: string): Error | undefined => {
    if (tried.is === 'unknown') return tried.cause
    if (tried.is === 'stored') throw unsafe(store, condition, 'a write that it forbids was taken')
    return undefined
  }
  try {
    const born = await put('first', 'absent')
    if (born.is === 'unknown') return born.cause
    if (born.is === 'conflict') throw unsafe(store, 'If-None-Match: *', 'a name that nobody has used was refused')
    const doubt =
      refuses(await put('second', 'absent'), 'If-None-Match: *') ??
      refuses(await put('third', otherThan(born.eTag)), 'If-Match with a stale eTag')
    if (doubt) return doubt
    if ((await readText(store, head, signal))?.text !== 'first')
      throw unsafe(store, 'If-Match with a stale eTag', 'a write that was refused was stored')
    return undefined
  } finally {
    await store.delete([head])
  }
}

/** An eTag of the same form that no write has had. */
function otherThan(eTag: string): string {
  return eTag.slice(0, -1) + (eTag.endsWith('0') ? '1' : '0')
}
