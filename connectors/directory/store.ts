import { createHash, randomUUID } from 'node:crypto'
import { basename, dirname, join, relative, sep } from 'node:path'
import { pathToFileURL } from 'node:url'
import { configError, isMillraceError, MillraceError } from '../../src/core/errors.ts'
import type { ObjectVersion } from '../../src/core/object-version.ts'
import type { GetOptions, ObjectStore, Put, StoredBody, Taken } from '../../src/core/ports.ts'
import {
  type FileRead,
  type FileStat,
  type FileSystem,
  type FolderEntry,
  fileErrorCode,
  nodeFileSystem,
} from './file-system.ts'
import { parseDirectoryAddress } from './spec.ts'

export interface DirectoryStoreOptions {
  /**
   * Which symbolic links are followed. 'files', the default: those to files; 'inside': those to files below the root;
   * 'all': those to folders too, wherever they lead, but not in a circle.
   */
  readonly links?: 'files' | 'inside' | 'all'
  readonly fs?: FileSystem
  readonly newId?: () => string
}

/** Names that begin so are the store's own: never listed, never a key. */
const HIDDEN = '.millrace-'
const TEMPORARY = `${HIDDEN}temporary`
/** Temporary files this much older than a fresh one were left by a process that died. */
const TEMPORARY_AGE_NS_MAX = 24n * 3_600_000_000_000n
/** Last segment of a mutable key, and the folder that stands for it (P7). */
const MUTABLE: Readonly<Record<string, string>> = { HEAD: 'head', latest: 'latest' }
const BODIES = '-bodies'
const RESERVED = new Set(Object.values(MUTABLE).flatMap(folder => [folder, folder + BODIES]))
const ATTEMPTS_MAX = 20

/** A file without a name of its own yet. */
interface Temporary {
  readonly path: string
  readonly stat: FileStat
}

/** Which body a mutable key names now: the one file name `HEAD@<generation>@<id>`. */
interface Pointer {
  readonly generation: number
  readonly id: string
}

/**
 * An object store over a local directory (P7). Keys that end in `HEAD` or `latest` are mutable: `head/` holds one
 * empty file whose name points at an immutable body in `head-bodies/`, and a conditional write renames that file, which
 * exactly one of many racers can do. Every other key is written once, by `link`, which fails on an existing name. There is
 * no lock and no clock.
 *
 * A mutable key must not be deleted while others write it.
 */
