import type { Wanted } from '../../core/object-version.ts'
import { declaredColumns } from '../../plan/declared-column.ts'
import { keyPeriod } from '../../plan/key-period.ts'
import { createCheckedFacts } from './checked-facts.ts'
import { groupsAlike, groupsOf } from './groups.ts'
import { type GroupContext, markGroup } from './mark-group.ts'
import type { FetchContext, MarkedObject } from './marked-object.ts'
import { createPatience } from './patience.ts'
import { type Room, roomFor } from './room.ts'
import { createSpoolFiles } from './spool-files.ts'
import { type SpoolingContext, spoolInTurn } from './spool-in-turn.ts'

/** What became of some objects. */
export interface Fetched {
  /** The first of them, or all, in their order. */
  readonly marked: readonly MarkedObject[]
  /** The rest, for which there was no room: with the sizes that the store has told. */
  readonly left: readonly Wanted[]
}

/** Stage 1 for the objects of a mini-batch (S17). */
export type Fetch = (objects: readonly Wanted[]) => Promise<Fetched>

interface Fetching extends SpoolingContext, GroupContext {}

/**
 * Stage 1: fetch to the spool, find columns, check every value, take high marks.
 *
 * @param inTurn bounds how many objects are fetched at once
 * @param bytesMax of the objects of one call together, as far as the store tells of more than was announced; the first
 * one is fetched whatever its size
 */
export function createFetch(
  context: FetchContext,
  inTurn: <T>(sizeBytes: number, work: () => Promise<T>) => Promise<T>,
  bytesMax = Infinity,
): Fetch {
  const fetching = fetchingOf(context, inTurn)
  return objects => fetchBatch(fetching, objects, roomFor(bytesMax, objects[0]))
}

function fetchingOf(context: FetchContext, inTurn: Fetching['inTurn']): Fetching {
  const { settings } = context
  const declared = declaredColumns(settings)
  const facts = createCheckedFacts(settings, context.executor)
  let tables = 0
  return {
    ...context,
    inTurn,
    declared,
    names: declared.flatMap(({ from, fact }) => (fact === undefined ? [from] : [])),
    facts,
    factsOf: facts.values,
    period: settings.bounds?.is === 'key' ? keyPeriod(settings.bounds.pattern, 'bounds') : undefined,
    files: createSpoolFiles(context.spool),
    patience: createPatience(context.store, context.clock, context.signal),
    nextTable: () => `spool_${tables++}`,
  }
}

async function fetchBatch(context: Fetching, objects: readonly Wanted[], room: Room): Promise<Fetched> {
  const groups = [...groupsOf(objects)]
  const fetching = groups.map(group => fetchGroup(context, group, room))
  // Those after a failure, or after the first that is left, are not awaited as they come.
  for (const promise of fetching) promise.catch(() => {})
  const marked: MarkedObject[] = []
  const left: Wanted[] = []
  for (const [index, promise] of fetching.entries()) {
    // Of several failures the first in order is thrown, whichever came first in time.
    const found = left.length === 0 ? await promise : await promise.catch(() => undefined)
    if (left.length === 0) {
      marked.push(...(found?.marked ?? []))
      left.push(...(found?.left ?? []))
    } else {
      for (const object of found?.marked ?? []) await object.release()
      left.push(...(groups[index] ?? []))
    }
  }
  return { marked, left }
}

async function fetchGroup(context: Fetching, objects: readonly Wanted[], room: Room): Promise<Fetched> {
  const spooling = await Promise.allSettled(objects.map(object => spoolInTurn(context, object, room)))
  const outcomes = spooling.map(entry => (entry.status === 'fulfilled' ? entry.value : undefined))
  const end = outcomes.findIndex(outcome => outcome === undefined || 'left' in outcome)
  const taken = end === -1 ? objects.length : end
  const entries = outcomes.slice(0, taken).flatMap(outcome => (outcome && !('left' in outcome) ? [outcome] : []))
  const done: MarkedObject[] = []
  for (const group of groupsAlike(entries, context.format.isShared))
    done.push(...('is' in group ? [group] : await markGroup(context, group)))
  const stopped = spooling[taken]
  if (stopped?.status === 'rejected') throw stopped.reason
  const left: Wanted[] = []
  for (const [index, outcome] of outcomes.slice(taken).entries()) {
    left.push(outcome && 'left' in outcome ? outcome.left : (objects[taken + index] as Wanted))
    if (outcome && 'discard' in outcome) await outcome.discard()
  }
  return { marked: done, left }
}
