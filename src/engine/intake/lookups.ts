import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { Clock } from '../../core/clock.ts'
import { errorMessage } from '../../core/errors.ts'
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
   * The same mini-batches, each behind the versions that were read since the one before: its objects are the first to
   * meet them. So a version that no object would meet is not recorded.
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
        return batch?.some(({ is }) => is === 'object')
          ? [...following.flatMap(({ take }) => take() ?? []), ...batch]
          : batch
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
  /** What the last look has found of a place that shows files which are still being written. */
  let seen: Found | undefined

  async function look(signal: AbortSignal, isStart: boolean): Promise<void> {
    const found = await findObjects(lookup, signal)
    const isSettled = isStart || !lookup.fetch.store.showsUnfinished || seen?.digest === found.digest
    seen = found
    if (found.digest === known || !isSettled) return
    const version = await readVersion(lookup, fetch, found)
    const before = ready
    ready = version
    known = found.digest
    if (before) await lookup.fetch.executor.run(`DROP TABLE ${before.table}`)
    onRead({ lookup: name, rows: version.rows, objects: version.objects })
  }

  return {
    look,
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
          await look(until, false)
        } catch (error) {
          if (until.aborted) return
          onEvent({ is: 'lookup-failed', lookup: name, error: errorMessage(error) })
        }
      }
    },
  }
}
