/** What becomes of objects once they are committed, on real servers: tags, versions, parts, and conditions that are ignored. */
import { randomUUID } from 'node:crypto'
import {
  CreateBucketCommand,
  DeleteObjectCommand,
  GetObjectTaggingCommand,
  HeadObjectCommand,
  ListMultipartUploadsCommand,
  PutBucketVersioningCommand,
  PutObjectCommand,
  PutObjectTaggingCommand,
} from '@aws-sdk/client-s3'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createS3Client } from '../../../connectors/s3/client.ts'
import { createS3Store } from '../../../connectors/s3/store.ts'
import type { ObjectVersion } from '../../../src/core/object-version.ts'
import type { ObjectStore } from '../../../src/core/ports.ts'
import { failure } from '../../engine/harness.ts'
import { serverFor } from '../../servers/for-tests.ts'
import { startMinio } from '../../servers/minio.ts'
import { rawClient, S3_ENVIRONMENT } from './fixtures.ts'

const minio = await serverFor(startMinio)

describe.skipIf(!minio).each(['plain', 'versioned'])('on MinIO, in a bucket that is %s', kind => {
  const endpoint = minio?.endpoint ?? ''
  const client = rawClient(endpoint)
  const Bucket = `deeds-${kind}`
  beforeAll(async () => {
    await client.send(new CreateBucketCommand({ Bucket }))
    const VersioningConfiguration = { Status: 'Enabled' as const }
    if (kind === 'versioned') await client.send(new PutBucketVersioningCommand({ Bucket, VersioningConfiguration }))
  })
  afterAll(() => client.destroy())

  /** @param before is called ahead of each request, by the name of its command */
  async function open(prefix: string, before?: (command: string) => Promise<void>, copyBytes?: number) {
    Object.assign(process.env, S3_ENVIRONMENT)
    const spec = { bucket: Bucket, prefix, endpoint }
    const sdk = await createS3Client(spec, 'test')
    if (before)
      sdk.middlewareStack.add(
        (next, context) => async args => {
          await before(String(context.commandName))
          return next(args)
        },
        { step: 'initialize' },
      )
    return createS3Store(sdk, spec, copyBytes === undefined ? {} : { singlePutBytesMax: copyBytes })
  }

  async function put(prefix: string, key: string, Body: string | Buffer, more: object = {}): Promise<void> {
    await client.send(new PutObjectCommand({ Bucket, Key: prefix + key, Body, ...more }))
  }
  const listed = async (store: ObjectStore, key: string): Promise<ObjectVersion> => {
    for await (const version of store.list(key)) return version
    throw new Error(`no ${key}`)
  }
  const tags = async (Key: string, VersionId?: string) => {
    const { TagSet = [] } = await client.send(
      new GetObjectTaggingCommand({ Bucket, Key, ...(VersionId === undefined ? {} : { VersionId }) }),
    )
    return Object.fromEntries(TagSet.map(tag => [tag.Key, tag.Value]))
  }

  test('tags a version beside its other tags, once, and no other version', async () => {
    const prefix = `${randomUUID()}/`
    await put(prefix, 'a', 'one')
    await client.send(
      new PutObjectTaggingCommand({ Bucket, Key: `${prefix}a`, Tagging: { TagSet: [{ Key: 'team', Value: 'data' }] } }),
    )
    const commands: string[] = []
    const store = await open(prefix, async name => void commands.push(name))
    const version = await listed(store, 'a')
    expect(await store.tag?.(version, 'millrace:p', 'committed')).toBe('tagged')
    expect(await tags(`${prefix}a`)).toEqual({ team: 'data', 'millrace:p': 'committed' })
    expect(await store.tag?.(version, 'millrace:p', 'committed')).toBe('tagged')
    expect(commands.filter(name => name === 'PutObjectTaggingCommand')).toHaveLength(1)
    await put(prefix, 'a', 'two')
    expect(await store.tag?.(version, 'millrace:p', 'other')).toBe('changed')
    expect(await tags(`${prefix}a`)).toEqual({})
    expect(await store.tag?.({ ...version, key: 'b' }, 'millrace:p', 'committed')).toBe('missing')
  })

  test('an object of ten tags is told by name, and keeps them', async () => {
    const prefix = `${randomUUID()}/`
    await put(prefix, 'a', 'one')
    const TagSet = Array.from({ length: 10 }, (_, i) => ({ Key: `k${i}`, Value: 'v' }))
    await client.send(new PutObjectTaggingCommand({ Bucket, Key: `${prefix}a`, Tagging: { TagSet } }))
    const store = await open(prefix)
    const version = await listed(store, 'a')
    const error = await failure(() => store.tag?.(version, 'millrace:p', 'committed'))
    expect(error).toMatchObject({ kind: 'user', code: 'too-many-tags' })
    expect(error.message).toContain(`${prefix}a has 10 tags`)
    expect(Object.keys(await tags(`${prefix}a`))).toHaveLength(10)
  })

  test.each([
    ['in one part', undefined, 6],
    ['in several parts', 5 * 1024 ** 2, 12 * 1024 ** 2],
  ])('takes an object over %s, with what is known of it, and leaves no parts behind', async (_how, copyBytes, size) => {
    const [from, to] = [`${randomUUID()}/`, `${randomUUID()}/`]
    const body = Buffer.alloc(size, 'millrace ')
    await put(from, 'a b', body, {
      ContentType: 'text/x',
      ContentEncoding: 'y',
      Metadata: { z: '1' },
      Tagging: 'team=data',
    })
    const [source, place] = [await open(from), await open(to, undefined, copyBytes)]
    const version = await listed(source, 'a b')
    const taken = await place.take?.(source, version, 'a b')
    if (taken?.is !== 'taken') throw new Error(`not taken but ${taken?.is}`)
    const { eTag, versionId } = taken.version
    expect(versionId === undefined).toBe(kind === 'plain')
    const got = await place.get('a b', { ifMatch: eTag, ...(versionId === undefined ? {} : { versionId }) })
    expect(typeof got !== 'string' && Buffer.compare(got.body, body)).toBe(0)
    const head = await client.send(new HeadObjectCommand({ Bucket, Key: `${to}a b` }))
    expect(head).toMatchObject({ ContentType: 'text/x', ContentEncoding: 'y', Metadata: { z: '1' } })
    expect(await tags(`${to}a b`)).toEqual({ team: 'data' })
    // Again, as after a crash, and with another object at the name: neither is overwritten.
    expect(await place.take?.(source, version, 'a b')).toEqual({ is: 'conflict' })
    await put(from, 'a b', 'another')
    expect(await place.take?.(source, version, 'c')).toEqual({ is: 'changed' })
    const { Uploads = [] } = await client.send(new ListMultipartUploadsCommand({ Bucket, Prefix: to }))
    expect(Uploads).toEqual([])
  })

  test('a source that is overwritten while it is copied is not taken', async () => {
    const [from, to] = [`${randomUUID()}/`, `${randomUUID()}/`]
    await put(from, 'a', 'one')
    const source = await open(from)
    let isWritten = false
    const place = await open(to, async name => {
      if (name !== 'UploadPartCopyCommand' || isWritten) return
      isWritten = true
      await put(from, 'a', 'two')
    })
    const taken = await place.take?.(source, await listed(source, 'a'), 'a')
    // A bucket that keeps versions still has the one that was asked for.
    expect(taken?.is).toBe(kind === 'versioned' ? 'taken' : 'changed')
    const got = await place.get('a')
    expect(typeof got === 'string' ? got : Buffer.from(got.body).toString()).toBe(
      kind === 'versioned' ? 'one' : 'missing',
    )
  })

  test('removes the version that was committed; a bucket that keeps versions keeps it behind a marker', async () => {
    const prefix = `${randomUUID()}/`
    await put(prefix, 'a', 'zero')
    await put(prefix, 'a', 'one')
    const { VersionId } = await client.send(new HeadObjectCommand({ Bucket, Key: `${prefix}a` }))
    const store = await open(prefix)
    const version = await listed(store, 'a')
    expect(await store.remove?.(version)).toBe('removed')
    // Not the version before it, either.
    expect(await store.get('a')).toBe('missing')
    expect(await store.remove?.(version)).toBe('missing')
    if (kind === 'versioned' && VersionId !== undefined)
      expect(await store.get('a', { versionId: VersionId })).toMatchObject({ eTag: version.eTag })
  })

  if (kind === 'versioned')
    test('a version that comes just before the marker is not hidden by it', async () => {
      const prefix = `${randomUUID()}/`
      await put(prefix, 'a', 'one')
      let isWritten = false
      const store = await open(prefix, async name => {
        if (name !== 'DeleteObjectCommand' || isWritten) return
        isWritten = true
        await put(prefix, 'a', 'two')
      })
      expect(await store.remove?.(await listed(store, 'a'))).toBe('changed')
      const got = await store.get('a')
      expect(typeof got !== 'string' && Buffer.from(got.body).toString()).toBe('two')
    })

  test.each([
    ['DeleteObjectCommand', 's3:DeleteObject', 'remove'],
    ['PutObjectTaggingCommand', `s3:PutObject${kind === 'versioned' ? 'Version' : ''}Tagging`, 'tag'],
  ] as const)('what is denied names the object and the action: %s', async (command, action, deed) => {
    const prefix = `${randomUUID()}/`
    await put(prefix, 'a', 'one')
    const store = await open(prefix, async name => {
      if (name !== command) return
      throw Object.assign(new Error('no'), { name: 'AccessDenied', $metadata: { httpStatusCode: 403 } })
    })
    const version = await listed(store, 'a')
    const error = await failure(() => (deed === 'tag' ? store.tag?.(version, 'n', 'v') : store.remove?.(version)))
    expect(error).toMatchObject({ kind: 'user', code: 'access-denied' })
    expect(error.message).toContain(`s3://${Bucket}/${prefix}a`)
    expect(error.message).toContain(`Allow ${action} `)
    expect(await store.get('a')).toMatchObject({ eTag: version.eTag })
    await client.send(new DeleteObjectCommand({ Bucket, Key: `${prefix}a` }))
  })
})
