import { join } from 'node:path'
import { MillraceError } from '../../src/core/errors.ts'
import type { GetOptions, StoredBody } from '../../src/core/ports.ts'
import { type Disk, eTagOf, isInside, type LinkedDisk, pathOf, stored } from './disk.ts'
import { fileSystemError, isAbsent, orIfAbsent } from './file-errors.ts'
import { type FileRead, fileErrorCode } from './file-system.ts'
import type { MutablePaths } from './keys.ts'
import { newestFirst, parseETag, pointerETag, readPointer } from './pointer.ts'

const readsMax = 20

/**
 * The file that is meant by a key, without links on the way.
 *
 * @throws MillraceError `user` where links lead out of the root, and must not
 */
export async function targetOf(disk: LinkedDisk, key: string): Promise<string> {
  const target = await disk.fs.realPath(pathOf(disk, key))
  if (disk.links !== 'inside' || isInside(await disk.realRoot(), target)) return target
  throw new MillraceError(
    'user',
    'object-refused',
    `'${key}' is a symbolic link, or lies behind one, that leads out of ${disk.root}, to ${target}. ` +
      `With symlinks: 'follow' the source reads it.`,
  )
}

export async function readFile(
  disk: LinkedDisk,
  key: string,
  options: GetOptions,
): Promise<StoredBody | 'missing' | 'changed'> {
  const path = pathOf(disk, key)
  let read: FileRead
  try {
    read = await disk.fs.read(disk.links === 'inside' ? await targetOf(disk, key) : path, options.range)
  } catch (error) {
    if (isAbsent(error) || fileErrorCode(error) === 'EISDIR') return 'missing'
    throw fileSystemError(error, disk.root)
  }
  const eTag = eTagOf(read.before)
  if (options.ifMatch !== undefined && options.ifMatch !== eTag) return 'changed'
  if (eTagOf(read.after) !== eTag) {
    if (options.ifMatch !== undefined) return 'changed'
    throw new MillraceError('retry', 'object-changing', `${path} was written to while it was read; read it again.`)
  }
  return stored(read, eTag)
}

export async function readMutable(
  disk: Disk & { readonly address: string },
  key: string,
  paths: MutablePaths,
  options: GetOptions,
): Promise<StoredBody | 'missing' | 'changed'> {
  let last: string | undefined
  for (let attempt = 0; attempt < readsMax; attempt++) {
    const pointer = await readPointer(disk, paths.folder)
    if (pointer === undefined) return 'missing'
    const eTag = pointerETag(pointer)
    if (options.ifMatch !== undefined && options.ifMatch !== eTag) return 'changed'
    const body = join(paths.bodies, eTag)
    const read = await orIfAbsent(disk.root, disk.fs.read(body, options.range), undefined)
    if (read !== undefined) return stored(read, eTag)
    // The next writer removed the body between our two reads, unless the pointer still names it.
    if (last === eTag) {
      throw new MillraceError(
        'fatal',
        'missing-object',
        `'${key}' in ${disk.address}: the body ${body} that it names does not exist; restore it from a copy.`,
      )
    }
    last = eTag
  }
  throw new MillraceError('retry', 'object-changing', `'${key}' in ${disk.address} changes too fast to be read.`)
}

/** What the mutable key held before, newest first, as far as it still lies there. */
export async function readFormer({ fs, root }: Disk, { bodies }: MutablePaths): Promise<readonly Uint8Array[]> {
  const entries = await orIfAbsent(root, fs.list(bodies), [])
  const read: Uint8Array[] = []
  for (const pointer of newestFirst(entries.map(({ name }) => parseETag(name)))) {
    // Absent: its writer has lost a race meanwhile and tidied up.
    const found = await orIfAbsent(root, fs.read(join(bodies, pointerETag(pointer))), undefined)
    if (found !== undefined) read.push(found.body)
  }
  return read
}
