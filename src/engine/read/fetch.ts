import type { BigIntStats } from 'node:fs'
import { rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { errorMessage, isMillraceError, MillraceError } from '../../core/errors.ts'
import type { ObjectVersion, Wanted } from '../../core/object-version.ts'
import { declaredColumns } from '../../plan/declared-column.ts'
import { keyPeriod } from '../../plan/key-period.ts'
import type { Ready, SpooledObject } from '../../plan/format.ts'
import { markObjects } from './mark.ts'
import type { DoubtfulObject, SpooledVersion } from './spooled-version.ts'
import {
  badObject,
  deniedObject,
  type FetchContext,
  goneBecause,
  goneObject,
  isBadObject,
  type MarkedObject,
  reasonOf,
  recorded,
} from './marked-object.ts'
import { createCheckedFacts } from './checked-facts.ts'
import { createPatience } from './patience.ts'
import { isOneGet, type Spooled, spoolObject } from './spool.ts'

/** Objects are marked together up to so many, and so many bytes: their rows lie in one table. */
const groupMax = { objects: 100, bytes: 8 * 1024 * 1024 } as const

/** Spool files that wait to be written over. */
const sparesMax = 1_000

/** The store tells a size with every answer: one that tells another so often cannot be read. */
const sizesMax = 3

/** What became of some objects. */
export interface Fetched {
  /** The first of them, or all, in their order. */
  readonly marked: readonly MarkedObject[]
  /** The rest, for which there was no room: with the sizes that the store has told. */
  readonly left: readonly Wanted[]
}

/** Stage 1 for the objects of a mini-batch (S17). */
export type Fetch = (objects: readonly Wanted[]) => Promise<Fetched>

/** An object for which there is no room in this mini-batch. */
interface Left {
  readonly left: Wanted
}

/**
 * Stage 1: fetch to the spool, find columns, check every value, take high marks.
 *
 * @param inTurn bounds how many objects are fetched at once
 * @param bytesMax of the objects of one call together, as far as the store tells of more than was announced; the first one
 * is fetched whatever its size
 */
export function createFetch(
  context: FetchContext,
  inTurn: <T>(sizeBytes: number, work: () => Promise<T>) => Promise<T>,
  bytesMax = Infinity,
): Fetch {
  const { settings, format } = context
  const declared = declaredColumns(settings)
  const names = declared.flatMap(({ from, fact }) => (fact === undefined ? [from] : []))
  const facts = createCheckedFacts(settings, context.executor)
  const period = settings.bounds?.is === 'key' ? keyPeriod(settings.bounds.pattern, 'bounds') : undefined
  /**
   * Copies of small objects that nobody wants any more. Thousands of files made and removed cost a file system dearly: ext4
   * looks at each number that it has given back within five seconds, for every file that it makes.
   */
  const spares: string[] = []
  let files = 0
  let groups = 0

  const patience = createPatience(context.store, context.clock, context.signal)

  /** The object in the spool, or what is wrong with it. */
  function spooled(object: Wanted, room: Room): Promise<SpooledVersion | MarkedObject | Left> {
    return patience.read<SpooledVersion | MarkedObject | Left>(
      object,
      () => spooledInTurn(object, room),
      reason => goneObject(context, recorded(object), reason),
    )
  }

  /** By the size that the store tells. */
  async function spooledInTurn(object: Wanted, room: Room): Promise<SpooledVersion | MarkedObject | Left> {
    let next = object
    for (let sizes = 0; sizes < sizesMax; sizes++) {
      const wanted = next
      const found = await inTurn(wanted.sizeBytes, async () => {
        if (!room.takes(wanted)) return { left: wanted }
        const once = await spooledOnce(wanted)
        if ('is' in once && once.is === 'other-size') {
          const told = { ...wanted, sizeBytes: once.sizeBytes }
          return room.takes(told) ? { told } : { left: told }
        }
        if ('discard' in once) {
          // It is there already; for what comes after it there may be no room.
          room.takes(once.version)
          patience.gave(once.version)
        }
        return once
      })
      if (!('told' in found)) return found
      next = found.told
    }
    return badObject(
      context,
      recorded(next),
      `the store tells another size of it each time, now ${next.sizeBytes} bytes`,
    )
  }

  async function spooledOnce(
    wanted: Wanted,
  ): Promise<SpooledVersion | MarkedObject | (Spooled & { readonly is: 'other-size' })> {
    const isSmall = format.isShared && !context.store.link && isOneGet(wanted)
    const spare = isSmall ? spares.pop() : undefined
    const file = spare ?? join(context.spool, `${files++}`)
    const changed = `${file}.rows`
    const remove = () => Promise.all([file, changed].map(path => rm(path, { force: true })))
    try {
      const fetched = await spoolObject({ ...context, columns: names }, wanted, file, spare !== undefined)
      if (fetched.is === 'other-size') {
        await remove()
        return fetched
      }
      if (fetched.is === 'missing' || fetched.is === 'changed') {
        await remove()
        return goneObject(context, recorded(wanted), goneBecause[fetched.is])
      }
      const { version } = fetched
      const problem = await facts.problemOf(version)
      if (problem !== undefined) {
        await remove()
        return badObject(context, version, problem)
      }
      const before = fetched.is === 'linked' ? await stat(file, { bigint: true }) : undefined
      const object = { file, changed, key: version.key, columns: names, signal: context.signal }
      const ready = await format.ready(object)
      if (ready.is === 'bad') {
        await remove()
        return badObject(context, version, ready.reason)
      }
      const found: SpooledVersion = {
        version,
        file: ready.file,
        async discard() {
          if (ready.file !== file) await rm(changed, { force: true })
          if (isSmall && spares.length < sparesMax) spares.push(file)
          else await rm(file, { force: true })
        },
        ...(ready.columns ? { columns: ready.columns } : {}),
        ...(before && { isChanged: () => isWrittenTo(file, before) }),
      }
      return ready.isQuick ? { ...found, again: () => spooledAgain(found, object) } : found
    } catch (error) {
      await remove()
      return unreadableObject(wanted, error)
    }
  }

  /** The same object, readied once more beside its first reading, which goes when this one does. */
  async function spooledAgain(found: SpooledVersion, object: SpooledObject): Promise<SpooledVersion | MarkedObject> {
    const { version, isChanged } = found
    const changed = `${object.file}.again`
    const discard = async () => {
      await rm(changed, { force: true })
      await found.discard()
    }
    try {
      const ready = (await format.again?.({ ...object, changed })) as Ready
      if (ready.is === 'ready') return { version, file: ready.file, discard, ...(isChanged ? { isChanged } : {}) }
      await discard()
      return badObject(context, version, ready.reason)
    } catch (error) {
      await discard()
      return unreadableObject(version, error)
    }
  }

  function unreadableObject(wanted: Wanted, error: unknown): MarkedObject {
    const version = recorded(wanted)
    const { code } = error as NodeJS.ErrnoException
    if (code === 'EACCES') return deniedObject(context, version, 'permission denied')
    if (code === 'ENOSPC')
      throw new MillraceError(
        'fatal',
        'disk-full',
        `object '${version.key}' of ${wanted.sizeBytes} bytes cannot be fetched: the disk of ${context.spool} is full (${errorMessage(error)}). Nothing of it was counted. Free space, or name another folder with --spill.`,
        error,
      )
    if (code === 'EFBIG')
      return badObject(context, version, `no file of the spool may be as large as its ${wanted.sizeBytes} bytes`)
    if (isMillraceError(error) && error.code === 'object-denied') return deniedObject(context, version, error.message)
    // What was refused is the version that a message named: nothing is known of the object that lies there.
    if (isMillraceError(error) && error.code === 'object-refused' && wanted.isAnnounced)
      return goneObject(context, version, error.message)
    if (isMillraceError(error) && unreadable.has(error.code)) return badObject(context, version, error.message)
    if (!isBadObject(error)) throw error
    return badObject(context, version, reasonOf(error, version.key))
  }

  /** @param objects of one shape */
  async function marked(objects: readonly SpooledVersion[]): Promise<readonly MarkedObject[]> {
    const done: MarkedObject[] = []
    for (const object of await markedOnce(objects)) {
      const known = object.is === 'doubtful' ? await object.again() : object
      done.push(...('file' in known ? await marked([known]) : [known]))
    }
    return done
  }

  async function markedOnce(objects: readonly SpooledVersion[]): Promise<readonly (MarkedObject | DoubtfulObject)[]> {
    try {
      return await markObjects({ ...context, declared, factsOf: facts.values, period }, objects, `spool_${groups++}`)
    } catch (error) {
      const [first] = objects as readonly [SpooledVersion]
      if (objects.length > 1 && isBadObject(error)) {
        // One of them cannot be read: the others are read without it.
        const alone: (MarkedObject | DoubtfulObject)[] = []
        for (const object of objects) alone.push(...(await markedOnce([object])))
        return alone
      }
      for (const object of objects) await object.discard()
      return [unreadableObject(first.version, error)]
    }
  }

  return async objects => {
    const room = roomFor(bytesMax, objects[0])
    const groups = [...groupsOf(objects)]
    const fetching = groups.map(group => fetchGroup(group, room))
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

  async function fetchGroup(objects: readonly Wanted[], room: Room): Promise<Fetched> {
    const spooling = await Promise.allSettled(objects.map(object => spooled(object, room)))
    const outcomes = spooling.map(entry => (entry.status === 'fulfilled' ? entry.value : undefined))
    const end = outcomes.findIndex(outcome => outcome === undefined || 'left' in outcome)
    const taken = end === -1 ? objects.length : end
    const entries = outcomes.slice(0, taken).flatMap(outcome => (outcome && !('left' in outcome) ? [outcome] : []))
    const done: MarkedObject[] = []
    for (const group of grouped(entries)) done.push(...('is' in group ? [group] : await marked(group)))
    const stopped = spooling[taken]
    if (stopped?.status === 'rejected') throw stopped.reason
    const left: Wanted[] = []
    for (const [index, outcome] of outcomes.slice(taken).entries()) {
      left.push(outcome && 'left' in outcome ? outcome.left : (objects[taken + index] as Wanted))
      if (outcome && 'discard' in outcome) await outcome.discard()
    }
    return { marked: done, left }
  }

  /** Runs of neighbours of one shape, and between them what cannot be read. */
  function grouped(
    entries: readonly (SpooledVersion | MarkedObject)[],
  ): readonly (readonly SpooledVersion[] | MarkedObject)[] {
    const groups: (SpooledVersion[] | MarkedObject)[] = []
    for (const entry of entries) {
      const last = groups.at(-1)
      if ('is' in entry) groups.push(entry)
      else if (
        format.isShared &&
        last &&
        !('is' in last) &&
        isAlike(last[0] as SpooledVersion, entry) &&
        hasRoom(last, entry)
      )
        last.push(entry)
      else groups.push([entry])
    }
    return groups
  }
}

/** Room for the objects of one mini-batch. Where there is none for one, there is none for what comes after it. */
interface Room {
  /** @param object with the size that it is thought to have now */
  takes(object: ObjectVersion): boolean
}

function roomFor(bytesMax: number, first: Wanted | undefined): Room {
  const taken = new Map<string, number>()
  let bytes = 0
  return {
    takes({ key, eTag, sizeBytes }) {
      const id = `${key}\n${eTag}`
      bytes += sizeBytes - (taken.get(id) ?? 0)
      taken.set(id, sizeBytes)
      return bytes <= bytesMax || (key === first?.key && eTag === first.eTag)
    },
  }
}

/** The sizes that were said may have been others, so groups are made once more of those that are known. */
function hasRoom(group: readonly SpooledVersion[], { version }: SpooledVersion): boolean {
  const bytes = group.reduce((sum, one) => sum + one.version.sizeBytes, version.sizeBytes)
  return group.length < groupMax.objects && bytes <= groupMax.bytes
}

/** What was read quickly stands by itself, as what is bad in it shows later than in other objects. */
function isAlike(a: SpooledVersion, b: SpooledVersion): boolean {
  return JSON.stringify(a.columns) === JSON.stringify(b.columns) && Boolean(a.again) === Boolean(b.again)
}

async function isWrittenTo(file: string, before: BigIntStats): Promise<boolean> {
  const now = await stat(file, { bigint: true })
  return now.size !== before.size || now.mtimeNs !== before.mtimeNs
}

/** Objects in groups that are marked together. */
function* groupsOf(objects: readonly Wanted[]): Generator<readonly Wanted[]> {
  let group: Wanted[] = []
  let bytes = 0
  for (const object of objects) {
    if (group.length > 0 && (group.length === groupMax.objects || bytes + object.sizeBytes > groupMax.bytes)) {
      yield group
      group = []
      bytes = 0
    }
    group.push(object)
    bytes += object.sizeBytes
  }
  if (group.length > 0) yield group
}

/** What a store says of one object that it cannot give. */
const unreadable = new Set(['object-archived', 'object-refused'])
