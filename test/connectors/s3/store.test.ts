import { randomUUID } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { HeadObjectCommand, ListMultipartUploadsCommand, PutBucketVersioningCommand } from '@aws-sdk/client-s3'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { probeStore } from '../../../checkpoints/probe.ts'
import type { ObjectVersion } from '../../../src/core/object-version.ts'
import type { ObjectStore } from '../../../src/core/ports.ts'
import { describeObjectStore } from '../../contracts/object-store.ts'
import { serverFor } from '../../servers/for-tests.ts'
import { startMinio } from '../../servers/minio.ts'
import { startMinistack } from '../../servers/ministack.ts'
import { startVersitygw } from '../../servers/versitygw.ts'
import { BUCKET, makeBucket, newStore, rawClient } from './fixtures.ts'

const servers = [
  ['MinIO', startMinio],
  ['versitygw', startVersitygw],
  ['MiniStack', startMinistack],
] as const

const versionsOf = async (store: ObjectStore, prefix = '', after?: string): Promise<readonly ObjectVersion[]> => {
  const found: ObjectVersion[] = []
  for await (const version of store.list(prefix, after)) found.push(version)
  return found
}

for (const [name, start] of servers) {
  const server = await serverFor(start)
  if (!server) continue
  const { endpoint } = server
  await makeBucket(endpoint)
  describeObjectStore(`s3:// on ${name}`, { create: () => newStore(endpoint), isWriteOnce: false })

  describe(`s3:// on ${name}`, () => {
    let folder: string
    const client = rawClient(endpoint)
    beforeAll(async () => {
      folder = await mkdtemp(join(tmpdir(), 'millrace-s3-'))
    })
    afterAll(async () => {
      client.destroy()
      await rm(folder, { recursive: true })
    })

    test('passes the probe (P4), which leaves nothing behind', async () => {
      const store = await newStore(endpoint)
      await probeStore({ store, newId: randomUUID })
      expect(await versionsOf(store)).toEqual([])
    })

    test('lists, reads and deletes more keys than one page or one delete takes', { timeout: 120_000 }, async () => {
      const store = await newStore(endpoint)
      const keys = Array.from(
        { length: name === 'MinIO' ? 3_001 : 1_101 },
        (_, i) => `page/${String(i).padStart(5, '0')} +é.parquet`,
      )
      for (let i = 0; i < keys.length; i += 100)
        await Promise.all(keys.slice(i, i + 100).map(key => store.put(key, Buffer.from(key), 'absent')))
      const found = await versionsOf(store)
      expect(found.map(({ key }) => key)).toEqual(keys)
      expect(found[0]).toMatchObject({ bucket: BUCKET, sizeBytes: Buffer.byteLength(keys[0] ?? '') })
      expect((await versionsOf(store, 'page/', keys[1_050])).map(({ key }) => key)).toEqual(keys.slice(1_051))
      await store.delete([...keys, 'page/never there'])
      expect(await versionsOf(store)).toEqual([])
    })

    test('lists keys with every character by their name, and refuses a listing that hides one', async () => {
      const plain = [
        '%',
        '%zz%20+',
        'a\tb\nc\rd',
        'a\u007f\u0085\u2028',
        'a\ufffdb',
        'a\\b',
        '𐏿😀',
        ' ',
        '"<&#1;>\'',
      ].toSorted((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)))
      const store = await newStore(endpoint)
      for (const key of plain) await store.put(key, Buffer.from(key), 'absent')
      expect((await versionsOf(store)).map(({ key }) => key)).toEqual(plain)
      // XML 1.0 has no way to write these: a server encodes them, or puts another character in their place.
      for (const key of ['a\u0001b', 'a\bb', 'a\u000bb', 'a\ufffeb', 'a\uffffb']) {
        const hiding = await newStore(endpoint)
        for (const each of ['a b', key]) await hiding.put(each, Buffer.from(each), 'absent')
        const listed = versionsOf(hiding)
        if (name === 'versitygw')
          await expect(listed).rejects.toMatchObject({
            kind: 'user',
            code: 'key-not-listed',
            message: expect.stringContaining("lists 'a\ufffdb', which is not there"),
          })
        else expect((await listed).map(each => each.key)).toEqual(key < 'a b' ? [key, 'a b'] : ['a b', key])
        expect(await hiding.get(key)).toMatchObject({ body: Buffer.from(key) })
      }
    })

    test('tells of one object what the listing tells (P1)', async () => {
      const store = await newStore(endpoint)
      await store.put('a b+c/é.bin', Buffer.from('12345'), 'absent')
      const [listed] = await versionsOf(store)
      const looked = await store.head?.('a b+c/é.bin')
      expect(looked).toMatchObject({ bucket: BUCKET, key: 'a b+c/é.bin', eTag: listed?.eTag, sizeBytes: 5 })
      expect(await store.head?.('nothing')).toBe('missing')
    })

    test('stores a file above the limit of one request in parts, under the same condition', async () => {
      const partBytes = 5 * 1024 ** 2
      const store = await newStore(endpoint, { singlePutBytesMax: partBytes, partBytes })
      const [file, other] = [join(folder, 'large'), join(folder, 'other')]
      const body = Buffer.alloc(2 * partBytes + 7, 'abcdefghijk')
      await writeFile(file, body)
      await writeFile(other, Buffer.alloc(2 * partBytes, 'z'))
      const put = await store.put('parts', { file }, 'absent')
      expect(put).toMatchObject({ is: 'stored' })
      const found = await store.get('parts')
      expect(typeof found === 'string' ? found : Buffer.compare(found.body, body)).toBe(0)
      expect(typeof found === 'string' ? found : found.eTag).toBe(put.is === 'stored' ? put.eTag : '')
      expect(await store.put('parts', { file: other }, 'absent')).toEqual({ is: 'conflict' })
      expect(await store.head?.('parts')).toMatchObject({ sizeBytes: body.length })
      const { Uploads = [] } = await client.send(new ListMultipartUploadsCommand({ Bucket: BUCKET }))
      expect(Uploads).toEqual([])
    })

    // versitygw keeps versions only in a folder that it is given.
    if (name !== 'versitygw')
      test('reads a version by its id, also after another one has the key', async () => {
        const store = await newStore(endpoint)
        await client.send(
          new PutBucketVersioningCommand({ Bucket: BUCKET, VersioningConfiguration: { Status: 'Enabled' } }),
        )
        const first = await store.put('x', Buffer.from('one'), 'absent')
        const eTag = first.is === 'stored' ? first.eTag : ''
        const version = await store.head?.('x')
        const versionId = typeof version === 'object' ? version.versionId : undefined
        expect(versionId).toBeTruthy()
        await store.put('x', Buffer.from('two!'), eTag)
        const old = await store.get('x', { versionId: versionId ?? '', ifMatch: eTag, range: [1, 3] })
        expect(typeof old === 'string' ? old : Buffer.from(old.body).toString()).toBe('ne')
        expect(await store.get('x', { ifMatch: eTag })).toBe('changed')
        expect(await store.head?.('x', versionId)).toMatchObject({ eTag, sizeBytes: 3, versionId })
        await store.delete(['x'])
        expect(await store.get('x')).toBe('missing')
        expect(await store.get('x', { versionId: versionId ?? '' })).toMatchObject({ eTag })
        expect(await store.get('x', { versionId: '11111111-1111-1111-1111-111111111111' })).toBe('missing')
        await client.send(
          new PutBucketVersioningCommand({ Bucket: BUCKET, VersioningConfiguration: { Status: 'Suspended' } }),
        )
      })

    test('names bucket and key of what it is not let do', async () => {
      const nowhere = await newStore(endpoint, { spec: { bucket: 'no-such-bucket', prefix: 'p/' } })
      for (const call of [
        () => nowhere.get('x'),
        () => versionsOf(nowhere),
        () => nowhere.put('x', Buffer.from(''), 'absent'),
      ])
        await expect(call()).rejects.toMatchObject({
          kind: 'user',
          code: 'no-bucket',
          message: expect.stringContaining('s3://no-such-bucket/p/'),
        })
      const store = await newStore(endpoint)
      await expect(store.put('k'.repeat(1_500), Buffer.from(''), 'absent')).rejects.toMatchObject({
        message: expect.stringContaining(`s3://${BUCKET}/`),
      })
    })

    if (name === 'MinIO')
      test('sends a checksum that the server keeps', async () => {
        const store = await newStore(endpoint, { spec: { prefix: 'sums/' } })
        const file = join(folder, 'sum')
        await writeFile(file, 'checked')
        await store.put('x', Buffer.from('checked'), 'absent')
        await store.put('y', { file }, 'absent')
        // CRC-32 of the text by another program: python3 -c 'import zlib, base64; ...'.
        for (const Key of ['sums/x', 'sums/y'])
          expect(
            await client.send(new HeadObjectCommand({ Bucket: BUCKET, Key, ChecksumMode: 'ENABLED' })),
          ).toMatchObject({
            ChecksumCRC32: 'rQO6gw==',
          })
      })
  })
}
