import { randomUUID } from 'node:crypto'
import { pathToFileURL } from 'node:url'
import { MillraceError } from '../../src/core/errors.ts'
import type { ObjectStore, Put } from '../../src/core/ports.ts'
import { linkVersion, removeVersion, takeFile } from './deeds.ts'
import { type Disk, type LinkedDisk, pathOf } from './disk.ts'
import { absentIsFine, guarded, orIfAbsent } from './file-errors.ts'
import { type FileSystem, nodeFileSystem } from './file-system.ts'
import { checkKey, checkWritableKey, mutableOf } from './keys.ts'
import { listKeys } from './list-keys.ts'
import { createMutable, deleteMutable, replaceMutable } from './mutable.ts'
import { readFile, readFormer, readMutable } from './reading.ts'
import { parseDirectoryAddress } from './spec.ts'
import { watchFolders } from './watch-folders.ts'
import { type Body, copyFile, sweepTemporary, type WritableDisk, writeOnce } from './writing.ts'

export interface DirectoryStoreOptions {
  /**
   * Which symbolic links are followed. 'files', the default: those to files; 'inside': those to files below the root;
   * 'all': those to folders too, wherever they lead, but not in a circle.
   */
  readonly links?: 'files' | 'inside' | 'all'
  readonly fs?: FileSystem
  readonly newId?: () => string
}

type StoreDisk = LinkedDisk & WritableDisk & { readonly address: string }

/**
 * An object store over a local directory (P7). Keys that end in `HEAD` or `latest` are mutable: `head/` holds one
 * empty file whose name points at an immutable body in `head-bodies/`, and a conditional write renames that file, which
 * exactly one of many racers can do. So is `catalog.ducklake`, which other programs open: the newest body gets that
 * name, too, right after it was written. Every other key is written once, by `link`, which fails on an existing name.
 * There is no lock and no clock.
 *
 * A mutable key must not be deleted while others write it.
 */
export function createDirectoryStore(root: string, options: DirectoryStoreOptions = {}): ObjectStore {
  const disk = openDisk(root, options)
  return {
    address: disk.address,
    showsUnfinished: true,
    conditionsBy: 'file-system',

    decider: () => deciderOf(disk),

    async get(key, options = {}) {
      checkKey(key)
      options.signal?.throwIfAborted()
      const mutable = mutableOf(root, key)
      if (mutable === undefined) return readFile(disk, key, options)
      const body = await readMutable(disk, key, mutable, options)
      // An input directory may hold a plain file called HEAD or latest.
      return body === 'missing' ? readFile(disk, key, options) : body
    },

    async put(key, body, ifMatch, signal) {
      checkWritableKey(key)
      signal?.throwIfAborted()
      return write(disk, key, body, ifMatch)
    },

    async copy(from, to, signal) {
      checkWritableKey(from)
      checkWritableKey(to)
      signal?.throwIfAborted()
      if (mutableOf(root, from) !== undefined || mutableOf(root, to) !== undefined) {
        throw new MillraceError('fatal', 'immutable-key', `'${from}' or '${to}' is mutable and cannot be copied.`)
      }
      return copyFile(disk, from, to)
    },

    list: (prefix, after, signal, onLink, watch) =>
      watch ? watch.list(signal, onLink) : listKeys(disk, prefix, after, onLink ? { onLink } : {}),

    watch: nowMs => watchFolders(disk, nowMs),

    async delete(keys) {
      for (const key of keys) {
        checkWritableKey(key)
        await guarded(root, () => remove(disk, key))
      }
    },

    async former(key) {
      const mutable = mutableOf(root, key)
      return mutable === undefined ? [] : readFormer(disk, mutable)
    },

    async take(from, version, key) {
      checkKey(key)
      checkKey(version.key)
      return takeFile(disk, parseDirectoryAddress(from.address, 'take'), version, key)
    },

    async remove(version) {
      checkKey(version.key)
      return removeVersion(disk, version)
    },

    async link(version, file) {
      checkKey(version.key)
      return linkVersion(disk, version, file)
    },
  }
}

/** The file system and the device that decide conditions; undefined where the root is not there yet. */
async function deciderOf({ root, fs }: Disk): Promise<string | undefined> {
  const found = await orIfAbsent(root, Promise.all([fs.type(root), fs.device(root)]), undefined)
  return found && `file system 0x${(found[0] >>> 0).toString(16)} on device ${found[1]}`
}

function openDisk(root: string, options: DirectoryStoreOptions): StoreDisk {
  const { fs = nodeFileSystem, newId = randomUUID, links = 'files' } = options
  let isSwept = false
  let realRoot: string | undefined
  return {
    root,
    fs,
    newId,
    links,
    address: pathToFileURL(root).href,
    async realRoot() {
      realRoot ??= await fs.realPath(root)
      return realRoot
    },
    async sweepOnce(nowNs) {
      if (isSwept) return
      isSwept = true
      await sweepTemporary({ root, fs }, nowNs)
    },
  }
}

async function write(disk: StoreDisk, key: string, body: Body, ifMatch: string): Promise<Put> {
  const mutable = mutableOf(disk.root, key)
  if (mutable !== undefined)
    return ifMatch === 'absent' ? createMutable(disk, mutable, body) : replaceMutable(disk, mutable, body, ifMatch)
  if (ifMatch === 'absent') return writeOnce(disk, key, body)
  throw new MillraceError(
    'fatal',
    'immutable-key',
    `'${key}' in ${disk.address} is written once and cannot be replaced; only HEAD and latest can. This is a bug.`,
  )
}

async function remove(disk: StoreDisk, key: string): Promise<void> {
  const mutable = mutableOf(disk.root, key)
  if (mutable === undefined) await absentIsFine(disk.fs.unlink(pathOf(disk, key)))
  else await deleteMutable(disk, mutable)
}
