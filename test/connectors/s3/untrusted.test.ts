/** What a server says is believed as far as it can be checked: listings that cannot be, bodies and ranges that do not fit. */
import { afterEach, describe, expect, test } from 'vitest'
import type { ObjectStore } from '../../../src/core/ports.ts'
import {
  listingXml,
  type ScriptedAnswer,
  type ScriptedRequest,
  type ScriptedS3,
  startScriptedS3,
} from '../../servers/scripted-s3.ts'
import { newStore } from './fixtures.ts'

let server: ScriptedS3 | undefined
afterEach(async () => {
  await server?.close()
  server = undefined
})

async function storeOf(answer: (request: ScriptedRequest) => ScriptedAnswer): Promise<ObjectStore> {
  server = await startScriptedS3(answer)
  const clock = { startedAtMs: 0, nowMs: () => 0, sleep: async () => {} }
  return newStore(server.endpoint, { spec: { prefix: 'in/' }, clock })
}

async function listed(store: ObjectStore, prefix = ''): Promise<readonly unknown[]> {
  const found: unknown[] = []
  for await (const { key, sizeBytes } of store.list(prefix)) found.push([key, sizeBytes])
  return found
}

describe('a listing', () => {
  test('is taken as it is where it can be', async () => {
    const store = await storeOf(() => ({
      body: listingXml([
        { Key: 'in/', Size: 0 },
        { Key: 'in/a', Size: 5 },
        { Key: 'in/b', Size: 2 ** 53 - 1 },
      ]),
    }))
    expect(await listed(store)).toEqual([
      ['a', 5],
      ['b', 2 ** 53 - 1],
    ])
  })

  test.each<[string, Parameters<typeof listingXml>, RegExp]>([
    ['a key outside of the root', [[{ Key: 'out/a' }]], /lists 'out\/a', which does not begin with 'in\/'/],
    ['a key before the root', [[{ Key: 'i' }]], /lists 'i', which does not begin/],
    ['no key', [[{ Size: 5 }]], /lists '', which does not begin/],
    ['a size below zero', [[{ Key: 'in/a', Size: -5 }]], /lists 'a' with a size of -5 bytes/],
    ['a size past exact numbers', [[{ Key: 'in/a', Size: '9007199254740993' }]], /size of 9007199254740992 bytes/],
    [
      'a key that is no UTF-8',
      [[{ Key: 'in/%E9' }], { EncodingType: 'url' }],
      /lists 'in\/%E9', which is not percent-encoded/,
    ],
    ['half a character', [[{ Key: 'in/&#xD83D;' }]], /which is no Unicode/],
    ['more without telling where', [[{ Key: 'in/a' }], { IsTruncated: 'true' }], /and not how to go on/],
    [
      'the same page for ever',
      [[], { IsTruncated: 'true', NextContinuationToken: 'again' }],
      /and once more how to go on/,
    ],
  ])('that shows %s is not taken, and may be better the next time', async (_, page, message) => {
    const store = await storeOf(() => ({ body: listingXml(...page) }))
    await expect(listed(store)).rejects.toMatchObject({
      kind: 'retry',
      code: 'impossible-listing',
      message: expect.stringMatching(message) as string,
    })
  })

  test('of a prefix shows nothing outside of it', async () => {
    const store = await storeOf(() => ({ body: listingXml([{ Key: 'in/b/a' }]) }))
    await expect(listed(store, 'a/')).rejects.toThrow(/lists 'in\/b\/a', which does not begin with 'in\/a\/'/)
  })
})

describe('a body', () => {
  const eTag = { etag: '"e"', 'last-modified': 'Mon, 01 Jan 2024 00:00:00 GMT' }
  const part = (range: string, body: string): ScriptedAnswer => ({
    status: 206,
    headers: { ...eTag, 'content-range': range },
    body,
  })

  test('tells the size of the whole object, whatever range was asked for', async () => {
    const store = await storeOf(() => part('bytes 2-4/1000', 'abc'))
    expect(await store.get('a', { range: [2, 5] })).toMatchObject({ sizeBytes: 1000, lastModifiedMs: 1704067200000 })
  })

  test('is cut to the range where the server ignores ranges, and no more is held', async () => {
    const store = await storeOf(() => ({ headers: eTag, body: '0123456789' }))
    const found = await store.get('a', { range: [2, 5] })
    if (typeof found === 'string') throw new Error(found)
    expect([Buffer.from(found.body).toString(), found.sizeBytes]).toEqual(['234', 10])
  })

  test.each<[string, ScriptedAnswer, RegExp]>([
    ['another range', part('bytes 0-2/1000', 'abc'), /'bytes 0-2\/1000' came for bytes 2-4/],
    ['a longer range', part('bytes 2-999/1000', 'a'.repeat(998)), /'bytes 2-999\/1000' came for bytes 2-4/],
    ['a range of an unknown whole', part('bytes 2-4/*', 'abc'), /'bytes 2-4\/\*' came/],
    ['a range past the whole', part('bytes 2-4/4', 'abc'), /'bytes 2-4\/4' came/],
    ['a whole past exact numbers', part(`bytes 2-4/${'9'.repeat(40)}`, 'abc'), /came for bytes 2-4/],
    ['words for a range', part('all of it', 'abc'), /'all of it' came/],
    ['less than its range', part('bytes 2-4/1000', 'ab'), /2 bytes came where 3 were announced/],
    ['more than its range', part('bytes 2-4/1000', 'abcd'), /4 bytes came where 3 were announced/],
  ])('of %s is asked for again, and not taken', async (_, answer, message) => {
    const store = await storeOf(() => answer)
    await expect(store.get('a', { range: [2, 5] })).rejects.toMatchObject({
      kind: 'retry',
      code: 'short-body',
      message: expect.stringMatching(message) as string,
    })
    expect(server?.requests).toHaveLength(6)
  })

  test.each([
    ['for a range', { status: 206, headers: { ...eTag, 'content-range': 'bytes 0-9/1000' }, isEndless: true }],
    ['where ranges are ignored', { headers: eTag, isEndless: true }],
  ])('without an end, %s, is not held', async (_, answer) => {
    const store = await storeOf(() => answer)
    await expect(store.get('a', { range: [0, 10] })).rejects.toMatchObject({ code: 'short-body' })
    expect(server?.endlessBytes).toBeLessThan(64 * 1024 * 1024)
  })

  test('under another eTag than was asked for is a change, and is not read', async () => {
    const store = await storeOf(() => ({ headers: eTag, isEndless: true }))
    expect(await store.get('a', { ifMatch: 'other', range: [0, 10] })).toBe('changed')
  })
})

test('reasons of a server are cut to what a person reads', async () => {
  const body = `<Error><Code>Odd</Code><Message>${'x'.repeat(1_000_000)}</Message></Error>`
  const store = await storeOf(() => ({ status: 400, body }))
  const error = await store.get('a').catch((thrown: unknown) => thrown as Error)
  expect((error as Error).message.length).toBeLessThan(3_000)
})

test('a key that no store of S3 can have is refused as the object, also where it is read', async () => {
  const store = await storeOf(() => ({ status: 500 }))
  const key = 'é'.repeat(600)
  await expect(store.get(key)).rejects.toMatchObject({ code: 'object-refused' })
  await expect(store.head?.(key)).rejects.toMatchObject({ code: 'object-refused' })
  expect(server?.requests).toHaveLength(0)
})
