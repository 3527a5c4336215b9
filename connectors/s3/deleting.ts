import { DeleteObjectCommand, DeleteObjectsCommand } from '@aws-sdk/client-s3'
import { about, type Bucket, keyOf, repeated } from './bucket.ts'
import { toMillrace } from './errors.ts'

/** So many S3 takes in one request. */
const keysMax = 1_000

/** Missing keys are no error. */
export async function deleteKeys(bucket: Bucket, keys: readonly string[]): Promise<void> {
  // XML 1.0 has no way to name these.
  const isAlone = (key: string): boolean => /[^\t\n\r\x20-\ud7ff\ue000-\ufffd\u{10000}-\u{10ffff}]/u.test(key)
  const together = keys.filter(key => !isAlone(key))
  for (let i = 0; i < together.length; i += keysMax) await deleteBatch(bucket, together.slice(i, i + keysMax))
  for (const key of keys.filter(isAlone)) await deleteOne(bucket, key)
}

async function deleteOne(bucket: Bucket, key: string): Promise<void> {
  const { client, name: Bucket, payer } = bucket
  await repeated(bucket, about(bucket, 'Deleting', key), undefined, () =>
    client.send(new DeleteObjectCommand({ Bucket, Key: keyOf(bucket, key), ...payer })),
  )
}

async function deleteBatch(bucket: Bucket, keys: readonly string[]): Promise<void> {
  const { client, name: Bucket, prefix, payer } = bucket
  let left = keys
  await repeated(bucket, about(bucket, 'Deleting', left[0] ?? ''), undefined, async () => {
    const Objects = left.map(key => ({ Key: keyOf(bucket, key) }))
    const { Errors = [] } = await client.send(
      new DeleteObjectsCommand({ Bucket, ...payer, Delete: { Quiet: true, Objects } }),
    )
    const failed = Errors.filter(({ Code }) => Code !== 'NoSuchKey')
    const [first] = failed
    if (first === undefined) return
    left = failed.map(({ Key = '' }) => Key.slice(prefix.length))
    const error = Object.assign(new Error(first.Message ?? 'no message'), {
      name: first.Code ?? 'Unknown',
      $metadata: { httpStatusCode: first.Code === 'AccessDenied' ? 403 : 400 },
    })
    const more = failed.length > 1 ? ` and ${failed.length - 1} more` : ''
    throw toMillrace(error, about(bucket, 'Deleting', `${first.Key?.slice(prefix.length)}${more}`))
  })
}
