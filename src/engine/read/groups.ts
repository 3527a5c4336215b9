import type { Wanted } from '../../core/object-version.ts'
import type { MarkedObject } from './marked-object.ts'
import type { SpooledVersion } from './spooled-version.ts'

/** Objects are marked together up to so many, and so many bytes: their rows lie in one table. */
const groupMax = { objects: 100, bytes: 8 * 1024 * 1024 } as const

/** Objects of one source in groups that are fetched together, by the sizes that were said. */
export function* groupsOf<T extends Wanted & { readonly source: string }>(
  objects: readonly T[],
): Generator<readonly T[]> {
  let group: T[] = []
  let bytes = 0
  for (const object of objects) {
    const isFull = group.length === groupMax.objects || bytes + object.sizeBytes > groupMax.bytes
    if (group.length > 0 && (isFull || group[0]?.source !== object.source)) {
      yield group
      group = []
      bytes = 0
    }
    group.push(object)
    bytes += object.sizeBytes
  }
  if (group.length > 0) yield group
}

/**
 * Runs of neighbours of one shape, and between them what cannot be read.
 *
 * @param isShared whether the format reads several at once
 */
export function groupsAlike(
  entries: readonly (SpooledVersion | MarkedObject)[],
  isShared: boolean,
): readonly (readonly SpooledVersion[] | MarkedObject)[] {
  const groups: (SpooledVersion[] | MarkedObject)[] = []
  for (const entry of entries) {
    const last = groups.at(-1)
    if ('is' in entry) groups.push(entry)
    else if (isShared && last && !('is' in last) && isAlike(last[0] as SpooledVersion, entry) && hasRoom(last, entry))
      last.push(entry)
    else groups.push([entry])
  }
  return groups
}

/** The sizes that were said may have been others, so groups are made once more of those that are known. */
function hasRoom(group: readonly SpooledVersion[], { version }: SpooledVersion): boolean {
  const bytes = group.reduce((sum, one) => sum + one.version.sizeBytes, version.sizeBytes)
  return group.length < groupMax.objects && bytes <= groupMax.bytes
}

/** What was read quickly stands by itself, as what is bad in it shows later than in other objects. */
function isAlike(a: SpooledVersion, b: SpooledVersion): boolean {
  return JSON.stringify(a.columns) === JSON.stringify(b.columns) && Boolean(a.again) === Boolean(b.again)
}