export function createDirectoryStore(root: string, options: DirectoryStoreOptions = {}): ObjectStore {
  const fs = options.fs ?? nodeFileSystem
  const newId = options.newId ?? randomUUID
  const links = options.links ?? 'files'
  const address = pathToFileURL(root).href
  const toMillrace = (error: unknown) => fileSystemError(error, root)
  let swept = false
  let realRoot: string | undefined

  return {
    address,
    showsUnfinished: true,
    conditionsBy: 'file-system',

    async get(key, options = {}) {
      checkKey(key)
      options.signal?.throwIfAborted()
      const mutable = mutableOf(key)
      if (mutable === undefined) return readFile(key, options)
      const body = await readMutable(key, mutable, options)
      // An input directory may hold a plain file called HEAD or latest.
      return body === 'missing' ? readFile(key, options) : body
    },

    async put(key, body, ifMatch, signal) {
      checkWritableKey(key)
      signal?.throwIfAborted()
      const mutable = mutableOf(key)
      if (mutable !== undefined) {
        return ifMatch === 'absent' ? createMutable(mutable, body) : replaceMutable(mutable, body, ifMatch)
      }
      if (ifMatch !== 'absent') {
        throw new MillraceError(
          'fatal',
          'immutable-key',
          `'${key}' in ${address} is written once and cannot be replaced; only HEAD and latest can. This is a bug.`,
        )
      }
      return writeOnce(key, body)
    },

    async copy(from, to, signal) {
      checkWritableKey(from)
      checkWritableKey(to)
      signal?.throwIfAborted()
      if (mutableOf(from) !== undefined || mutableOf(to) !== undefined) {
        throw new MillraceError('fatal', 'immutable-key', `'${from}' or '${to}' is mutable and cannot be copied.`)
      }
      const source = await statOrMissing(pathOf(from))
      const missing = `'${from}' in ${address} does not exist; cannot copy it.`
      if (source === undefined) throw new MillraceError('fatal', 'missing-object', missing)
      try {
        const put = await linkName(pathOf(from), to, source)
        if (put !== 'unsupported') return put
        // Two file systems under one root, or a file that may not be linked: the bytes are copied instead.
        return await writeOnce(to, { file: pathOf(from) })
      } catch (error) {
        // Deleted meanwhile: by the owner that has claimed over this writer and published it (P8).
        if ((await statOrMissing(pathOf(from))) !== undefined) throw error
        throw new MillraceError('fatal', 'missing-object', missing, error)
      }
    },

    list(prefix, after, _signal, onLink) {
      return listKeys(prefix, after, onLink ?? (() => {}))
    },

    async delete(keys) {
      for (const key of keys) {
        checkWritableKey(key)
        const mutable = mutableOf(key)
        if (mutable === undefined) await guarded(() => absentIsFine(fs.unlink(pathOf(key))))
        else await guarded(() => deleteMutable(mutable))
      }
    },

    async former(key) {
      const mutable = mutableOf(key)
      if (mutable === undefined) return []
      const entries = await fs.list(mutable.bodies).catch((error: unknown) => {
        if (isAbsent(error)) return []
        throw toMillrace(error)
      })
      const bodies = entries
        .map(({ name }) => parseETag(name))
        .filter(pointer => pointer !== undefined)
        .toSorted((a, b) => b.generation - a.generation)
      const read: Uint8Array[] = []
      for (const pointer of bodies) {
        try {
          read.push((await fs.read(join(mutable.bodies, pointerETag(pointer)))).body)
        } catch (error) {
          // Its writer has lost a race meanwhile and tidied up.
          if (!isAbsent(error)) throw toMillrace(error)
        }
      }
      return read
    },

    async take(from, version, key) {
      checkKey(key)
      checkKey(version.key)
      const folder = parseDirectoryAddress(from.address, 'take')
      const source = join(folder, ...version.key.split('/'))
      if (await isBehindLink(folder, source)) return { is: 'linked' }
      const found = async () => {
        const stat = await statOrMissing(source)
        if (stat?.kind !== 'file') return { is: 'missing' } as const
        return eTagOf(stat) === version.eTag ? ({ is: 'same', stat } as const) : ({ is: 'changed' } as const)
      }
      const before = await found()
      if (before.is !== 'same') return before
      const linked = await linkName(source, key, before.stat)
      if (linked === 'unsupported') return copyOver(source, key, found)
      if (linked.is === 'unknown') throw linked.cause
      if (linked.is === 'conflict') return linked
      const here = await guarded(() => fs.stat(pathOf(key)))
      if (eTagOf(here) === version.eTag) return { is: 'taken', version: toVersion(key, version.eTag, here) }
      // Another file had the name when it was taken, or it was written to meanwhile: what lies here now is nobody's yet.
      await guarded(() => absentIsFine(fs.unlink(pathOf(key))))
      return { is: 'changed' }
    },

    async remove(version) {
      checkKey(version.key)
      const path = pathOf(version.key)
      if (await isBehindLink(root, path)) return 'linked'
      return guarded(() => removeFile(path, version.eTag))
    },

    async link(version, file) {
      checkKey(version.key)
      const path = pathOf(version.key)
      const before = await statOrMissing(path)
      if (before === undefined || before.kind !== 'file') return mutableOf(version.key) ? 'unsupported' : 'missing'
      if (eTagOf(before) !== version.eTag) return 'changed'
      try {
        await fs.link(await targetOf(version.key), file)
      } catch (error) {
        if (isUnlinkable(error)) return 'unsupported'
        if (isAbsent(error) && (await statOrMissing(path)) === undefined) return 'missing'
        throw toMillrace(error)
      }
      const after = await guarded(() => fs.stat(file))
      if (eTagOf(after) === version.eTag) return 'linked'
      await fs.unlink(file)
      return 'changed'
    },
  }

  function pathOf(key: string): string {
    return join(root, ...key.split('/'))
  }

  // Reading.

  /**
   * The file that is meant by a key, without links on the way.
   *
   * @throws MillraceError `user` where links lead out of the root, and must not
   */
  async function targetOf(key: string): Promise<string> {
    const target = await fs.realPath(pathOf(key))
    if (links !== 'inside' || isInside(await rootWithoutLinks(), target)) return target
    throw new MillraceError(
      'user',
      'object-refused',
      `'${key}' is a symbolic link, or lies behind one, that leads out of ${root}, to ${target}. With symlinks: 'follow' the source reads it.`,
    )
  }

  /** Asked once: for every object it would be a turn of the thread pool. */
  async function rootWithoutLinks(): Promise<string> {
    realRoot ??= await fs.realPath(root)
    return realRoot
  }

  async function readFile(key: string, options: GetOptions): Promise<StoredBody | 'missing' | 'changed'> {
    const path = pathOf(key)
    let read: Awaited<ReturnType<FileSystem['read']>>
    try {
      read = await fs.read(links === 'inside' ? await targetOf(key) : path, options.range)
    } catch (error) {
      if (isAbsent(error) || fileErrorCode(error) === 'EISDIR') return 'missing'
      throw toMillrace(error)
    }
    const eTag = eTagOf(read.before)
    if (options.ifMatch !== undefined && options.ifMatch !== eTag) return 'changed'
    if (eTagOf(read.after) !== eTag) {
      if (options.ifMatch !== undefined) return 'changed'
      throw new MillraceError('retry', 'object-changing', `${path} was written to while it was read; read it again.`)
    }
    return stored(read, eTag)
  }

  async function readMutable(
    key: string,
    paths: MutablePaths,
    options: GetOptions,
  ): Promise<StoredBody | 'missing' | 'changed'> {
    let last: string | undefined
    for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
      const pointer = await readPointer(paths.folder)
      if (pointer === undefined) return 'missing'
      const eTag = pointerETag(pointer)
      if (options.ifMatch !== undefined && options.ifMatch !== eTag) return 'changed'
      try {
        return stored(await fs.read(join(paths.bodies, eTag), options.range), eTag)
      } catch (error) {
        if (!isAbsent(error)) throw toMillrace(error)
      }
      // The next writer removed the body between our two reads, unless the pointer still names it.
      if (last === eTag) {
        throw new MillraceError(
          'fatal',
          'missing-object',
          `'${key}' in ${address}: the body ${join(paths.bodies, eTag)} that it names does not exist; restore it from a copy.`,
        )
      }
      last = eTag
    }
    throw new MillraceError('retry', 'object-changing', `'${key}' in ${address} changes too fast to be read.`)
  }

  async function readPointer(folder: string): Promise<Pointer | undefined> {
    // A listing that runs beside a rename may see neither name: the folder is born with one and never loses it.
    for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
      let entries: readonly FolderEntry[]
      try {
        entries = await fs.list(folder)
      } catch (error) {
        if (isAbsent(error)) return undefined
        throw toMillrace(error)
      }
      // Or it may see both: the higher generation existed when the listing ended.
      const newest = entries
        .map(entry => parsePointer(entry.name))
        .filter(pointer => pointer !== undefined)
        .toSorted((a, b) => b.generation - a.generation)[0]
      if (newest !== undefined) return newest
    }
    return undefined
  }

  async function statOrMissing(path: string): Promise<FileStat | undefined> {
    try {
      return await fs.stat(path)
    } catch (error) {
      if (isAbsent(error)) return undefined
      throw toMillrace(error)
    }
  }

  // Writing.

  async function writeOnce(key: string, body: Uint8Array | { readonly file: string }): Promise<Put> {
    return nameTemporary(await writeTemporary(body), key)
  }

  async function writeTemporary(body: Uint8Array | { readonly file: string }): Promise<Temporary> {
    const path = await newTemporary()
    try {
      // A crash here leaves a temporary file that nobody sees; a later process removes it.
      const stat = await fs.write(path, body)
      if (!swept) await sweepTemporary(stat.mtimeNs)
      return { path, stat }
    } catch (error) {
      await ignored(fs.unlink(path))
      throw toMillrace(error)
    }
  }

  async function nameTemporary({ path, stat }: Temporary, key: string): Promise<Put> {
    const put = await linkName(path, key, stat)
    await ignored(fs.unlink(path))
    if (put !== 'unsupported') return put
    throw new MillraceError(
      'fatal',
      'file-system',
      `${root} lies on a file system without hard links; use another one.`,
    )
  }

  /**
   * Takes a file of another file system over. The copy is looked at before it has its name: from then on another owner may
   * have found it there and deleted the original, so it must never be taken back.
   */
  async function copyOver(
    source: string,
    key: string,
    found: () => Promise<{ readonly is: 'same' | 'missing' | 'changed' }>,
  ): Promise<Taken> {
    let copy: Temporary
    try {
      copy = await writeTemporary({ file: source })
    } catch (error) {
      const { is } = await found()
      if (is === 'same') throw error
      return { is }
    }
    const { is } = await found()
    if (is !== 'same') {
      await ignored(fs.unlink(copy.path))
      return { is }
    }
    const put = await nameTemporary(copy, key)
    if (put.is === 'unknown') throw put.cause
    if (put.is === 'conflict') return put
    const here = await guarded(() => fs.stat(pathOf(key)))
    return { is: 'taken', version: toVersion(key, eTagOf(here), here) }
  }

  async function linkName(from: string, key: string, stat: FileStat): Promise<Put | 'unsupported'> {
    const target = pathOf(key)
    for (let attempt = 1; ; attempt++) {
      await guarded(() => ensureFolder(dirname(target)))
      try {
        // The object exists from this call on, whole and durable but for its name.
        await fs.link(from, target)
        break
      } catch (error) {
        const code = fileErrorCode(error)
        if (code === 'EEXIST') return { is: 'conflict' }
        if (isUnlinkable(error)) return 'unsupported'
        // The folder was removed as empty between the two calls.
        if (code === 'ENOENT' && attempt < ATTEMPTS_MAX) continue
        return failedWrite(error)
      }
    }
    // A power failure before this flush may lose the name, so the write is not yet promised.
    return promised(() => fs.syncFolder(dirname(target)), eTagOf(stat))
  }

  /**
   * No call of the kernel deletes a name only where it has this file. So the name is moved aside, and what it had is looked
   * at there: it goes, or has its name back. A crash in between leaves it aside, where the next try finds it first.
   */
  async function removeFile(path: string, eTag: string): Promise<'removed' | 'missing' | 'changed'> {
    const name = createHash('sha256').update(basename(path)).digest('hex').slice(0, 32)
    const aside = join(dirname(path), `${HIDDEN}removed-${name}`)
    const left = await statOrMissing(aside)
    if (left === undefined) {
      const found = await statOrMissing(path)
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
    if (is === 'changed') await nameAgain(aside, path)
    await fs.unlink(aside)
    // Else a power failure could bring the name back, which nobody would delete again.
    await fs.syncFolder(dirname(path))
    return is
  }

  /** Unless the name has a newer file by now: then the one aside would have been overwritten. */
  async function nameAgain(aside: string, path: string): Promise<void> {
    try {
      await fs.link(aside, path)
    } catch (error) {
      if (fileErrorCode(error) !== 'EEXIST') throw error
    }
  }

  /** Whether a file lies elsewhere than its name says, the links to the folder itself apart. */
  async function isBehindLink(folder: string, path: string): Promise<boolean> {
    try {
      const real = folder === root ? await rootWithoutLinks() : await fs.realPath(folder)
      return (await fs.realPath(path)) !== join(real, relative(folder, path))
    } catch (error) {
      if (isAbsent(error)) return false
      throw toMillrace(error)
    }
  }

  async function createMutable(paths: MutablePaths, body: Uint8Array | { readonly file: string }): Promise<Put> {
    if ((await readPointer(paths.folder)) !== undefined) return { is: 'conflict' }
    const pointer: Pointer = { generation: 1, id: newId() }
    const eTag = pointerETag(pointer)
    const prepared = await newTemporary()
    const discard = async (): Promise<void> => {
      await ignored(fs.unlink(join(prepared, pointerName(pointer))))
      await ignored(fs.removeFolder(prepared))
      await ignored(fs.unlink(join(paths.bodies, eTag)))
    }
    try {
      await ensureFolder(paths.bodies)
      await fs.write(join(paths.bodies, eTag), body)
      await fs.syncFolder(paths.bodies)
      await fs.makeFolder(prepared)
      await fs.write(join(prepared, pointerName(pointer)), new Uint8Array())
      await fs.syncFolder(prepared)
    } catch (error) {
      await discard()
      throw toMillrace(error)
    }
    try {
      // Commit point: the prepared folder gets its name, which fails when a folder with a file has it. A crash before
      // leaves a body that no name points at, removed by the next commit.
      await fs.rename(prepared, paths.folder)
    } catch (error) {
      const lost = ['ENOTEMPTY', 'EEXIST', 'ENOTDIR'].includes(fileErrorCode(error) ?? '')
      // Windows answers EPERM for an existing target.
      if (!lost && (fileErrorCode(error) !== 'EPERM' || (await readPointer(paths.folder)) === undefined)) {
        return failedWrite(error)
      }
      await discard()
      return { is: 'conflict' }
    }
    return promised(() => fs.syncFolder(paths.parent), eTag)
  }

  async function replaceMutable(
    paths: MutablePaths,
    body: Uint8Array | { readonly file: string },
    ifMatch: string,
  ): Promise<Put> {
    const current = await readPointer(paths.folder)
    if (current === undefined || pointerETag(current) !== ifMatch) return { is: 'conflict' }
    const next: Pointer = { generation: current.generation + 1, id: newId() }
    const bodyPath = join(paths.bodies, pointerETag(next))
    let others: readonly FolderEntry[]
    try {
      await fs.write(bodyPath, body)
      await fs.syncFolder(paths.bodies)
      others = await fs.list(paths.bodies)
    } catch (error) {
      await ignored(fs.unlink(bodyPath))
      throw toMillrace(error)
    }
    try {
      // Commit point: the old name exists once and can be renamed once. A crash before leaves a body that no name
      // points at, removed by the next commit; a crash after has committed.
      await fs.rename(join(paths.folder, pointerName(current)), join(paths.folder, pointerName(next)))
    } catch (error) {
      if (fileErrorCode(error) !== 'ENOENT') return failedWrite(error)
      await ignored(fs.unlink(bodyPath))
      return { is: 'conflict' }
    }
    const put = await promised(() => fs.syncFolder(paths.folder), pointerETag(next))
    if (put.is !== 'stored') return put
    // Bodies of lower generations can never be named again, because their predecessors' names are gone; so those of
    // crashed writers are removed here too. Rivals for this very generation remove their own.
    for (const { name } of others) {
      const other = parseETag(name)
      if (other !== undefined && other.generation < next.generation) await ignored(fs.unlink(join(paths.bodies, name)))
    }
    return put
  }

  async function deleteMutable(paths: MutablePaths): Promise<void> {
    const grave = await newTemporary()
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

  async function guarded<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work()
    } catch (error) {
      throw toMillrace(error)
    }
  }

  async function newTemporary(): Promise<string> {
    await guarded(() => ensureFolder(join(root, TEMPORARY)))
    return join(root, TEMPORARY, newId())
  }

  async function sweepTemporary(nowNs: bigint): Promise<void> {
    swept = true
    // Age is measured against a file written just now, so this machine's clock is not asked. A live writer whose file is
    // taken all the same gets an error from `link`, never a wrong object.
    for (const entry of (await ignored(fs.list(join(root, TEMPORARY)))) ?? []) {
      const path = join(root, TEMPORARY, entry.name)
      const stat = await ignored(fs.stat(path))
      if (stat === undefined || nowNs - stat.mtimeNs < TEMPORARY_AGE_NS_MAX) continue
      if (stat.kind === 'folder') {
        for (const inner of (await ignored(fs.list(path))) ?? []) await ignored(fs.unlink(join(path, inner.name)))
        await ignored(fs.removeFolder(path))
      } else await ignored(fs.unlink(path))
    }
  }

  async function ensureFolder(folder: string): Promise<void> {
    const first = await fs.makeFolder(folder)
    if (first === undefined) return
    // The names of new folders must be durable before an object in them is promised.
    for (let made = folder; ; made = dirname(made)) {
      await fs.syncFolder(dirname(made))
      if (made === first || dirname(made) === made) return
    }
  }

  /** The write is applied; it is promised only when this flush returns. */
  async function promised(flush: () => Promise<void>, eTag: string): Promise<Put> {
    try {
      await flush()
      return { is: 'stored', eTag }
    } catch (error) {
      return { is: 'unknown', cause: toError(error) }
    }
  }

  /** The call that applies the write failed: whether it was applied is known for some errors only. */
  function failedWrite(error: unknown): Put {
    const refused = ['EACCES', 'EPERM', 'EROFS', 'ENOSPC', 'EDQUOT', 'ENOENT', 'ENOTDIR', 'ENAMETOOLONG']
    if (refused.includes(fileErrorCode(error) ?? '')) throw toMillrace(error)
    return { is: 'unknown', cause: toError(error) }
  }

  // Listing.

  async function* listKeys(
    prefix: string,
    after: string | undefined,
    onLink: (key: string) => void,
  ): AsyncGenerator<ObjectVersion> {
    const start = prefix.slice(0, prefix.lastIndexOf('/') + 1)
    if (start !== '') checkKey(start.slice(0, -1))
    const afterBytes = after === undefined ? undefined : Buffer.from(after)
    if (start !== '') {
      // A prefix may name a symbolic link; what lies outside the root is nobody's input.
      try {
        const target = await fs.realPath(join(root, start))
        if (!isInside(await rootWithoutLinks(), target)) {
          throw configError('prefix', prefix, `a folder inside ${root}, but it leads to ${target}`)
        }
      } catch (error) {
        if (isAbsent(error)) return
        throw toMillrace(error)
      }
    }
    yield* walk(start, [])

    /** @param above folders that this one lies in, where links are followed to folders: one of them would be a circle */
    async function* walk(folder: string, above: readonly string[]): AsyncGenerator<ObjectVersion> {
      const here = links === 'all' ? [...above, await realPathOrMissing(join(root, folder))] : above
      if (here.length > 0 && above.includes(here.at(-1) as string)) return onLink(folder)
      for (const entry of await entriesOf(folder)) {
        const { key } = entry
        if (entry.is === 'folder') {
          if (!key.startsWith(prefix) && !prefix.startsWith(key)) continue
          // Every key in the folder begins with its name, so the whole folder may lie before `after`.
          if (afterBytes && !after?.startsWith(key) && Buffer.compare(entry.order, afterBytes) < 0) continue
          yield* walk(key, here)
          continue
        }
        if (!key.startsWith(prefix)) continue
        if (entry.is === 'link') {
          onLink(key)
          continue
        }
        if (afterBytes && Buffer.compare(entry.order, afterBytes) <= 0) continue
        const version = entry.is === 'mutable' ? await mutableVersion(key) : await fileVersion(key)
        if (version !== undefined) yield version
      }
    }
  }

  interface Listed {
    /** A link is one that is not followed. */
    readonly is: 'file' | 'folder' | 'mutable' | 'link'
    /** A folder's key ends in a slash, and so sorts as its contents do. */
    readonly key: string
    readonly order: Buffer
  }

  /** One folder in UTF-8 byte order: a listing holds one folder a level in memory, not the tree. */
  async function entriesOf(folder: string): Promise<readonly Listed[]> {
    let entries: readonly FolderEntry[]
    try {
      entries = await fs.list(join(root, folder))
    } catch (error) {
      if (isAbsent(error)) return []
      throw toMillrace(error)
    }
    const listed: Listed[] = []
    const add = (is: Listed['is'], key: string): void => {
      listed.push({ is, key, order: Buffer.from(key) })
    }
    for (const { name, kind } of entries) {
      if (name.startsWith(HIDDEN)) continue
      const path = join(root, folder, name)
      if (name.includes('\\')) {
        throw new MillraceError('fatal', 'invalid-key', `${path} has a backslash in its name; rename it.`)
      }
      if (kind === 'file') add('file', folder + name)
      else if (kind === 'link') {
        // A linked file is its target. A linked folder may lead outside the root or in a circle.
        const target = await statOrMissing(path)
        const isFolder = target?.kind === 'folder'
        const key = folder + name + (isFolder ? '/' : '')
        if (target?.kind !== 'file' && !isFolder) continue
        if (links === 'all') add(isFolder ? 'folder' : 'file', key)
        else if (isFolder || (links === 'inside' && !(await leadsInside(path)))) add('link', key)
        else add('file', key)
      } else if (kind === 'folder') {
        const mutable = Object.keys(MUTABLE).find(key => MUTABLE[key] === name)
        if (mutable !== undefined && (await readPointer(path)) !== undefined) add('mutable', folder + mutable)
        else if (!(await isBodies(path, name))) add('folder', `${folder}${name}/`)
      }
    }
    return listed.sort((a, b) => Buffer.compare(a.order, b.order))
  }

  async function leadsInside(path: string): Promise<boolean> {
    const target = await realPathOrMissing(path)
    return isInside(await rootWithoutLinks(), target)
  }

  /** '' where it is gone by now. */
  async function realPathOrMissing(path: string): Promise<string> {
    try {
      return await fs.realPath(path)
    } catch (error) {
      if (isAbsent(error)) return ''
      throw toMillrace(error)
    }
  }

  /** Bodies may lie there without a pointer, when their writer died before the birth. */
  async function isBodies(path: string, name: string): Promise<boolean> {
    if (!name.endsWith(BODIES) || !RESERVED.has(name)) return false
    // Gone since the folder above was read: another process has ended its probe.
    const entries = await fs.list(path).catch((error: unknown) => {
      if (isAbsent(error)) return []
      throw toMillrace(error)
    })
    return entries.every(entry => parseETag(entry.name) !== undefined)
  }

  async function fileVersion(key: string): Promise<ObjectVersion | undefined> {
    const stat = await statOrMissing(pathOf(key))
    if (stat !== undefined) return toVersion(key, eTagOf(stat), stat)
    if (key.includes('\uFFFD')) {
      throw new MillraceError('fatal', 'invalid-key', `A file name under ${root} is not UTF-8 ('${key}'); rename it.`)
    }
    // Deleted since its folder was read.
    return undefined
  }

  async function mutableVersion(key: string): Promise<ObjectVersion | undefined> {
    const paths = mutableOf(key)
    for (let attempt = 0; paths !== undefined && attempt < ATTEMPTS_MAX; attempt++) {
      const pointer = await readPointer(paths.folder)
      if (pointer === undefined) return undefined
      const stat = await statOrMissing(join(paths.bodies, pointerETag(pointer)))
      if (stat !== undefined) return toVersion(key, pointerETag(pointer), stat)
    }
    throw new MillraceError('retry', 'object-changing', `'${key}' in ${address} changes too fast to be listed.`)
  }

  interface MutablePaths {
    readonly parent: string
    readonly folder: string
    readonly bodies: string
  }

  function mutableOf(key: string): MutablePaths | undefined {
    const slash = key.lastIndexOf('/')
    const folder = Object.hasOwn(MUTABLE, key.slice(slash + 1)) ? MUTABLE[key.slice(slash + 1)] : undefined
    if (folder === undefined) return undefined
    const parent = slash < 0 ? root : pathOf(key.slice(0, slash))
    return { parent, folder: join(parent, folder), bodies: join(parent, folder + BODIES) }
  }
}

