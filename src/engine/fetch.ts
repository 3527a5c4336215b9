import { rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { isMillraceError } from '../core/errors.ts'
import type { ObjectVersion } from '../core/object-version.ts'
import { parseColumnType } from '../core/types.ts'
import { keyPeriod } from '../plan/key-period.ts'
import { type DeclaredColumn, markObjects, type SpooledVersion } from './mark.ts'
import {
  badObject,
  deniedObject,
  type FetchContext,
  goneBecause,
  goneObject,
  isBadObject,
  type MarkedObject,
  reasonOf,
} from './marked-object.ts'
import { smallBytesMax, spoolObject } from './spool.ts'

/** Objects are marked together up to so many, and so many bytes: their rows lie in one table. */
const groupMax = { objects: 100, bytes: 8 * 1024 * 1024 } as const

/** Spool files that wait to be written over. */
const sparesMax = 1_000

/** Stage 1 for some objects (S17): the same number of marked ones, in the same order. */
export type Fetch = (versions: readonly ObjectVersion[]) => Promise<readonly MarkedObject[]>

/**
 * Stage 1: fetch to the spool, find columns, check every value, take high marks.
 *
 * @param inTurn bounds how many objects are fetched at once
 */
export function createFetch(
  context: FetchContext,
  inTurn: <T>(sizeBytes: number, work: () => Promise<T>) => Promise<T>,
): Fetch {
  const { settings, format } = context
  const declared: readonly DeclaredColumn[] = Object.entries(settings.columns).map(([name, type]) => ({
    name,
    type: parseColumnType(type, name),
  }))
  const names = declared.map(({ name }) => name)
  const period = settings.bounds?.is === 'key' ? keyPeriod(settings.bounds.pattern, 'bounds') : undefined
  /**
   * Copies of small objects that nobody wants any more. Thousands of files made and removed cost a file system dearly: ext4
   * looks at each number that it has given back within five seconds, for every file that it makes.
   */
  const spares: string[] = []
  let files = 0
  let groups = 0

  /** The object in the spool, or what is wrong with it. */
  async function spooled(version: ObjectVersion): Promise<SpooledVersion | MarkedObject> {
    const { sizeBytes } = version
    const isSmall = format.isShared && !context.store.link && sizeBytes > 0 && sizeBytes <= smallBytesMax
    const spare = isSmall ? spares.pop() : undefined
    const file = spare ?? join(context.spool, `${files++}`)
    const changed = `${file}.rows`
    const remove = () => Promise.all([file, changed].map(path => rm(path, { force: true })))
    try {
      const fetched = await spoolObject({ ...context, columns: names }, version, file, spare !== undefined)
      if (fetched === 'missing' || fetched === 'changed') {
        await remove()
        return goneObject(context, version, goneBecause[fetched])
      }
      const before = fetched === 'linked' ? await stat(file, { bigint: true }) : undefined
      const ready = await format.ready({ file, changed, key: version.key, columns: names, signal: context.signal })
      if (ready.is === 'bad') {
        await remove()
        return badObject(context, version, ready.reason)
      }
      const found = {
        version,
        file: ready.file,
        async discard() {
          if (ready.file !== file) await rm(changed, { force: true })
          if (isSmall && spares.length < sparesMax) spares.push(file)
          else await rm(file, { force: true })
        },
        ...(ready.columns ? { columns: ready.columns } : {}),
      }
      if (before === undefined) return found
      return {
        ...found,
        isChanged: async () => {
          const now = await stat(file, { bigint: true })
          return now.size !== before.size || now.mtimeNs !== before.mtimeNs
        },
      }
    } catch (error) {
      await remove()
      return unreadableObject(version, error)
    }
  }

  function unreadableObject(version: ObjectVersion, error: unknown): MarkedObject {
    if ((error as NodeJS.ErrnoException).code === 'EACCES') return deniedObject(context, version, 'permission denied')
    if (isMillraceError(error) && error.code === 'object-denied') return deniedObject(context, version, error.message)
    // What was refused is the version that a message named: nothing is known of the object that lies there.
    if (isMillraceError(error) && error.code === 'object-refused' && version.versionId !== undefined)
      return goneObject(context, version, error.message)
    if (isMillraceError(error) && unreadable.has(error.code)) return badObject(context, version, error.message)
    if (!isBadObject(error)) throw error
    return badObject(context, version, reasonOf(error, version.key))
  }

  /** @param objects of one shape */
  async function marked(objects: readonly SpooledVersion[]): Promise<readonly MarkedObject[]> {
    try {
      return await markObjects(context, objects, `spool_${groups++}`, declared, period)
    } catch (error) {
      const [first] = objects as readonly [SpooledVersion]
      if (objects.length > 1 && isBadObject(error)) {
        // One of them cannot be read: the others are read without it.
        const alone: MarkedObject[] = []
        for (const object of objects) alone.push(...(await marked([object])))
        return alone
      }
      for (const object of objects) await object.discard()
      return [unreadableObject(first.version, error)]
    }
  }

  return async versions => (await inOrder([...groupsOf(versions)].map(fetchGroup))).flat()

  async function fetchGroup(versions: readonly ObjectVersion[]): Promise<readonly MarkedObject[]> {
    const spooling = await Promise.allSettled(
      versions.map(version => inTurn(version.sizeBytes, () => spooled(version))),
    )
    const failed = spooling.findIndex(({ status }) => status === 'rejected')
    const before = failed === -1 ? spooling : spooling.slice(0, failed)
    const entries = before.flatMap(entry => (entry.status === 'fulfilled' ? [entry.value] : []))
    const done: MarkedObject[] = []
    for (const group of grouped(entries)) done.push(...('is' in group ? [group] : await marked(group)))
    const first = spooling[failed]
    if (first?.status === 'rejected') throw first.reason
    return done
  }

  /** Runs of neighbours of one shape, and between them what cannot be read. */
  function grouped(
    entries: readonly (SpooledVersion | MarkedObject)[],
  ): readonly (readonly SpooledVersion[] | MarkedObject)[] {
    const groups: (SpooledVersion[] | MarkedObject)[] = []
    for (const entry of entries) {
      const last = groups.at(-1)
      if ('is' in entry) groups.push(entry)
      else if (format.isShared && last && !('is' in last) && isAlike(last[0] as SpooledVersion, entry)) last.push(entry)
      else groups.push([entry])
    }
    return groups
  }
}

/** Of several failures the first in order is thrown, whichever came first in time. */
async function inOrder<T>(promises: readonly Promise<T>[]): Promise<readonly T[]> {
  // Those after a failure are not awaited any more.
  for (const promise of promises) promise.catch(() => {})
  const done: T[] = []
  for (const promise of promises) done.push(await promise)
  return done
}

function isAlike(a: SpooledVersion, b: SpooledVersion): boolean {
  return JSON.stringify(a.columns) === JSON.stringify(b.columns)
}

/** Objects in groups that are marked together. */
function* groupsOf(objects: readonly ObjectVersion[]): Generator<readonly ObjectVersion[]> {
  let group: ObjectVersion[] = []
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
