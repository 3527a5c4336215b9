import { join } from 'node:path'
import { configError, MillraceError } from '../../src/core/errors.ts'
import type { ObjectVersion } from '../../src/core/object-version.ts'
import {
  type Disk,
  eTagOf,
  isInside,
  type LinkedDisk,
  pathOf,
  realPathOrMissing,
  statOrMissing,
  toVersion,
} from './disk.ts'
import { fileSystemError, isAbsent, orIfAbsent } from './file-errors.ts'
import { checkKey, hidden, mayHoldBodies, mutableNamed, mutableOf } from './keys.ts'
import { parseETag, pointerETag, readPointer } from './pointer.ts'

export type ListedDisk = LinkedDisk & { readonly address: string }

/** What a listing tells beside its keys. */
export interface ListingEvents {
  /** A symbolic link that is not followed; of a folder the key ends in a slash. */
  onLink?(key: string): void
  /** Before a folder is read. */
  onFolder?(path: string): Promise<void>
}

interface Listing extends ListingEvents {
  readonly prefix: string
  readonly after: string | undefined
}

interface Listed {
  /** A link is one that is not followed. */
  readonly is: 'file' | 'folder' | 'mutable' | 'link'
  /** A folder's key ends in a slash, and so sorts as its contents do. */
  readonly key: string
}

const looksMax = 20
/** Files that are looked at together: one after another each takes three times the CPU time. */
const statsMax = 32

/** Keys under the prefix in UTF-8 byte order: see `ObjectStore`. */
export async function* listKeys(
  disk: ListedDisk,
  prefix: string,
  after: string | undefined,
  events: ListingEvents,
): AsyncGenerator<ObjectVersion> {
  const start = prefix.slice(0, prefix.lastIndexOf('/') + 1)
  if (start !== '' && !(await isThere(disk, prefix, start))) return
  yield* walk(disk, { prefix, after, ...events }, start, [])
}

/** A prefix may name a symbolic link; what lies outside the root is nobody's input. */
async function isThere({ fs, root, realRoot }: LinkedDisk, prefix: string, start: string): Promise<boolean> {
  checkKey(start.slice(0, -1))
  try {
    const target = await fs.realPath(join(root, start))
    if (isInside(await realRoot(), target)) return true
    throw configError('prefix', prefix, `a folder inside ${root}, but it leads to ${target}`)
  } catch (error) {
    if (isAbsent(error)) return false
    throw fileSystemError(error, root)
  }
}

/** @param above folders that this one lies in, where links are followed to folders: one of them would be a circle */
async function* walk(
  disk: ListedDisk,
  listing: Listing,
  folder: string,
  above: readonly string[],
): AsyncGenerator<ObjectVersion> {
  const { prefix, after } = listing
  const here = disk.links === 'all' ? [...above, await realPathOrMissing(disk, join(disk.root, folder))] : above
  if (here.length > 0 && above.includes(here.at(-1) as string)) return listing.onLink?.(folder)
  await listing.onFolder?.(join(disk.root, folder))
  const files: string[] = []
  for (const { is, key } of await entriesOf(disk, folder)) {
    if (is !== 'folder' && !key.startsWith(prefix)) continue
    if (is === 'file' && !isBefore(key, after)) files.push(key)
    if (is === 'file' && files.length < statsMax) continue
    yield* fileVersions(disk, files.splice(0))
    if (is === 'link') listing.onLink?.(key)
    if (is === 'mutable' && !isBefore(key, after)) {
      const version = await mutableVersion(disk, key)
      if (version !== undefined) yield version
    }
    if (is !== 'folder' || (!key.startsWith(prefix) && !prefix.startsWith(key))) continue
    // Every key in the folder begins with its name, so the whole folder may lie before `after`.
    if (after === undefined || after.startsWith(key) || !isBefore(key, after)) yield* walk(disk, listing, key, here)
  }
  yield* fileVersions(disk, files)
}

/** Whether a listing that begins after a key leaves this one out. */
function isBefore(key: string, after: string | undefined): boolean {
  return after !== undefined && byBytes(key, after) <= 0
}