/** statfs types of network file systems, on which `rename` and `link` may be applied twice or seen late. */
const NETWORK_FILE_SYSTEMS: ReadonlyMap<number, string> = new Map([
  [0x6969, 'NFS'],
  [0x517b, 'SMB'],
  [0xff534d42, 'CIFS'],
  [0xfe534d42, 'SMB2'],
])

/**
 * Refuses a directory for checkpoints or output on a network file system (P7).
 *
 * @throws MillraceError of kind 'user'.
 */
export async function checkFileSystem(root: string, fs: FileSystem = nodeFileSystem): Promise<void> {
  for (let path = root; ; path = dirname(path)) {
    let type: number
    try {
      type = await fs.type(path)
    } catch (error) {
      // The directory may not exist yet: its nearest ancestor tells.
      if (isAbsent(error) && dirname(path) !== path) continue
      throw fileSystemError(error, root)
    }
    // The number is signed on some platforms.
    const name = NETWORK_FILE_SYSTEMS.get(type >>> 0)
    if (name === undefined) return
    throw configError('directory', root, `a local disk: ${path} lies on ${name}, where a rename does not decide races`)
  }
}

function checkKey(key: string): void {
  const valid =
    !key.includes('\\') &&
    !key.includes('\0') &&
    key.split('/').every(s => s !== '' && s !== '.' && s !== '..' && !s.startsWith(HIDDEN))
  if (valid) return
  throw new MillraceError(
    'fatal',
    'invalid-key',
    `'${key}' is not a key of a directory: expected names parted by '/', without '.', '..', '\\', '${HIDDEN}*' or NUL.`,
  )
}

