import { copyFile, rm, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { type FileSystem, nodeFileSystem } from '../../connectors/directory/file-system.ts'

export class Killed extends Error {}

/** A file system of one process that can die, stall or lose power between any two calls. */
export interface MortalFileSystem extends FileSystem {
  /** Calls so far that count. */
  readonly calls: number
}

export interface Mortality {
  /** This call and all later ones fail: the process is dead. A killed write leaves half a file. */
  readonly killAt?: number
  /** This call waits; the others go on. */
  readonly stall?: { readonly at: number; readonly until: Promise<void>; readonly onStall: () => void }
  /** These take so long that all the others overtake them. */
  readonly slow?: (name: string, paths: readonly string[]) => boolean
  /** Which calls count, by their first path. Default: all. */
  readonly counts?: (path: string) => boolean
  /** Sees each call that counts, before it is made. */
  readonly onCall?: (nth: number, name: string, paths: readonly string[]) => void
}

/** Longer than an epoch of a small backfill. */
const slowMs = 100

type Call = (...args: unknown[]) => Promise<unknown>

/** Flushes are counted, not done: they matter to power failures only (see `volatile`). */
const unflushed: FileSystem = {
  ...nodeFileSystem,
  syncFolder: async () => {},
  async write(path, body) {
    if (body instanceof Uint8Array) await writeFile(path, body, { flag: 'wx' })
    else await copyFile(body.file, path)
    return nodeFileSystem.stat(path)
  },
}

export function mortal(mortality: Mortality, fs: FileSystem = unflushed): MortalFileSystem {
  const { killAt = Number.POSITIVE_INFINITY, stall, slow, counts = () => true, onCall } = mortality
  let calls = 0
  const wrapped = Object.entries(fs).map(([name, call]) => [
    name,
    async (...args: unknown[]) => {
      const paths = args.map(String)
      const isCounted = counts(paths[0] ?? '')
      if (slow?.(name, paths)) await setTimeout(slowMs)
      if (isCounted) {
        calls++
        onCall?.(calls, name, paths)
      }
      // The call that dies is half done where it can be; what comes after it is not done at all.
      const isLast = calls === killAt && isCounted
      if (isLast && name === 'write' && args[1] instanceof Uint8Array)
        await writeFile(String(args[0]), args[1].subarray(0, args[1].length >> 1))
      if (calls >= killAt) throw new Killed(`killed at call ${killAt}, ${name} ${String(args[0])}`)
      if (isCounted && stall?.at === calls) {
        stall.onStall()
        await stall.until
      }
      return (call as Call)(...args)
    },
  ])
  return Object.defineProperty(Object.fromEntries(wrapped), 'calls', { get: () => calls }) as MortalFileSystem
}

interface Undoable {
  /** Folder whose flush makes it durable, with all that was changed there before it. */
  readonly folder: string
  /** A rename is one change to two folders: the flush of either makes it durable. */
  readonly from?: string
  undo(): Promise<unknown>
}

export interface VolatileFileSystem {
  readonly fs: FileSystem
  /**
   * The power goes: of every folder's changes since its last flush only the first so many stay, by `random`, as POSIX
   * allows.
   */
  lose(random: () => number): Promise<void>
}

/**
 * A file system whose names are durable only after their folder was flushed. Contents are: `write` flushes them by its
 * contract. Its graveyard lies beside what it serves.
 */
export function volatileFileSystem(graveyard: string): VolatileFileSystem {
  let pending: Undoable[] = []
  let graves = 0
  const remember = (path: string, undo: () => Promise<unknown>) => pending.push({ folder: dirname(path), undo })
  const remove = (path: string) => rm(path, { recursive: true, force: true })
  const fs: FileSystem = {
    ...unflushed,
    async write(path, body) {
      const stat = await unflushed.write(path, body)
      remember(path, () => remove(path))
      return stat
    },
    async makeFolder(folder) {
      const first = await unflushed.makeFolder(folder)
      for (let made = folder; first !== undefined; made = dirname(made)) {
        const lost = made
        remember(lost, () => remove(lost))
        if (made === first) break
      }
      return first
    },
    async syncFolder(folder) {
      pending = pending.filter(change => change.folder !== folder && change.from !== folder)
    },
    async link(from, to) {
      await unflushed.link(from, to)
      remember(to, () => remove(to))
    },
    async rename(from, to) {
      await unflushed.rename(from, to)
      pending.push({ folder: dirname(to), from: dirname(from), undo: () => unflushed.rename(to, from) })
    },
    async unlink(path) {
      const grave = join(graveyard, `${++graves}`)
      await unflushed.rename(path, grave)
      remember(path, () => unflushed.rename(grave, path))
    },
    async removeFolder(folder) {
      await unflushed.removeFolder(folder)
      remember(folder, () => unflushed.makeFolder(folder))
    },
  }
  return {
    fs,
    async lose(random) {
      const folders = [...new Set(pending.map(({ folder }) => folder))]
      const kept = new Map(
        folders.map(folder => {
          const changes = pending.filter(change => change.folder === folder).length
          return [folder, Math.floor(random() * (changes + 1))] as const
        }),
      )
      const lost = pending.filter(({ folder }) => {
        const left = kept.get(folder) ?? 0
        kept.set(folder, left - 1)
        return left <= 0
      })
      // A change inside a folder that is lost itself has nothing left to undo.
      for (const { undo } of lost.toReversed()) await undo().catch(() => undefined)
      pending = []
    },
  }
}