/** One folder in UTF-8 byte order: a listing holds one folder a level in memory, not the tree. */
async function entriesOf(disk: ListedDisk, folder: string): Promise<readonly Listed[]> {
  const listed: Listed[] = []
  let hasPairs = false
  const add = (is: Listed['is'], key: string): void => {
    hasPairs ||= surrogate.test(key)
    listed.push({ is, key })
  }
  for (const { name, kind } of await orIfAbsent(disk.root, disk.fs.list(join(disk.root, folder)), [])) {
    if (name.startsWith(hidden)) continue
    if (name.includes('\\')) {
      const path = join(disk.root, folder, name)
      throw new MillraceError('fatal', 'invalid-key', `${path} has a backslash in its name; rename it.`)
    }
    if (kind === 'file') {
      add('file', folder + name)
      continue
    }
    const path = join(disk.root, folder, name)
    if (kind === 'link') {
      // A linked file is its target. A linked folder may lead outside the root or in a circle.
      const target = await statOrMissing(disk, path)
      const isFolder = target?.kind === 'folder'
      if (target?.kind === 'file' || isFolder)
        add(await linkListedAs(disk, path, isFolder), folder + name + (isFolder ? '/' : ''))
    } else if (kind === 'folder') {
      const mutable = mutableNamed(name)
      if (mutable !== undefined && (await readPointer(disk, path)) !== undefined) add('mutable', folder + mutable)
      else if (!(await isBodies(disk, path, name))) add('folder', `${folder}${name}/`)
    }
  }
  // Bytes for each name would take most of a listing's memory.
  const order = hasPairs ? byBytes : byUnits
  return listed.sort((a, b) => order(a.key, b.key))
}

/** Half of a character beyond U+FFFF: only beside these the order of UTF-16 is not that of UTF-8. */
const surrogate = /[\uD800-\uDFFF]/

function byUnits(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}

function byBytes(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b))
}

async function linkListedAs(disk: LinkedDisk, path: string, isFolder: boolean): Promise<Listed['is']> {
  if (disk.links === 'all') return isFolder ? 'folder' : 'file'
  return isFolder || (disk.links === 'inside' && !(await leadsInside(disk, path))) ? 'link' : 'file'
}

async function leadsInside(disk: LinkedDisk, path: string): Promise<boolean> {
  const target = await realPathOrMissing(disk, path)
  return isInside(await disk.realRoot(), target)
}

/** Bodies may lie there without a pointer, when their writer died before the birth. */
async function isBodies({ fs, root }: Disk, path: string, name: string): Promise<boolean> {
  if (!mayHoldBodies(name)) return false
  // Gone since the folder above was read: another process has ended its probe.
  const entries = await orIfAbsent(root, fs.list(path), [])
  return entries.every(entry => parseETag(entry.name) !== undefined)
}

async function* fileVersions(disk: Disk, keys: readonly string[]): AsyncGenerator<ObjectVersion> {
  const found = await Promise.all(keys.map(key => fileVersion(disk, key)))
  for (const version of found) if (version !== undefined) yield version
}

async function fileVersion(disk: Disk, key: string): Promise<ObjectVersion | undefined> {
  const stat = await statOrMissing(disk, pathOf(disk, key))
  if (stat !== undefined) return toVersion(key, eTagOf(stat), stat)
  if (key.includes('\uFFFD')) {
    throw new MillraceError(
      'fatal',
      'invalid-key',
      `A file name under ${disk.root} is not UTF-8 ('${key}'); rename it.`,
    )
  }
  // Deleted since its folder was read.
  return undefined
}

async function mutableVersion(disk: ListedDisk, key: string): Promise<ObjectVersion | undefined> {
  const paths = mutableOf(disk.root, key)
  for (let attempt = 0; paths !== undefined && attempt < looksMax; attempt++) {
    const pointer = await readPointer(disk, paths.folder)
    if (pointer === undefined) return undefined
    const stat = await statOrMissing(disk, join(paths.bodies, pointerETag(pointer)))
    if (stat !== undefined) return toVersion(key, pointerETag(pointer), stat)
  }
  throw new MillraceError('retry', 'object-changing', `'${key}' in ${disk.address} changes too fast to be listed.`)
}
