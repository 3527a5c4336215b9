import type { ObjectStore } from '../src/core/ports.ts'
import { decideCollection } from './decide.ts'
import { checkpoint, garbageKey } from './manifest.ts'
import { parseFilePath } from './paths.ts'
import { isRetryable } from './retry.ts'
import type { Manifest } from './types.ts'

/** Keys of one delete request: the limit of S3. */
const deleteKeysMax = 1000

export interface CollectOptions {
  /** What HEAD holds: the caller is its owner, and no write of HEAD is under way or in doubt. */
  readonly committed: Manifest
  /** By the names in `Garbage.store`. Garbage of a store that is not given waits. */
  readonly stores: ReadonlyMap<string, Pick<ObjectStore, 'delete'>>
  /** What HEAD and the retained manifests need. */
  readonly reachable: ReadonlySet<string>
}

/**
 * Deletes garbage and returns the manifest without it (P12, I7). A crash on the way leaves names in the garbage list
 * whose files are gone, which the next collection deletes once more.
 */
export async function collectGarbage(manifest: Manifest, options: CollectOptions): Promise<Manifest> {
  const due = decideCollection(options.committed, options.reachable, new Set(options.stores.keys()))
  const gone = new Set<string>()
  for (const [name, store] of options.stores) {
    const mine = due.filter(garbage => garbage.store === name)
    for (let i = 0; i < mine.length; i += deleteKeysMax) {
      const batch = mine.slice(i, i + deleteKeysMax)
      try {
        await store.delete(batch.map(garbage => garbage.name))
      } catch (error) {
        // Collection may always wait: what was not deleted stays listed.
        if (isRetryable(error)) continue
        throw error
      }
      for (const garbage of batch) gone.add(garbageKey(garbage))
    }
  }
  if (gone.size === 0) return manifest
  return { ...manifest, garbage: manifest.garbage.filter(garbage => !gone.has(garbageKey(garbage))) }
}

/**
 * Deletes files of lower terms that nothing reaches: what writers left that died or were fenced. A file of this term is
 * never touched, since it may be in flight; one of a lower term can no longer be committed (I3).
 *
 * @returns How many were deleted.
 */
export async function deleteOrphans(store: ObjectStore, term: number, reachable: ReadonlySet<string>): Promise<number> {
  return deleteListed(store, '', key => {
    const name = parseFilePath(key)
    return name !== undefined && name.term < term && !reachable.has(garbageKey({ store: checkpoint, name: key }))
  })
}

export async function deleteListed(
  store: ObjectStore,
  prefix: string,
  isDue: (key: string) => boolean,
): Promise<number> {
  let deleted = 0
  let batch: string[] = []
  const flush = async (): Promise<void> => {
    await store.delete(batch)
    deleted += batch.length
    batch = []
  }
  for await (const { key } of store.list(prefix)) {
    if (isDue(key)) batch.push(key)
    if (batch.length === deleteKeysMax) await flush()
  }
  if (batch.length > 0) await flush()
  return deleted
}
