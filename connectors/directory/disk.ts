import { join, sep } from 'node:path'
import type { ObjectVersion } from '../../src/core/object-version.ts'
import type { StoredBody } from '../../src/core/ports.ts'
import { orIfAbsent } from './file-errors.ts'
import type { FileRead, FileStat, FileSystem } from './file-system.ts'

/** The folder of a store, on its file system. */
export interface Disk {
  readonly root: string
  readonly fs: FileSystem
}

/** The same, and which symbolic links of it are followed: see `DirectoryStoreOptions`. */
export interface LinkedDisk extends Disk {
  readonly links: 'files' | 'inside' | 'all'
  /** The root without links. Asked once: for every object it would be a turn of the thread pool. */
  realRoot(): Promise<string>
}

export function pathOf({ root }: Pick<Disk, 'root'>, key: string): string {
  return join(root, ...key.split('/'))
}

export function statOrMissing({ fs, root }: Disk, path: string): Promise<FileStat | undefined> {
  return orIfAbsent(root, fs.stat(path), undefined)
}

/** '' where it is gone by now. */
export function realPathOrMissing({ fs, root }: Disk, path: string): Promise<string> {
  return orIfAbsent(root, fs.realPath(path), '')
}

/** Whether a path is the folder or lies below it; both without links. */
export function isInside(folder: string, path: string): boolean {
  return path === folder || path.startsWith(folder.endsWith(sep) ? folder : folder + sep)
}

export function eTagOf(stat: FileStat): string {
  return `${stat.sizeBytes}-${stat.mtimeNs}`
}

export function stored({ body, before }: FileRead, eTag: string): StoredBody {
  return { body, eTag, sizeBytes: before.sizeBytes, lastModifiedMs: modifiedMs(before) }
}

export function toVersion(key: string, eTag: string, stat: FileStat): ObjectVersion {
  return { bucket: '', key, eTag, sizeBytes: stat.sizeBytes, lastModifiedMs: modifiedMs(stat) }
}

function modifiedMs({ mtimeNs }: FileStat): number {
  return Number(mtimeNs / 1_000_000n)
}
