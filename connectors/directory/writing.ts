import { dirname, join } from 'node:path'
import { MillraceError, toError } from '../../src/core/errors.ts'
import type { Put } from '../../src/core/ports.ts'
import { type Disk, eTagOf, pathOf, statOrMissing } from './disk.ts'
import { fileSystemError, guarded, ignored, isUnlinkable } from './file-errors.ts'
import { type FileStat, fileErrorCode } from './file-system.ts'
import { hidden } from './keys.ts'

/** A disk that is written to. */
export interface WritableDisk extends Disk {
  readonly newId: () => string
  /**
   * Removes what writers that died have left, with the first write of this process.
   *
   * @param nowNs of a file written just now
   */
  sweepOnce(nowNs: bigint): Promise<void>
}

export type Body = Uint8Array | { readonly file: string }

/** A file without a name of its own yet. */
export interface Temporary {
  readonly path: string
  readonly stat: FileStat
}

const temporaryFolder = `${hidden}temporary`
/** Temporary files this much older than a fresh one were left by a process that died. */
const temporaryAgeNsMax = 24n * 3_600_000_000_000n
const linksMax = 20

export async function writeOnce(disk: WritableDisk, key: string, body: Body): Promise<Put> {
  return nameTemporary(disk, await writeTemporary(disk, body), key)
}

/** To a name never used before: by a link where the disk can. */
export async function copyFile(disk: WritableDisk & { readonly address: string }, from: string, to: string) {
  const path = pathOf(disk, from)
  const source = await statOrMissing(disk, path)
  const missing = `'${from}' in ${disk.address} does not exist; cannot copy it.`
  if (source === undefined) throw new MillraceError('fatal', 'missing-object', missing)
  try {
    const put = await linkName(disk, path, to, source)
    if (put !== 'unsupported') return put
    // Two file systems under one root, or a file that may not be linked: the bytes are copied instead.
    return await writeOnce(disk, to, { file: path })
  } catch (error) {
    // Deleted meanwhile: by the owner that has claimed over this writer and published it (P8).
    if ((await statOrMissing(disk, path)) !== undefined) throw error
    throw new MillraceError('fatal', 'missing-object', missing, error)
  }
}

export async function writeTemporary(disk: WritableDisk, body: Body): Promise<Temporary> {
  const path = await newTemporary(disk)
  try {
    // A crash here leaves a temporary file that nobody sees; a later process removes it.
    const stat = await disk.fs.write(path, body)
    await disk.sweepOnce(stat.mtimeNs)
    return { path, stat }
  } catch (error) {
    await ignored(disk.fs.unlink(path))
    throw fileSystemError(error, disk.root)
  }
}

export async function nameTemporary(disk: Disk, { path, stat }: Temporary, key: string): Promise<Put> {
  const put = await linkName(disk, path, key, stat)
  await ignored(disk.fs.unlink(path))
  if (put !== 'unsupported') return put
  throw new MillraceError(
    'fatal',
    'file-system',
    `${disk.root} lies on a file system without hard links; use another one.`,
  )
}

export async function linkName(disk: Disk, from: string, key: string, stat: FileStat): Promise<Put | 'unsupported'> {
  const { fs, root } = disk
  const target = pathOf(disk, key)
  for (let attempt = 1; ; attempt++) {
    await guarded(root, () => ensureFolder(disk, dirname(target)))
    try {
      // The object exists from this call on, whole and durable but for its name.
      await fs.link(from, target)
      break
    } catch (error) {
      const code = fileErrorCode(error)
      if (code === 'EEXIST') return { is: 'conflict' }
      if (isUnlinkable(error)) return 'unsupported'
      // The folder was removed as empty between the two calls.
      if (code === 'ENOENT' && attempt < linksMax) continue
      return failedWrite(error, root)
    }
  }
  // A power failure before this flush may lose the name, so the write is not yet promised.
  return promised(() => fs.syncFolder(dirname(target)), eTagOf(stat))
}

export async function newTemporary({ root, fs, newId }: Omit<WritableDisk, 'sweepOnce'>): Promise<string> {
  const folder = join(root, temporaryFolder)
  await guarded(root, () => ensureFolder({ fs }, folder))
  return join(folder, newId())
}

export async function sweepTemporary({ fs, root }: Disk, nowNs: bigint): Promise<void> {
  const folder = join(root, temporaryFolder)
  // Age is measured against a file written just now, so this machine's clock is not asked. A live writer whose file is
  // taken all the same gets an error from `link`, never a wrong object.
  for (const entry of (await ignored(fs.list(folder))) ?? []) {
    const path = join(folder, entry.name)
    const stat = await ignored(fs.stat(path))
    if (stat === undefined || nowNs - stat.mtimeNs < temporaryAgeNsMax) continue
    if (stat.kind === 'folder') {
      for (const inner of (await ignored(fs.list(path))) ?? []) await ignored(fs.unlink(join(path, inner.name)))
      await ignored(fs.removeFolder(path))
    } else await ignored(fs.unlink(path))
  }
}

export async function ensureFolder({ fs }: Pick<Disk, 'fs'>, folder: string): Promise<void> {
  const first = await fs.makeFolder(folder)
  if (first === undefined) return
  // The names of new folders must be durable before an object in them is promised.
  for (let made = folder; ; made = dirname(made)) {
    await fs.syncFolder(dirname(made))
    if (made === first || dirname(made) === made) return
  }
}

/** The write is applied; it is promised only when this flush returns. */
export async function promised(flush: () => Promise<void>, eTag: string): Promise<Put> {
  try {
    await flush()
    return { is: 'stored', eTag }
  } catch (error) {
    return { is: 'unknown', cause: toError(error) }
  }
}

/** The call that applies the write failed: whether it was applied is known for some errors only. */
export function failedWrite(error: unknown, root: string): Put {
  const refused = ['EACCES', 'EPERM', 'EROFS', 'ENOSPC', 'EDQUOT', 'ENOENT', 'ENOTDIR', 'ENAMETOOLONG']
  if (refused.includes(fileErrorCode(error) ?? '')) throw fileSystemError(error, root)
  return { is: 'unknown', cause: toError(error) }
}
