import { basename, dirname } from 'node:path/posix'
import picomatch from 'picomatch'
import { configError } from '../../src/core/errors.ts'
import type { ObjectStore } from '../../src/core/ports.ts'
import type { OnRequest } from '../../src/core/requests.ts'
import { type Input, matchGlob } from '../input/input.ts'
import { createS3Client } from './client.ts'
import { countRequests } from './counted.ts'
import { addressOf, parseS3Address, toSpec } from './spec.ts'
import { createS3Store } from './store.ts'

/** @throws MillraceError `user` for a malformed address, or where there is no region for it */
export async function openS3(address: string, field: string, onRequest?: OnRequest): Promise<ObjectStore> {
  const spec = toSpec(parseS3Address(address, field))
  const client = await createS3Client(spec, field)
  if (onRequest) countRequests(client, onRequest)
  return createS3Store(client, spec)
}

/**
 * A prefix, one object, or a glob such as `s3://bucket/input/*.parquet`: its root is the prefix before the first
 * wildcard, so a key is the same whichever glob found it. One request tells an object from a prefix.
 */
export async function findS3Input(address: string, field: string, onRequest?: OnRequest): Promise<Input> {
  const parsed = parseS3Address(address, field)
  const { path } = parsed
  const at = (prefix: string): string => addressOf(toSpec({ ...parsed, path: prefix }))
  if (path === '' || path.endsWith('/')) return { root: at(path), matches: () => true }
  const folder = dirname(path) === '.' ? '' : `${dirname(path)}/`
  const found = await (await openS3(at(folder), field, onRequest)).head?.(basename(path))
  if (found !== undefined && found !== 'missing')
    return { root: at(folder), matches: key => key === basename(path), isOne: true }
  const { base, isGlob, glob } = picomatch.scan(path)
  if (!isGlob) return { root: at(path), matches: () => true }
  if (glob === '') throw configError(field, address, 'a glob that names objects, such as s3://bucket/input/*.parquet')
  return { root: at(base), matches: matchGlob(glob) }
}
