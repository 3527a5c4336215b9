import type { ObjectStore } from '../src/core/ports.ts'
import type { HeadSeen } from './decide.ts'
import { completeHead } from './head.ts'
import { findFileWithoutHead, headLost } from './lost-head.ts'
import { nameOf } from './objects.ts'
import { headKey } from './paths.ts'
import { retrying, type Sleep } from './retry.ts'

/** How the parts of a checkpoint reach it. */
export interface CheckpointIo {
  readonly store: ObjectStore
  readonly newId: () => string
  readonly sleep: Sleep
}

type ReadIo = Omit<CheckpointIo, 'newId'>

export const headNameIn = (store: ObjectStore): string => nameOf(store, headKey)

export function readHead(io: ReadIo): Promise<HeadSeen | undefined> {
  return retrying(io.sleep, () => readHeadOnce(io))
}

async function readHeadOnce({ store, sleep }: ReadIo): Promise<HeadSeen | undefined> {
  for (;;) {
    const found = await store.get(headKey)
    if (typeof found === 'string') return undefined
    try {
      return { head: await completeHead(store, found.body, headNameIn(store), sleep), eTag: found.eTag }
    } catch (error) {
      // The file of its manifest may have been collected since: then another HEAD is there (P12).
      const now = await store.get(headKey)
      if (typeof now !== 'string' && now.eTag === found.eTag) throw error
    }
  }
}

/**
 * @throws MillraceError 'head-lost' where there is none and files tell that there was one: a birth would orphan them.
 */
export async function readHeadUnlessLost(io: ReadIo): Promise<HeadSeen | undefined> {
  const { store, sleep } = io
  const seen = await readHead(io)
  if (seen) return seen
  const file = await retrying(sleep, () => findFileWithoutHead(store, sleep))
  if (file === undefined) return undefined
  // Born meanwhile: the files are those of its first epochs.
  const born = await readHead(io)
  if (born) return born
  throw headLost(store, file)
}
