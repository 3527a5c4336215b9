import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { Clock } from '../../core/clock.ts'
import { errorMessage, isMillraceError, MillraceError } from '../../core/errors.ts'
import { limited } from '../../core/limited.ts'
import type { LookupVersion } from '../../plan/lookup.ts'
import { createFetchOfAll, type Fetch } from '../read/fetch.ts'
import type { RunEvent } from '../report/events.ts'
import type { LookupRead } from '../report/summary.ts'
import type { AdmittedVersion, ReadVersion } from '../state/ledger.ts'
import type { MiniBatches } from './admit.ts'
import { findObjects, type Found, type OpenLookup, readVersion } from './read-lookup.ts'

/** The lookups of a run: what is in force at its start, and what is read of them since. */
export interface Lookups {
  /** By name: those that the ledger ends with. */
  readonly versions: Readonly<Record<string, LookupVersion>>
  /**
   * The same mini-batches, each behind the versions that were read since the one before: its entries are the first
   * to meet them. So a version that nothing would meet is not recorded.
   */
  before(batches: MiniBatches): MiniBatches
  /** Looks for new versions now and then, until the signal. What is wrong with one is told; the last one goes on. */
  follow(signal: AbortSignal): Promise<void>
  /** Versions that this run has read, in order. */
  readonly read: readonly LookupRead[]
}

/** What a replay has: versions come from the ledger. */
export function recordedLookups(versions: Lookups['versions']): Lookups {
  return { versions, before: batches => batches, follow: async () => {}, read: [] }
}

export interface LookupsContext {
  readonly lookups: readonly OpenLookup[]
  /** By name: the last one in the ledger, with what it was read from. */
  readonly last: ReadonlyMap<string, LookupVersion & { readonly digest: string }>
  readonly spool: string
  readonly clock: Clock
  readonly signal: AbortSignal
  onEvent(event: RunEvent): void
}

/** How often what changes meanwhile is looked at again, and after which pauses. */
const triesMax = 5
const settleMs = 1_000
const againMs = 200

/** Objects of lookups that are fetched at once. */
const fetchesMax = 4

/**
 * Reads those whose objects are others than the ledger's last version was read from.
 *
 * @throws what is wrong with one of them: without its table no row can be joined
 */
export async function openLookups(context: LookupsContext): Promise<Lookups> {
  const { last, signal } = context
  const fetch = await openFetch(context)
  const read: LookupRead[] = []
  const onRead = (one: LookupRead) => {
    read.push(one)
    context.onEvent({ is: 'lookup', ...one })
  }
  const following = context.lookups.map(lookup => createFollowed({ ...context, onRead }, lookup, fetch))
  for (const followed of following) await followed.look(signal, true)
  return {
    versions: Object.fromEntries([...last].map(([name, { seq, table }]) => [name, { seq, table }])),
    before: batches => ({
      async next() {
        const batch = await batches.next()
        // Late rows that are applied are an epoch by themselves.
        if (!batch || batch.some(({ is }) => is === 'apply')) return batch
        return [...following.flatMap(({ take }) => take() ?? []), ...batch]
      },
    }),
    async follow(until) {
      await Promise.all(following.map(followed => followed.follow(until)))
    },
    read,
  }
}

async function openFetch({ lookups, spool }: LookupsContext): Promise<Fetch> {
  const inTurn = limited(fetchesMax)
  const own = join(spool, 'lookups')
  await mkdir(own, { recursive: true })
  return createFetchOfAll(
    lookups.map(({ fetch }) => ({ ...fetch, spool: own })),
    (_sizeBytes, work) => inTurn(1, work),
    { tables: 'lookup_spool' },
  )
}

/** One lookup, with what was read of it and is in no mini-batch yet. */
interface Followed {
  look(signal: AbortSignal, isStart: boolean): Promise<void>
  take(): AdmittedVersion | undefined
  follow(until: AbortSignal): Promise<void>
}

function createFollowed(
  { last, clock, onEvent, onRead }: LookupsContext & { onRead(read: LookupRead): void },
  lookup: OpenLookup,
  fetch: Fetch,
): Followed {
  const { definition } = lookup
  const { name } = definition.settings
  let known = last.get(name)?.digest
  let ready: ReadVersion | undefined

  async function look(signal: AbortSignal, isStart: boolean): Promise<void> {
    const found = isStart ? await findObjects(lookup, signal) : await settled(lookup, clock, known, signal)
    if (found.digest === known) return
    const version = await readVersion(lookup, fetch, found)
    const before = ready
    ready = version
    known = found.digest
    if (before) await lookup.fetch.executor.run(`DROP TABLE ${before.table}`)
    onRead({ lookup: name, rows: version.rows, objects: version.objects })
  }

  /** What is replaced just now is looked at again. */
  async function patiently(signal: AbortSignal, isStart: boolean): Promise<void> {
    for (let tries = 1; ; tries++) {
      try {
        return await look(signal, isStart)
      } catch (error) {
        const isPassing = isMillraceError(error) && error.code === 'lookup-changed'
        if (!isPassing || tries > triesMax || signal.aborted) throw error
        await clock.sleep(againMs, signal)
      }
    }
  }

  return {
    look: patiently,
    take() {
      const version = ready
      ready = undefined
      return version && { is: 'lookup', source: name, version, sizeBytes: 0 }
    },
    async follow(until) {
      while (!until.aborted) {
        await clock.sleep(definition.refreshMs, until)
        if (until.aborted) return
        try {
          await patiently(until, false)
        } catch (error) {
          if (until.aborted) return
          onEvent({ is: 'lookup-failed', lookup: name, error: errorMessage(error) })
        }
      }
    },
  }
}

/**
 * The objects as they stay for a while: a directory shows files that are still being written.
 *
 * @param known what needs no second look
 */
async function settled(
  lookup: OpenLookup,
  clock: Clock,
  known: string | undefined,
  signal: AbortSignal,
): Promise<Found> {
  let found = await findObjects(lookup, signal)
  if (found.digest === known || !lookup.fetch.store.showsUnfinished) return found
  for (let tries = 0; tries < triesMax; tries++) {
    await clock.sleep(settleMs, signal)
    const before = found
    found = await findObjects(lookup, signal)
    if (found.digest === before.digest) return found
  }
  throw new MillraceError(
    'retry',
    'lookup-changed',
    `lookup ${lookup.definition.settings.name}: its objects changed in each of ` +
      `${triesMax + 1} looks within some seconds.`,
  )
}
