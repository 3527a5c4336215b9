import type { Wanted } from '../../core/object-version.ts'
import { declaredColumns, inRows } from '../../plan/declared-column.ts'
import { keyPeriod } from '../../plan/key-period.ts'
import { createCheckedFacts } from './checked-facts.ts'
import { groupsAlike, groupsOf } from './groups.ts'
import { type GroupContext, markGroup } from './mark-group.ts'
import type { FetchContext, MarkedObject } from './marked-object.ts'
import { createPatience } from './patience.ts'
import { type Room, roomFor } from './room.ts'
import { createSpoolFiles, type SpoolFiles } from './spool-files.ts'
import { type SpoolingContext, spoolInTurn } from './spool-in-turn.ts'

/** What became of some objects. */
export interface Fetched {
  /** The first of them, or all, in their order. */
  readonly marked: readonly MarkedObject[]
  /** The rest, for which there was no room: with the sizes that the store has told. */
  readonly left: readonly SourceWanted[]
}

/** An object version that the store of a source is to be asked for. */
export interface SourceWanted extends Wanted {
  /** The name of the source. */
  readonly source: string
}

/** Stage 1 for the objects of a mini-batch (S17). */
export type Fetch = (objects: readonly SourceWanted[]) => Promise<Fetched>

interface Fetching extends SpoolingContext, GroupContext {}

/**
 * Stage 1: fetch to the spool, find columns, check every value, take high marks.
 *
 * @param sources that objects may be of, each of another name
 * @param inTurn bounds how many objects are fetched at once
 * @param bytesMax of the objects of one call together, as far as the store tells of more than was announced; the first
 * one is fetched whatever its size
 * @param tables what names of tables begin with: others of the same session begin otherwise
 */
export function createFetchOfAll(
  sources: Iterable<FetchContext>,
  inTurn: <T>(sizeBytes: number, work: () => Promise<T>) => Promise<T>,
  { bytesMax = Infinity, tables: prefix = 'spool' }: { readonly bytesMax?: number; readonly tables?: string } = {},
): Fetch {
  let tables = 0
  const nextTable = () => `${prefix}_${tables++}`
  const fetching = new Map<string, Fetching>()
  const files = new Map<string, SpoolFiles>()
  for (const context of sources) {
    const { spool, settings } = context
    // Sources of one spool share its files, which are numbered.
    const own = files.get(spool) ?? createSpoolFiles(spool)
    files.set(spool, own)
    fetching.set(settings.name, fetchingOf(context, { inTurn, nextTable, files: own }))
  }
  return objects => fetchBatch(fetching, objects, roomFor(bytesMax, objects[0]))
}

/** The same for objects of one source. */
export function createFetch(
  context: FetchContext,
  inTurn: <T>(sizeBytes: number, work: () => Promise<T>) => Promise<T>,
  bytesMax = Infinity,
): (objects: readonly Wanted[]) => Promise<Fetched> {
  const fetch = createFetchOfAll([context], inTurn, { bytesMax })
  const { name: source } = context.settings
  return objects => fetch(objects.map(object => ({ ...object, source })))
}

function fetchingOf(context: FetchContext, shared: Pick<Fetching, 'inTurn' | 'nextTable' | 'files'>): Fetching {
  const { settings } = context
  const declared = declaredColumns(settings)
  const rowColumns = inRows(declared)
  const facts = createCheckedFacts(settings, context.executor)
  return {
    ...context,
    ...shared,
    declared,
    rowColumns,
    names: rowColumns.map(({ from }) => from),
    facts,
    factsOf: facts.values,
    period: settings.bounds?.is === 'key' ? keyPeriod(settings.bounds.pattern, 'bounds') : undefined,
    patience: createPatience(context.store, context.clock, context.signal),
  }
}

async function fetchBatch(
  sources: ReadonlyMap<string, Fetching>,
  objects: readonly SourceWanted[],
  room: Room,
): Promise<Fetched> {
  const groups = [...groupsOf(objects)]
  const fetching = groups.map(group => fetchGroup(sources, group, room))
  // Those after a failure, or after the first that is left, are not awaited as they come.
  for (const promise of fetching) promise.catch(() => {})
  const marked: MarkedObject[] = []
  const left: SourceWanted[] = []
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

function versionOnly({ source: _source, ...wanted }: SourceWanted): Wanted {
  return wanted
}

async function fetchGroup(
  sources: ReadonlyMap<string, Fetching>,
  objects: readonly SourceWanted[],
  room: Room,
): Promise<Fetched> {
  const { source } = objects[0] as SourceWanted
  const context = sources.get(source)
  if (!context) throw new Error(`unreachable: the run has no source ${source}`)
  const spooling = await Promise.allSettled(objects.map(object => spoolInTurn(context, versionOnly(object), room)))
  const outcomes = spooling.map(entry => (entry.status === 'fulfilled' ? entry.value : undefined))
  const end = outcomes.findIndex(outcome => outcome === undefined || 'left' in outcome)
  const taken = end === -1 ? objects.length : end
  const entries = outcomes.slice(0, taken).flatMap(outcome => (outcome && !('left' in outcome) ? [outcome] : []))
  const done: MarkedObject[] = []
  for (const group of groupsAlike(entries, context.format.isShared))
    done.push(...('is' in group ? [group] : await markGroup(context, group)))
  const stopped = spooling[taken]
  if (stopped?.status === 'rejected') throw stopped.reason
  const left: SourceWanted[] = []
  for (const [index, outcome] of outcomes.slice(taken).entries()) {
    const object = objects[taken + index] as SourceWanted
    left.push(outcome && 'left' in outcome ? { ...outcome.left, source } : object)
    if (outcome && 'discard' in outcome) await outcome.discard()
  }
  return { marked: done, left }
}
