import { randomInt, randomUUID } from 'node:crypto'
import type { S3Client } from '@aws-sdk/client-s3'
import { type Clock, systemClock } from '../../src/core/clock.ts'
import type { ObjectStore } from '../../src/core/ports.ts'
import { bucketOf } from './bucket.ts'
import { copyObject, createCopyProbe } from './copying.ts'
import { deleteKeys } from './deleting.ts'
import { listKeys } from './listing.ts'
import { getObject, headObject } from './reading.ts'
import { removeVersion } from './removing.ts'
import { serverOf } from './server.ts'
import type { S3Spec } from './spec.ts'
import { tagVersion } from './tagging.ts'
import { takeObject } from './taking.ts'
import { putObject } from './writing.ts'

export interface S3StoreOptions {
  readonly clock?: Clock
  /** Numbers in [0, 1), to spread retries. */
  readonly random?: () => number
  readonly newId?: () => string
  /** Files above it go in parts. S3 takes 5 GiB in one request. */
  readonly singlePutBytesMax?: number
  /** S3 takes parts from 5 MiB on, and 10,000 of them. */
  readonly partBytes?: number
}

const singlePutBytesMaxDefault = 5 * 1024 ** 3
/** 10,000 parts of it are 640 GiB, far beyond what one epoch writes. */
const partBytesDefault = 64 * 1024 ** 2

/**
 * An object store under one prefix of a bucket. A conditional write is sent once: what the network or an overloaded
 * server leaves open is 'unknown', and the caller reads to find out (P6). Reads, listings and deletes are repeated with
 * full jitter until the body is here whole.
 */
export function createS3Store(client: S3Client, spec: S3Spec, options: S3StoreOptions = {}): ObjectStore {
  const { clock = systemClock, random = () => randomInt(2 ** 32) / 2 ** 32, newId = randomUUID } = options
  const { singlePutBytesMax = singlePutBytesMaxDefault, partBytes = partBytesDefault } = options
  const bucket = { ...bucketOf(client, spec, { clock, random }), singlePutBytesMax, partBytes }
  const honoursCopyCondition = createCopyProbe(bucket, newId)
  return {
    address: bucket.address,
    decider: async () => `${await serverOf(bucket)} s3://${spec.bucket}/${spec.prefix}`,
    get: (key, options = {}) => getObject(bucket, key, options),
    put: (key, body, ifMatch, signal) => putObject(bucket, key, body, ifMatch, signal),
    async copy(from, to, signal) {
      signal?.throwIfAborted()
      return copyObject(bucket, from, to, await honoursCopyCondition(from), signal)
    },
    list: (prefix, after, signal) => listKeys(bucket, prefix, after, signal),
    head: (key, versionId, signal) => headObject(bucket, key, versionId, signal),
    delete: keys => deleteKeys(bucket, keys),
    take: (from, version, key, signal) =>
      takeObject({ ...bucket, honoursCopyCondition, copyBytesMax: singlePutBytesMax }, from, version, key, signal),
    remove: (version, signal) => removeVersion({ ...bucket, isAws: spec.endpoint === undefined }, version, signal),
    tag: (version, name, value, signal) => tagVersion(bucket, version, name, value, signal),
  }
}
