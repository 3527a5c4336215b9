import { createHash } from 'node:crypto'
import { corrupt } from '../../checkpoints/codec.ts'
import { createObject, nameOf } from '../../checkpoints/objects.ts'
import { retrying } from '../../checkpoints/retry.ts'
import { MillraceError } from '../../src/core/errors.ts'
import type { ObjectStore } from '../../src/core/ports.ts'
import type { SinkContext } from '../../src/plan/sink.ts'
import type { TableMetadata } from './metadata.ts'

/** The files of one table, which metadata name by whole addresses. */
export interface TableFiles {
  readonly store: ObjectStore
  readonly sleep: SinkContext['sleep']
  /** 's3://lake/trips/data/...' */
  addressOf(key: string): string
  /** @throws MillraceError `user` for a file outside of the table's place */
  keyOf(address: string): string
  /** @throws MillraceError `corrupt-object` where it is missing */
  read(address: string): Promise<{ readonly bytes: Uint8Array; readonly at: string }>
  /** Under a name used once. Gives the address. */
  write(key: string, bytes: Uint8Array): Promise<string>
}

export function tableFiles(
  store: ObjectStore,
  { location }: Pick<TableMetadata, 'location'>,
  sleep: SinkContext['sleep'],
): TableFiles {
  const root = location.replace(/\/+$/, '')
  const files: TableFiles = {
    store,
    sleep,
    addressOf: key => `${root}/${key}`,
    keyOf(address) {
      // Hadoop's names of the same places.
      const plain = address.replace(/^s3[an]:/, 's3:')
      const own = root.replace(/^s3[an]:/, 's3:')
      if (plain.startsWith(`${own}/`)) return plain.slice(own.length + 1)
      throw new MillraceError(
        'user',
        'output-unfit',
        `${location}: the table has the file ${address}, which lies elsewhere; expected all files below its location.`,
      )
    },
    async read(address) {
      const key = files.keyOf(address)
      const found = await retrying(sleep, () => store.get(key))
      const at = nameOf(store, key)
      if (typeof found === 'string') throw corrupt(at, 'a file that the table names', 'none')
      return { bytes: found.body, at }
    },
    async write(key, bytes) {
      const content = { bytes: bytes.length, sha256: createHash('sha256').update(bytes).digest('hex') }
      await createObject(store, key, content, () => store.put(key, bytes, 'absent'), sleep)
      return files.addressOf(key)
    },
  }
  return files
}
