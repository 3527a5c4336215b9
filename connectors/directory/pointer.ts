import type { Disk } from './disk.ts'
import { orIfAbsent } from './file-errors.ts'

/** Which body a mutable key names now: the one file name `HEAD@<generation>@<id>`. */
export interface Pointer {
  readonly generation: number
  readonly id: string
}

const listingsMax = 20

export async function readPointer({ fs, root }: Disk, folder: string): Promise<Pointer | undefined> {
  // A listing that runs beside a rename may see neither name: the folder is born with one and never loses it.
  for (let attempt = 0; attempt < listingsMax; attempt++) {
    const entries = await orIfAbsent(root, fs.list(folder), undefined)
    if (entries === undefined) return undefined
    // Or it may see both: the higher generation existed when the listing ended.
    const [newest] = newestFirst(entries.map(entry => parsePointer(entry.name)))
    if (newest !== undefined) return newest
  }
  return undefined
}

export function newestFirst(found: readonly (Pointer | undefined)[]): readonly Pointer[] {
  return found.filter(pointer => pointer !== undefined).toSorted((a, b) => b.generation - a.generation)
}

/** The eTag of the mutable key, and the name of its body. */
export function pointerETag(pointer: Pointer): string {
  return `${pointer.generation}@${pointer.id}`
}

export function pointerName(pointer: Pointer): string {
  return `HEAD@${pointerETag(pointer)}`
}

function parsePointer(name: string): Pointer | undefined {
  return name.startsWith('HEAD@') ? parseETag(name.slice(5)) : undefined
}

export function parseETag(text: string): Pointer | undefined {
  const match = /^([1-9]\d{0,14})@([A-Za-z0-9-]+)$/.exec(text)
  return match?.[1] && match[2] ? { generation: Number(match[1]), id: match[2] } : undefined
}
