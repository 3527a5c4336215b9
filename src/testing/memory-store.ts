import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { MillraceError } from '../core/errors.ts'
import type { ObjectStore, Put } from '../core/ports.ts'

interface Entry {
  readonly body: Uint8Array
  readonly eTag: string
  readonly lastModifiedMs: number
}

/**
 * An object store in memory. Any key can be written under a condition, and an eTag is the hash of the content, as in
 * S3: two writes of equal bytes are not told apart. Time is a count of writes.
 */
export function createMemoryStore(address = 'memory:'): ObjectStore {
  const entries = new Map<string, Entry>()
  let writes = 0

  function write(key: string, body: Uint8Array, ifMatch: string): Put {
    const now = entries.get(key)
    if (ifMatch === 'absent' ? now !== undefined : now?.eTag !== ifMatch) return { is: 'conflict' }
    const eTag = createHash('md5').update(body).digest('hex')
    // Copies both ways, so that nobody shares memory with the store.
    entries.set(key, { body: Uint8Array.from(body), eTag, lastModifiedMs: ++writes })
    return { is: 'stored', eTag }
  }

  return {
    address,
    async get(key, options = {}) {
      options.signal?.throwIfAborted()
      const entry = entries.get(key)
      if (entry === undefined) return 'missing'
      if (options.ifMatch !== undefined && options.ifMatch !== entry.eTag) return 'changed'
      const { body, eTag, lastModifiedMs } = entry
      const [start, end] = options.range ?? []
      return { body: body.slice(start, end), eTag, sizeBytes: body.length, lastModifiedMs }
    },
    async put(key, body, ifMatch, signal) {
      signal?.throwIfAborted()
      return write(key, body instanceof Uint8Array ? body : await readFile(body.file), ifMatch)
    },
    async copy(from, to, signal) {
      signal?.throwIfAborted()
      const source = entries.get(from)
      if (source === undefined) {
        throw new MillraceError('fatal', 'missing-object', `'${from}' in ${address} does not exist; cannot copy it.`)
      }
      return write(to, source.body, 'absent')
    },
    async *list(prefix, after) {
      const keys = [...entries.keys()]
        .filter(key => key.startsWith(prefix))
        .map(key => ({ key, order: Buffer.from(key) }))
        .filter(({ order }) => after === undefined || Buffer.compare(order, Buffer.from(after)) > 0)
        .sort((a, b) => Buffer.compare(a.order, b.order))
      for (const { key } of keys) {
        const entry = entries.get(key)
        if (entry === undefined) continue
        const { eTag, lastModifiedMs } = entry
        yield { bucket: '', key, eTag, sizeBytes: entry.body.length, lastModifiedMs }
      }
    },
    async delete(keys) {
      for (const key of keys) entries.delete(key)
    },
    async take(from, version, key, signal) {
      const found = await from.get(version.key, { ifMatch: version.eTag, ...(signal && { signal }) })
      if (typeof found === 'string') return { is: found }
      const put = write(key, found.body, 'absent')
      if (put.is !== 'stored') return { is: 'conflict' }
      const { sizeBytes, lastModifiedMs } = found
      return { is: 'taken', version: { bucket: '', key, eTag: put.eTag, sizeBytes, lastModifiedMs } }
    },
    async remove({ key, eTag }) {
      const now = entries.get(key)
      if (now === undefined) return 'missing'
      if (now.eTag !== eTag) return 'changed'
      entries.delete(key)
      return 'removed'
    },
  }
}
