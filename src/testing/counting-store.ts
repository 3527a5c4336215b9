import type { ObjectStore } from '../core/ports.ts'

export interface CountedGet {
  readonly key: string
  /** As asked for; undefined: the whole object. */
  readonly range: readonly [start: number, end: number] | undefined
  readonly versionId: string | undefined
  /** As answered. */
  readonly bytes: number
}

export interface CountingStore extends ObjectStore {
  /** Every get so far, in the order of the answers. */
  readonly gets: readonly CountedGet[]
  /** Bytes of all answers. */
  readonly bytes: number
}

/**
 * Counts what reading costs: requests and bytes. Links are not passed on, so a directory is read as a remote store is.
 */
export function withCounts(store: ObjectStore): CountingStore {
  const gets: CountedGet[] = []
  return {
    address: store.address,
    gets,
    get bytes() {
      return gets.reduce((sum, { bytes }) => sum + bytes, 0)
    },
    async get(key, options) {
      const got = await store.get(key, options)
      const bytes = typeof got === 'string' ? 0 : got.body.length
      gets.push({ key, range: options?.range, versionId: options?.versionId, bytes })
      return got
    },
    put: (key, body, ifMatch, signal) => store.put(key, body, ifMatch, signal),
    copy: (from, to, signal) => store.copy(from, to, signal),
    list: (...args) => store.list(...args),
    ...(store.head ? { head: store.head.bind(store) } : {}),
    delete: keys => store.delete(keys),
  }
}
