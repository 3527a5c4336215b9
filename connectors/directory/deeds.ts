import { createHash } from 'node:crypto'
import { basename, dirname, join, relative } from 'node:path'
import type { ObjectVersion } from '../../src/core/object-version.ts'
import type { LinkedFile, NotAsCommitted, Taken } from '../../src/core/ports.ts'
import { type Disk, eTagOf, type LinkedDisk, pathOf, statOrMissing, toVersion } from './disk.ts'
import { absentIsFine, fileSystemError, guarded, ignored, isAbsent, isUnlinkable } from './file-errors.ts'
import { type FileStat, fileErrorCode } from './file-system.ts'
import { hidden, mutableOf } from './keys.ts'
import { targetOf } from './reading.ts'
import { linkName, nameTemporary, type Temporary, type WritableDisk, writeTemporary } from './writing.ts'

/** Takes a version of another folder over: by a link, or by a copy where that lies on another file system. */
export async function takeFile(
  disk: LinkedDisk & WritableDisk,
  folder: string,
  version: ObjectVersion,
  key: string,
): Promise<Taken> {
  const source = join(folder, ...version.key.split('/'))
  if (await isBehindLink(disk, folder, source)) return { is: 'linked' }
  const before = await lookAt(disk, source, version.eTag)
  if (before.is !== 'same') return before
  const linked = await linkName(disk, source, key, before.stat)
  if (linked === 'unsupported') return copyOver(disk, source, key, version.eTag)
  if (linked.is === 'unknown') throw linked.cause
  if (linked.is === 'conflict') return linked
  const here = await guarded(disk.root, () => disk.fs.stat(pathOf(disk, key)))
  if (eTagOf(here) === version.eTag) return { is: 'taken', version: toVersion(key, version.eTag, here) }
  // Another file had the name when it was taken, or it was written to meanwhile: what lies here now is nobody's yet.
  await guarded(disk.root, () => absentIsFine(disk.fs.unlink(pathOf(disk, key))))
  return { is: 'changed' }
}

type Look = { readonly is: 'same'; readonly stat: FileStat } | { readonly is: 'missing' | 'changed' }

async function lookAt(disk: Disk, path: string, eTag: string): Promise<Look> {
  const stat = await statOrMissing(disk, path)
  if (stat?.kind !== 'file') return { is: 'missing' }
  return eTagOf(stat) === eTag ? { is: 'same', stat } : { is: 'changed' }
}

/**
 * Takes a file of another file system over. The copy is looked at before it has its name: from then on another owner
 * may have found it there and deleted the original, so it must never be taken back.
 */
async function copyOver(disk: WritableDisk, source: string, key: string, eTag: string): Promise<Taken> {
  let copy: Temporary
  try {
    copy = await writeTemporary(disk, { file: source })
  } catch (error) {
    const found = await lookAt(disk, source, eTag)
    if (found.is === 'same') throw error
    return found
  }
  const found = await lookAt(disk, source, eTag)
  if (found.is !== 'same') {
    await ignored(disk.fs.unlink(copy.path))
    return found
  }
  const put = await nameTemporary(disk, copy, key)
  if (put.is === 'unknown') throw put.cause
  if (put.is === 'conflict') return put
  const here = await guarded(disk.root, () => disk.fs.stat(pathOf(disk, key)))
  return { is: 'taken', version: toVersion(key, eTagOf(here), here) }
}

export async function removeVersion(disk: LinkedDisk, version: ObjectVersion): Promise<'removed' | NotAsCommitted> {
  const path = pathOf(disk, version.key)
  if (await isBehindLink(disk, disk.root, path)) return 'linked'
  return guarded(disk.root, () => removeFile(disk, path, version.eTag))
}

/**
 * No call of the kernel deletes a name only where it has this file. So the name is moved aside, and what it had is
 * looked at there: it goes, or has its name back. A crash in between leaves it aside, where the next try finds it
 * first.
 */
async function removeFile(disk: Disk, path: string, eTag: string): Promise<'removed' | 'missing' | 'changed'> {
  const { fs } = disk
  const name = createHash('sha256').update(basename(path)).digest('hex').slice(0, 32)
  const aside = join(dirname(path), `${hidden}removed-${name}`)
  const left = await statOrMissing(disk, aside)
  if (left === undefined) {
    const found = await statOrMissing(disk, path)
    if (found === undefined) return 'missing'
    if (found.kind !== 'file' || eTagOf(found) !== eTag) return 'changed'
    try {
      await fs.rename(path, aside)
    } catch (error) {
      if (isAbsent(error)) return 'missing'
      throw error
    }
  }
  const is = eTagOf(await fs.stat(aside)) === eTag ? 'removed' : 'changed'
  if (is === 'changed') await nameAgain(disk, aside, path)
  await fs.unlink(aside)
  // Else a power failure could bring the name back, which nobody would delete again.
  await fs.syncFolder(dirname(path))
  return is
}

/** Unless the name has a newer file by now: then the one aside would have been overwritten. */
async function nameAgain({ fs }: Disk, aside: string, path: string): Promise<void> {
  try {
    await fs.link(aside, path)
  } catch (error) {
    if (fileErrorCode(error) !== 'EEXIST') throw error
  }
}

/** Whether a file lies elsewhere than its name says, the links to the folder itself apart. */
async function isBehindLink({ fs, root, realRoot }: LinkedDisk, folder: string, path: string): Promise<boolean> {
  try {
    const real = folder === root ? await realRoot() : await fs.realPath(folder)
    return (await fs.realPath(path)) !== join(real, relative(folder, path))
  } catch (error) {
    if (isAbsent(error)) return false
    throw fileSystemError(error, root)
  }
}

/** Hard-links a version to a local file. What the key has is looked at by the link, or where there can be none. */
export async function linkVersion(
  disk: LinkedDisk,
  { key, eTag }: ObjectVersion,
  file: string,
): Promise<LinkedFile | 'missing' | 'changed' | 'unsupported'> {
  const { fs, root } = disk
  try {
    await fs.link(await targetOf(disk, key), file)
  } catch (error) {
    const found = await lookAt(disk, pathOf(disk, key), eTag)
    if (found.is === 'missing') return mutableOf(root, key) ? 'unsupported' : 'missing'
    if (found.is === 'changed') return 'changed'
    if (isUnlinkable(error)) return 'unsupported'
    throw fileSystemError(error, root)
  }
  const linked = await lookAt(disk, file, eTag)
  if (linked.is === 'same')
    return { is: 'linked', isChanged: async () => (await lookAt(disk, file, eTag)).is !== 'same' }
  await guarded(root, () => fs.unlink(file))
  return linked.is
}