/** What is written must not fall into the folders that stand for mutable keys. */
function checkWritableKey(key: string): void {
  checkKey(key)
  const segments = key.split('/')
  const inside = segments.find((segment, i) => {
    const isMutableKey = i === segments.length - 1 && Object.hasOwn(MUTABLE, segment)
    return RESERVED.has(segment.toLowerCase()) && !isMutableKey
  })
  if (inside === undefined) return
  throw new MillraceError('fatal', 'invalid-key', `'${key}' cannot be written: '${inside}' stands for a mutable key.`)
}

function pointerETag(pointer: Pointer): string {
  return `${pointer.generation}@${pointer.id}`
}

function pointerName(pointer: Pointer): string {
  return `HEAD@${pointerETag(pointer)}`
}

function parsePointer(name: string): Pointer | undefined {
  return name.startsWith('HEAD@') ? parseETag(name.slice(5)) : undefined
}

function parseETag(text: string): Pointer | undefined {
  const match = /^([1-9]\d{0,14})@([A-Za-z0-9-]+)$/.exec(text)
  return match?.[1] && match[2] ? { generation: Number(match[1]), id: match[2] } : undefined
}

function eTagOf(stat: FileStat): string {
  return `${stat.sizeBytes}-${stat.mtimeNs}`
}

