import { join } from 'node:path'
import type { Put } from '../../src/core/ports.ts'
import { type Disk, eTagOf, statOrMissing } from './disk.ts'
import { absentIsFine, fileSystemError, ignored, isAbsent, orIfAbsent } from './file-errors.ts'
import { type FolderEntry, fileErrorCode } from './file-system.ts'
import type { MutablePaths } from './keys.ts'
import { parseETag, type Pointer, pointerETag, pointerName, readPointer } from './pointer.ts'
import { type Body, ensureFolder, failedWrite, newTemporary, promised } from './writing.ts'

type MutableDisk = Disk & { readonly newId: () => string }

export async function createMutable(disk: MutableDisk, paths: MutablePaths, body: Body): Promise<Put> {
  if ((await readPointer(disk, paths.folder)) !== undefined) return { is: 'conflict' }
  // Another program has made it.
  if (paths.shown !== undefined && (await statOrMissing(disk, paths.shown))) return { is: 'conflict' }
  return beginMutable(disk, paths, body)
}

async function beginMutable(disk: MutableDisk, paths: MutablePaths, body: Body): Promise<Put> {
  const pointer: Pointer = { generation: 1, id: disk.newId() }
  const prepared = await newTemporary(disk)
  try {
    await prepare(disk, paths, { prepared, pointer, body })
  } catch (error) {
    await discard(disk, paths, { prepared, pointer })
    throw fileSystemError(error, disk.root)
  }
  try {
    // Commit point: the prepared folder gets its name, which fails when a folder with a file has it. A crash before
    // leaves a body that no name points at, removed by the next commit.
    await disk.fs.rename(prepared, paths.folder)
  } catch (error) {
    if (!(await isTaken(error, disk, paths))) return failedWrite(error, disk.root)
    await discard(disk, paths, { prepared, pointer })
    return { is: 'conflict' }
  }
  return promised(async () => {
    await disk.fs.syncFolder(paths.parent)
    await showNewest(disk, paths)
  }, pointerETag(pointer))
}

interface Prepared {
  /** A folder without a name of its own yet, with the pointer. */
  readonly prepared: string
  readonly pointer: Pointer
}

async function prepare(
  { fs }: Disk,
  { bodies }: MutablePaths,
  { prepared, pointer, body }: Prepared & { readonly body: Body },
) {
  await ensureFolder({ fs }, bodies)
  await fs.write(join(bodies, pointerETag(pointer)), body)
  await fs.syncFolder(bodies)
  await fs.makeFolder(prepared)
  await fs.write(join(prepared, pointerName(pointer)), new Uint8Array())
  await fs.syncFolder(prepared)
}

async function discard({ fs }: Disk, { bodies }: MutablePaths, { prepared, pointer }: Prepared): Promise<void> {
  await ignored(fs.unlink(join(prepared, pointerName(pointer))))
  await ignored(fs.removeFolder(prepared))
  await ignored(fs.unlink(join(bodies, pointerETag(pointer))))
}

/** Whether a rename failed because another writer was first. */
async function isTaken(error: unknown, disk: Disk, { folder }: MutablePaths): Promise<boolean> {
  const code = fileErrorCode(error) ?? ''
  if (['ENOTEMPTY', 'EEXIST', 'ENOTDIR'].includes(code)) return true
  // Windows answers EPERM for an existing target.
  return code === 'EPERM' && (await readPointer(disk, folder)) !== undefined
}

export async function replaceMutable(
  disk: MutableDisk,
  paths: MutablePaths,
  body: Body,
  ifMatch: string,
): Promise<Put> {
  const { fs, root } = disk
  const current = await readPointer(disk, paths.folder)
  if (current === undefined && paths.shown !== undefined) {
    const made = await statOrMissing(disk, paths.shown)
    return made && eTagOf(made) === ifMatch ? beginMutable(disk, paths, body) : { is: 'conflict' }
  }
  if (current === undefined || pointerETag(current) !== ifMatch) return { is: 'conflict' }
  const next: Pointer = { generation: current.generation + 1, id: disk.newId() }
  const bodyPath = join(paths.bodies, pointerETag(next))
  let others: readonly FolderEntry[]
  try {
    await fs.write(bodyPath, body)
    await fs.syncFolder(paths.bodies)
    others = await fs.list(paths.bodies)
  } catch (error) {
    await ignored(fs.unlink(bodyPath))
    throw fileSystemError(error, root)
  }
  try {
    // Commit point: the old name exists once and can be renamed once. A crash before leaves a body that no name
    // points at, removed by the next commit; a crash after has committed.
    await fs.rename(join(paths.folder, pointerName(current)), join(paths.folder, pointerName(next)))
  } catch (error) {
    if (fileErrorCode(error) !== 'ENOENT') return failedWrite(error, root)
    await ignored(fs.unlink(bodyPath))
    return { is: 'conflict' }
  }
  const put = await promised(async () => {
    await fs.syncFolder(paths.folder)
    await showNewest(disk, paths)
  }, pointerETag(next))
  if (put.is === 'stored') await removeBodies(fs, paths, others, next)
  return put
}

/**
 * Gives the newest body the key's own name, where other programs look for it. Of writers that do this at once the last
 * one looks again, so what stays is the newest; one that is killed before leaves the body before it to be seen.
 */
async function showNewest(disk: MutableDisk, { parent, folder, bodies, shown }: MutablePaths): Promise<void> {
  if (shown === undefined) return
  const { fs, root } = disk
  for (let last: string | undefined; ; ) {
    const pointer = await readPointer(disk, folder)
    const newest = pointer && pointerETag(pointer)
    if (newest === undefined || newest === last) break
    const named = await newTemporary(disk)
    // Absent: a still newer one has removed it.
    const isThere = orIfAbsent(
      root,
      fs.link(join(bodies, newest), named).then(() => true),
      false,
    )
    if (!(await isThere)) continue
    await fs.rename(named, shown)
    // Of two names of one file the rename takes none away.
    await absentIsFine(fs.unlink(named))
    last = newest
  }
  await fs.syncFolder(parent)
}

/**
 * Bodies of lower generations can never be named again, because their predecessors' names are gone; so those of crashed
 * writers are removed here too. Rivals for this very generation remove their own.
 */
async function removeBodies(
  fs: Disk['fs'],
  { bodies }: MutablePaths,
  others: readonly FolderEntry[],
  next: Pointer,
): Promise<void> {
  for (const { name } of others) {
    const other = parseETag(name)
    if (other !== undefined && other.generation < next.generation) await ignored(fs.unlink(join(bodies, name)))
  }
}

export async function deleteMutable(disk: MutableDisk, paths: MutablePaths): Promise<void> {
  const { fs, root } = disk
  if (paths.shown !== undefined) await absentIsFine(fs.unlink(paths.shown))
  const grave = await newTemporary(disk)
  try {
    await fs.rename(paths.folder, grave)
    // Else a power failure could bring back the name and not its body.
    await fs.syncFolder(paths.parent)
  } catch (error) {
    if (!isAbsent(error)) throw error
  }
  for (const folder of [grave, paths.bodies]) {
    const entries = await fs.list(folder).catch((error: unknown) => {
      if (isAbsent(error)) return []
      throw error
    })
    for (const entry of entries) await absentIsFine(fs.unlink(join(folder, entry.name)))
    await absentIsFine(fs.removeFolder(folder))
  }
  // An object store has no folders to leave behind: a probe must not add one at every start.
  if (paths.parent !== root) await ignored(fs.removeFolder(paths.parent))
}
