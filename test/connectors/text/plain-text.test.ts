import { mkdtemp, readdir, readFile, readlink, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { constants, gzip, type ZstdOptions, zstdCompress } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { passText, plainText } from '../../../connectors/text/plain-text.ts'
import { seededRandom } from '../../../src/testing/index.ts'

let folder: string
let count = 0
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'millrace-text-'))
})
afterAll(() => rm(folder, { recursive: true }))

/** The text of an object, or why it is a bad one. */
async function read(key: string, body: Uint8Array, signal = new AbortController().signal): Promise<string> {
  const file = join(folder, `${count++}`)
  await writeFile(file, body)
  const ready = await plainText(
    { file, changed: `${file}.rows`, key, columns: [], signal },
    { bytes: 20_000_000, times: 200 },
  )
  return ready.is === 'bad' ? `bad: ${ready.reason}` : await readFile(ready.file, 'utf8')
}

async function openFiles(): Promise<readonly string[]> {
  const numbers = await readdir('/proc/self/fd')
  return Promise.all(numbers.map(number => readlink(`/proc/self/fd/${number}`).catch(() => '')))
}

// Does not compress well, so that streams are longer than what is read of a file at once.
const random = seededRandom(7)
const long = Array.from({ length: 200_000 }, () => random().toString(36).slice(2)).join('\n')
const bytes = (text: string) => Buffer.from(text)

// A frame has a checksum only where its writer asks for one, as the command line tool does.
const checkedZstd = (body: Uint8Array) =>
  promisify<Uint8Array, ZstdOptions, Buffer>(zstdCompress)(body, { params: { [constants.ZSTD_c_checksumFlag]: 1 } })