function stored({ body, before }: FileRead, eTag: string): StoredBody {
  return { body, eTag, sizeBytes: before.sizeBytes, lastModifiedMs: modifiedMs(before) }
}

function toVersion(key: string, eTag: string, stat: FileStat): ObjectVersion {
  return { bucket: '', key, eTag, sizeBytes: stat.sizeBytes, lastModifiedMs: modifiedMs(stat) }
}

function modifiedMs({ mtimeNs }: FileStat): number {
  return Number(mtimeNs / 1_000_000n)
}

/** Whether a path is the folder or lies below it; both without links. */
function isInside(folder: string, path: string): boolean {
  return path === folder || path.startsWith(folder.endsWith(sep) ? folder : folder + sep)
}

/** A symbolic link that leads to itself leads nowhere, too. */
function isAbsent(error: unknown): boolean {
  return ['ENOENT', 'ENOTDIR', 'ELOOP'].includes(fileErrorCode(error) ?? '')
}

function isUnlinkable(error: unknown): boolean {
  return ['EXDEV', 'EPERM', 'EMLINK', 'ENOTSUP', 'ENOSYS'].includes(fileErrorCode(error) ?? '')
}

async function absentIsFine(call: Promise<void>): Promise<void> {
  try {
    await call
  } catch (error) {
    // A folder is no object, so deleting its name deletes nothing.
    if (!isAbsent(error) && fileErrorCode(error) !== 'EISDIR') throw error
  }
}

/** Tidying up decides nothing: what it leaves is invisible and taken by a later process. */
async function ignored<T>(call: Promise<T>): Promise<T | undefined> {
  try {
    return await call
  } catch {
    return undefined
  }
}

const FULL = ['ENOSPC', 'EDQUOT']
const TRANSIENT = ['EAGAIN', 'EBUSY', 'EIO', 'EMFILE', 'ENFILE', 'ESTALE', 'ETIMEDOUT']

/** @param root of the store: an error of a write to an open file names no path */
function fileSystemError(error: unknown, root: string): Error {
  const code = fileErrorCode(error)
  if (isMillraceError(error) || code === undefined) return toError(error)
  const kind = TRANSIENT.includes(code) ? 'retry' : 'fatal'
  const { message } = toError(error)
  const where = message.includes(root) ? '' : ` (in ${root})`
  const advice = FULL.includes(code)
    ? `nothing of this write counts. Free space in ${root}, or raise its quota, and start again: the run goes on from its last commit.`
    : 'check the disk and its permissions.'
  return new MillraceError(kind, 'file-system', `${message}${where}; ${advice}`, error)
}

function toError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error))
}
