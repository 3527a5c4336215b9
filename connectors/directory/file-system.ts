import { constants } from 'node:fs'
import * as nodeFs from 'node:fs/promises'

export type FileKind = 'file' | 'folder' | 'link' | 'other'

export interface FileStat {
  readonly kind: FileKind
  readonly sizeBytes: number
  readonly mtimeNs: bigint
}

export interface FolderEntry {
  readonly name: string
  readonly kind: FileKind
}

export interface FileRead {
  readonly body: Uint8Array
  /** The open file before and after the read: they differ when somebody wrote into it meanwhile. */
  readonly before: FileStat
  readonly after: FileStat
}

/**
 * Every call by which the directory store touches the disk. It is one narrow port so that a test can count the calls
 * and kill the process between any two of them. Errors are Node's, with their `code` (ENOENT, EEXIST and so on).
 */
export interface FileSystem {
  list(folder: string): Promise<readonly FolderEntry[]>
  /** Follows symbolic links. */
  stat(path: string): Promise<FileStat>
  realPath(path: string): Promise<string>
  /** Bytes [start, end) or all; an end past the file's end is cut. */
  read(path: string, range?: readonly [start: number, end: number]): Promise<FileRead>
  /** Creates the file (EEXIST when it is there), writes it and flushes it to the disk. */
  write(path: string, body: Uint8Array | { readonly file: string }): Promise<FileStat>
  /** Creates the folder and its missing parents; the first one that it created, if any. */
  makeFolder(folder: string): Promise<string | undefined>
  /** Makes the names in the folder durable. Nothing to do on Windows, where a folder cannot be flushed. */
  syncFolder(folder: string): Promise<void>
  link(from: string, to: string): Promise<void>
  rename(from: string, to: string): Promise<void>
  unlink(path: string): Promise<void>
  /** Removes an empty folder. */
  removeFolder(folder: string): Promise<void>
  /** The type number of the file system that holds the path (statfs). */
  type(path: string): Promise<number>
  /** The number of the device that holds the path. A mount may have another one after a restart of the machine. */
  device(path: string): Promise<bigint>
}

/** The file system of this machine. */
export const nodeFileSystem: FileSystem = {
  async list(folder) {
    const entries = await nodeFs.readdir(folder, { withFileTypes: true })
    return entries.map(entry => ({ name: entry.name, kind: kindOf(entry) }))
  },
  async stat(path) {
    return toStat(await nodeFs.stat(path, { bigint: true }))
  },
  realPath(path) {
    return nodeFs.realpath(path)
  },
  async read(path, range) {
    const file = await nodeFs.open(path, 'r')
    try {
      const before = toStat(await file.stat({ bigint: true }))
      const start = Math.min(range?.[0] ?? 0, before.sizeBytes)
      const end = Math.max(start, Math.min(range?.[1] ?? before.sizeBytes, before.sizeBytes))
      const buffer = Buffer.allocUnsafeSlow(end - start)
      let filled = 0
      while (filled < buffer.length) {
        const { bytesRead } = await file.read(buffer, filled, buffer.length - filled, start + filled)
        // The file was cut while it was read: `after` shows it.
        if (bytesRead === 0) break
        filled += bytesRead
      }
      return { body: buffer.subarray(0, filled), before, after: toStat(await file.stat({ bigint: true })) }
    } finally {
      await file.close()
    }
  },
  async write(path, body) {
    if (!(body instanceof Uint8Array)) {
      await nodeFs.copyFile(body.file, path, constants.COPYFILE_EXCL | constants.COPYFILE_FICLONE)
    }
    // A copy keeps the mode of its source, which may be read-only; Windows flushes writable handles only.
    const copied = process.platform === 'win32' ? 'r+' : 'r'
    const file = await nodeFs.open(path, body instanceof Uint8Array ? 'wx' : copied)
    try {
      if (body instanceof Uint8Array) await file.writeFile(body)
      await file.sync()
      return toStat(await file.stat({ bigint: true }))
    } finally {
      await file.close()
    }
  },
  makeFolder(folder) {
    return nodeFs.mkdir(folder, { recursive: true })
  },
  async syncFolder(folder) {
    if (process.platform === 'win32') return
    const handle = await nodeFs.open(folder, 'r')
    try {
      await handle.sync()
    } finally {
      await handle.close()
    }
  },
  link: nodeFs.link,
  rename: nodeFs.rename,
  unlink: nodeFs.unlink,
  removeFolder: nodeFs.rmdir,
  async type(path) {
    return (await nodeFs.statfs(path)).type
  },
  async device(path) {
    return (await nodeFs.stat(path, { bigint: true })).dev
  },
}

interface Kinds {
  isFile(): boolean
  isDirectory(): boolean
  isSymbolicLink(): boolean
}

function kindOf(entry: Kinds): FileKind {
  if (entry.isFile()) return 'file'
  if (entry.isDirectory()) return 'folder'
  return entry.isSymbolicLink() ? 'link' : 'other'
}

function toStat(stat: Kinds & { readonly size: bigint; readonly mtimeNs: bigint }): FileStat {
  return { kind: kindOf(stat), sizeBytes: Number(stat.size), mtimeNs: stat.mtimeNs }
}

/** The `code` of a Node file system error, such as 'ENOENT'. */
export function fileErrorCode(error: unknown): string | undefined {
  if (!(error instanceof Error) || !('code' in error)) return undefined
  return typeof error.code === 'string' ? error.code : undefined
}
