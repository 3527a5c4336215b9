import type { ObjectVersion, Wanted } from '../../core/object-version.ts'

/** Room for the objects of one mini-batch. Where there is none for one, there is none for what comes after it. */
export interface Room {
  /** @param object with the size that it is thought to have now */
  takes(object: ObjectVersion): boolean
}

/** @param first of the objects: it is fetched whatever its size */
export function roomFor(bytesMax: number, first: Wanted | undefined): Room {
  const taken = new Map<string, number>()
  let bytes = 0
  return {
    takes({ key, eTag, sizeBytes }) {
      const id = `${key}\n${eTag}`
      bytes += sizeBytes - (taken.get(id) ?? 0)
      taken.set(id, sizeBytes)
      return bytes <= bytesMax || (key === first?.key && eTag === first.eTag)
    },
  }
}
