import { randomUUID } from 'node:crypto'
import { CreateBucketCommand, S3Client } from '@aws-sdk/client-s3'
import { createS3Client } from '../../../connectors/s3/client.ts'
import type { S3Spec } from '../../../connectors/s3/spec.ts'
import { createS3Store, type S3StoreOptions } from '../../../connectors/s3/store.ts'
import type { ObjectStore } from '../../../src/core/ports.ts'
import { S3_CREDENTIALS } from '../../servers/minio.ts'

export const BUCKET = 'millrace-test'

/** What the SDK's default chain finds in a test. */
export const S3_ENVIRONMENT = {
  AWS_ACCESS_KEY_ID: S3_CREDENTIALS.accessKeyId,
  AWS_SECRET_ACCESS_KEY: S3_CREDENTIALS.secretAccessKey,
  AWS_REGION: 'us-east-1',
  // No look at instance metadata, which a test machine does not have.
  AWS_EC2_METADATA_DISABLED: 'true',
}

/** The bare SDK, for what the port does not do. */
export function rawClient(endpoint: string): S3Client {
  return new S3Client({ endpoint, region: 'us-east-1', forcePathStyle: true, credentials: S3_CREDENTIALS })
}

/** Makes the bucket of the tests, once a server. */
export async function makeBucket(endpoint: string): Promise<void> {
  const client = rawClient(endpoint)
  await client.send(new CreateBucketCommand({ Bucket: BUCKET })).catch((error: Error) => {
    if (error.name !== 'BucketAlreadyOwnedByYou') throw error
  })
  client.destroy()
}

/** A store under a prefix of its own. */
export async function newStore(
  endpoint: string,
  options: S3StoreOptions & { readonly spec?: Partial<S3Spec>; readonly idleMsMax?: number } = {},
): Promise<ObjectStore> {
  const { spec: changed, idleMsMax, ...rest } = options
  const spec = { bucket: BUCKET, prefix: `${randomUUID()}/`, endpoint, ...changed }
  Object.assign(process.env, S3_ENVIRONMENT)
  return createS3Store(await createS3Client(spec, 'test', idleMsMax === undefined ? {} : { idleMsMax }), spec, rest)
}
