import type { ListingWatch } from '../../src/core/ports.ts'
import { statOrMissing } from './disk.ts'
import { type ListedDisk, listKeys } from './list-keys.ts'

/** A folder as it was before a listing read it. */
interface Noted {
  readonly mtimeNs: bigint
  /** When it was first seen with this time, in ms of the monotonic clock. */
  readonly sinceMs: number
  /** When the last listing saw it so. */
  readonly atMs: number
}

/** What happens within one step of a file system's clock has one time: FAT counts in steps of two seconds. */
const clockStepMs = 2_000
/** Folders that are looked at together. */
const statsMax = 32

/**
 * A file that comes, goes or gets another name moves the time of its folder. So as long as the folders have the times
 * that they had before the last listing read them, it holds; a look costs a call for each folder, where a listing costs
 * one for each file.
 */
export function watchFolders(disk: ListedDisk, nowMs: () => number): ListingWatch {
  let folders: ReadonlyMap<string, Noted> = new Map()
  /** The last listing came to its end. */
  let isWhole = false

  async function* list(_signal?: AbortSignal, onLink?: (key: string) => void) {
    const found = new Map<string, Noted>()
    isWhole = false
    const onFolder = async (path: string): Promise<void> => {
      const stat = await statOrMissing(disk, path)
      if (stat === undefined) return
      const { mtimeNs } = stat
      const atMs = nowMs()
      const before = folders.get(path)
      found.set(path, { mtimeNs, sinceMs: before?.mtimeNs === mtimeNs ? before.sinceMs : atMs, atMs })
    }
    yield* listKeys(disk, '', undefined, { onFolder, ...(onLink && { onLink }) })
    folders = found
    isWhole = true
  }

  async function isAsNoted([path, { mtimeNs }]: readonly [string, Noted]): Promise<boolean> {
    return (await statOrMissing(disk, path))?.mtimeNs === mtimeNs
  }

  return {
    list,
    async isUnchanged() {
      const noted = [...folders]
      // A file may have come after the folder was read, and within the same step of the clock.
      if (!isWhole || noted.some(([, { sinceMs, atMs }]) => atMs - sinceMs < clockStepMs)) return false
      for (let at = 0; at < noted.length; at += statsMax) {
        const same = await Promise.all(noted.slice(at, at + statsMax).map(isAsNoted))
        if (same.includes(false)) return false
      }
      return noted.length > 0
    },
  }
}