describe.each([
  ['gz', promisify(gzip), 'gzip', 'incorrect header check'],
  ['zst', checkedZstd, 'zstd', 'Unknown frame descriptor'],
] as const)('an object of which the first bytes are those of .%s', (extension, compress, name, noStream) => {
  const key = `a.jsonl.${extension}`
  const parts = async (...texts: readonly string[]) =>
    Buffer.concat(await Promise.all(texts.map(text => compress(bytes(text)))))

  test.each([key, key.toUpperCase(), 'a.jsonl', 'a', 'a.gz', 'a.zst'])('is its text under the name %s', async name => {
    expect(await read(name, await parts(long))).toBe(long)
  })

  test('may be of several members or frames, empty ones between', async () => {
    expect(await read(key, await parts(long, '', '{"a', '":1}', long))).toBe(`${long}{"a":1}${long}`)
  })

  test('may be of several parts where its reader is slow', async () => {
    const file = join(folder, `${count++}`)
    await writeFile(file, await parts(long, long, long))
    const pieces: Buffer[] = []
    const { signal } = new AbortController()
    const reason = await passText({ file, changed: `${file}.rows`, key, columns: [], signal }, async piece => {
      pieces.push(piece)
      // The source reads on meanwhile.
      for (let turn = 0; turn < 100; turn++) await new Promise(setImmediate)
    })
    expect(reason).toBe(undefined)
    expect(Buffer.concat(pieces).equals(bytes(`${long}${long}${long}`))).toBe(true)
  })

  test('loses its byte order mark, which may come in pieces', async () => {
    expect(await read(key, await parts('\uFEFFtext'))).toBe('text')
    const [mark, rest] = [bytes('\uFEFF').subarray(0, 1), Buffer.concat([bytes('\uFEFF').subarray(1), bytes('text')])]
    expect(await read(key, Buffer.concat([await compress(mark), await compress(rest)]))).toBe('text')
  })

  test('is a bad object when it is cut off, in the first or a later part, or empty', async () => {
    const cut = `bad: its ${name} stream is broken: unexpected end of file`
    const whole = await parts(long)
    expect(await read(key, whole.subarray(0, -9))).toBe(cut)
    expect(await read(key, whole.subarray(0, 1000))).toBe(cut)
    expect(await read(key, Buffer.concat([whole, whole.subarray(0, -9)]))).toBe(cut)
    // Its name is all that is left of what it was.
    for (const length of [0, 1]) expect(await read(key, whole.subarray(0, length))).toBe(cut)
    expect(await read('a.jsonl', new Uint8Array())).toBe('')
  })

  test('is a bad object when a byte of it is wrong, or when more follows', async () => {
    const whole = await parts(long)
    const wrong = Buffer.from(whole)
    wrong[wrong.length >> 1] = (wrong[wrong.length >> 1] ?? 0) ^ 0xff
    expect((await read(key, wrong)).slice(0, 40)).toMatch(new RegExp(`^bad: its ${name} stream is broken: `))
    expect(await read(key, Buffer.concat([whole, bytes('more')]))).toBe(
      `bad: its ${name} stream is broken: ${noStream}`,
    )
  })

  test('may be a name only: what begins like text is read as text', async () => {
    for (const text of ['{"a":1}\n', 'a', '\uFEFFa,b\n'])
      expect(await read(key, bytes(text))).toBe(text.replace('\uFEFF', ''))
  })

  test('is a bad object when it expands without bounds', async () => {
    const bomb = await compress(Buffer.alloc(60_000_000))
    expect(await read(key, bomb)).toBe(
      `bad: its ${bomb.length} bytes expand to more than 20000000; cut it into objects of less`,
    )
  })

  test('may expand to 64 MiB, or to 200 times its size', async () => {
    const { signal } = new AbortController()
    const passed = async (mebibytes: number, before = '') => {
      const file = join(folder, `${count++}`)
      await writeFile(file, await compress(Buffer.concat([bytes(before), Buffer.alloc(mebibytes << 20)])))
      let read = 0
      const reason = await passText({ file, changed: `${file}.rows`, key, columns: [], signal }, async piece => {
        read += piece.length
      })
      return { reason, mebibytes: read >> 20 }
    }
    expect(await passed(64)).toEqual({ reason: undefined, mebibytes: 64 })
    // No more of it is read than is allowed.
    expect(await passed(100)).toEqual({ reason: expect.stringMatching(/expand to more than 67108864;/), mebibytes: 64 })
    // More than 400 kB, as a log of 80 MiB has.
    expect(await passed(80, long.slice(0, 900_000))).toEqual({ reason: undefined, mebibytes: 80 })
  })

  test('stops with the run', async () => {
    await expect(read(key, await parts(long), AbortSignal.abort(new Error('stopped')))).rejects.toThrow('stopped')
  })

  test.runIf(process.platform === 'linux')('is closed where its reader fails', async () => {
    const file = join(folder, `${count++}`)
    await writeFile(file, await parts(long))
    const { signal } = new AbortController()
    const passing = passText({ file, changed: `${file}.rows`, key, columns: [], signal }, async () => {
      throw new Error('no space left')
    })
    await expect(passing).rejects.toThrow('no space left')
    await expect.poll(async () => (await openFiles()).includes(file)).toBe(false)
  })
})

describe('an object that is not compressed', () => {
  test.each(['', 'x', '\uFEFF', '\uFEFFtext', long, `\uFEFF${long}`])(
    'is its text without a byte order mark: %#',
    async text => {
      expect(await read('a.jsonl', bytes(text))).toBe(text.replace('\uFEFF', ''))
    },
  )

  test('of UTF-16 is a bad object', async () => {
    expect(await read('a.jsonl', Buffer.from('\uFEFF{}', 'utf16le'))).toBe('bad: it is UTF-16; expected UTF-8')
  })
})

test('zstd of parallel writers, with frames that are to be skipped', async () => {
  const skipped = Buffer.from([0x50, 0x2a, 0x4d, 0x18, 4, 0, 0, 0, 1, 2, 3, 4])
  const frame = await promisify(zstdCompress)(bytes(long))
  for (const name of ['a.zst', 'a'])
    expect(await read(name, Buffer.concat([skipped, frame, skipped, frame]))).toBe(`${long}${long}`)
})
