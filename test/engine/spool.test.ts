import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type DuckDBConnection, DuckDBInstance } from '@duckdb/node-api'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createDirectoryStore } from '../../connectors/directory/store.ts'
import { jsonFormat } from '../../connectors/json/format.ts'
import { parquetFormat } from '../../connectors/parquet/format.ts'
import type { ObjectVersion, Wanted } from '../../src/core/object-version.ts'
import type { GetOptions, ObjectStore } from '../../src/core/ports.ts'
import { type SpoolLimits, spoolObject } from '../../src/engine/read/spool.ts'
import { createMemoryStore, withCounts } from '../../src/testing/index.ts'
import { sharedData } from '../shared-data.ts'
import { name, quoted, runs } from './harness.ts'

let folder: string
let connection: DuckDBConnection
let count = 0
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'millrace-spool-'))
  connection = await (await DuckDBInstance.create(':memory:', { threads: '2' })).connect()
})
afterAll(async () => {
  connection.closeSync()
  await rm(folder, { recursive: true })
})

const { signal } = new AbortController()
/** Small limits, so that small objects have holes. */
const tight: SpoolLimits = { chunkBytes: 1000, wholeBytesMax: 0, tailBytes: 8, gapBytesMax: 0 }

async function only(store: ObjectStore, key: string): Promise<ObjectVersion> {
  for await (const version of store.list('')) if (version.key === key) return version
  throw new Error(`${key} is not in ${store.address}`)
}

async function spool(store: ObjectStore, version: ObjectVersion, columns: readonly string[], limits?: SpoolLimits) {
  const file = join(folder, `${count++}.parquet`)
  const context = { store, format: parquetFormat, signal, columns, ...(limits ? { limits } : {}) }
  return { file, spooled: (await spoolObject(context, version, file)).is }
}

const rows = async (sql: string) => JSON.stringify((await connection.runAndReadAll(sql)).getRowsJson())
const written = async (query: string, options = '') => {
  const file = join(folder, `${count++}.written.parquet`)
  await connection.run(`COPY (${query}) TO ${quoted(file)} (FORMAT parquet${options})`)
  return readFile(file)
}
const stored = async (body: Uint8Array, key = 'a.parquet') => {
  const memory = createMemoryStore()
  await memory.put(key, body, 'absent')
  const store = withCounts(memory)
  return { store, version: await only(store, key) }
}

/** Four wide columns of which one is wanted, about 1 MB each. */
const wide = () => written('SELECT i AS a, hash(i) AS b, hash(i + 1) AS c, hash(i + 2) AS d FROM range(120000) AS r(i)')

describe('a large Parquet object of a remote store', () => {
  test('costs its footer and the chunks of the declared columns: requests and bytes', async () => {
    const { store, version } = await stored(await wide())
    const { file, spooled } = await spool(store, version, ['C'])
    expect(spooled).toBe('copied')
    // One for the end, one for the chunk, which is smaller than 8 MiB.
    expect(store.gets).toHaveLength(2)
    expect(store.gets[0]?.range).toEqual([version.sizeBytes - 65536, version.sizeBytes])
    expect(version.sizeBytes).toBeGreaterThan(3_000_000)
    expect(store.bytes).toBeLessThan(0.4 * version.sizeBytes)
    expect(store.gets.every(({ bytes, range }) => range && bytes === range[1] - range[0])).toBe(true)
    // The file has the object's size, so that offsets hold, and room for what was fetched alone.
    const { size, blocks } = await stat(file)
    expect(size).toBe(version.sizeBytes)
    expect(blocks * 512).toBeLessThan(0.5 * size)
    expect(await rows(`SELECT sum(c) FROM read_parquet(${quoted(file)})`)).toBe(
      await rows('SELECT sum(hash(i + 1)) FROM range(120000) AS r(i)'),
    )
  })

  test('neighbouring ranges are one get, and large ones are cut into chunks', async () => {
    const body = await wide()
    const near = await stored(body)
    await spool(near.store, near.version, ['b', 'c'])
    expect(near.store.gets).toHaveLength(2)
    const far = await stored(body)
    await spool(far.store, far.version, ['a', 'd'])
    expect(far.store.gets.length).toBe(3)
    const cut = await stored(body)
    await spool(cut.store, cut.version, ['b', 'c'], { ...tight, tailBytes: 65536, chunkBytes: 100_000 })
    expect(cut.store.gets.length).toBeGreaterThan(10)
    expect(Math.max(...cut.store.gets.map(({ bytes }) => bytes))).toBe(100_000)
  })

  test('a footer longer than the first get costs one more', async () => {
    const names = Array.from({ length: 1500 }, (_, i) => `i AS column_with_a_long_name_${i}`)
    const { store, version } = await stored(await written(`SELECT ${names.join(', ')} FROM range(500) AS r(i)`))
    const { file } = await spool(store, version, ['column_with_a_long_name_7'])
    expect(store.gets.length).toBe(3)
    expect(await rows(`SELECT sum(column_with_a_long_name_7) FROM read_parquet(${quoted(file)})`)).toBe('[["124750"]]')
  })

  test('a small object, a format that is read whole and an empty object cost what they have', async () => {
    const small = await stored(await written('SELECT 1 AS a, 2 AS b'))
    await spool(small.store, small.version, ['a'])
    expect(small.store.gets).toMatchObject([{ range: [0, small.version.sizeBytes] }])

    const lines = await stored(Buffer.from('{"a":1}\n'.repeat(2_000_000)), 'a.jsonl')
    const file = join(folder, 'lines')
    await spoolObject({ store: lines.store, format: jsonFormat, signal, columns: ['a'] }, lines.version, file)
    expect(lines.store.gets.length).toBe(2)
    expect((await readFile(file)).equals(Buffer.from('{"a":1}\n'.repeat(2_000_000)))).toBe(true)

    const empty = await stored(new Uint8Array())
    expect((await spool(empty.store, empty.version, ['a'])).spooled).toBe('copied')
    expect(empty.store.gets).toEqual([])
  })

  test('a column that it does not have costs the footer alone, and so does what is no Parquet', async () => {
    const absent = await stored(await wide())
    await spool(absent.store, absent.version, ['nowhere'])
    expect(absent.store.gets).toHaveLength(1)
    const other = await stored(new Uint8Array(2_000_000).fill(65))
    await spool(other.store, other.version, ['a'])
    expect(other.store.gets).toHaveLength(1)
  })

  test('every get asks for the version that the ledger has (P1)', async () => {
    const { store, version } = await stored(await wide())
    await spool(store, { ...version, versionId: 'v7' }, ['b'])
    expect(store.gets.map(({ versionId }) => versionId)).toEqual(['v7', 'v7'])
    expect((await spool(store, { ...version, eTag: 'other' }, ['b'])).spooled).toBe('changed')
    expect((await spool(store, { ...version, key: 'b.parquet' }, ['b'])).spooled).toBe('missing')
  })

  test('a server that ignores If-Match and sends another version is found out', async () => {
    const { store, version } = await stored(await wide())
    const careless: ObjectStore = { ...store, get: (key, { range } = {}) => store.get(key, range ? { range } : {}) }
    expect((await spool(careless, { ...version, eTag: 'other' }, ['b'])).spooled).toBe('changed')
  })

  test('an object that changes between two gets is a changed object', async () => {
    const { store, version } = await stored(await wide())
    let calls = 0
    const changing: ObjectStore = {
      ...store,
      get: async (key, options) => (++calls > 1 ? 'changed' : await store.get(key, options)),
    }
    expect((await spool(changing, version, ['b'])).spooled).toBe('changed')
  })
})

describe('an object that a message announced', () => {
  const lines = Buffer.from('{"a":1}\n'.repeat(200_000))
  const announced = async (
    store: ObjectStore,
    key: string,
    sizeBytes: number,
    versionId?: string,
  ): Promise<Wanted> => ({
    ...(await only(store, key)),
    ...(versionId === undefined ? {} : { versionId }),
    sizeBytes,
    lastModifiedMs: 0,
    isAnnounced: true,
  })
  const spoolLines = async (store: ObjectStore, wanted: Wanted) => {
    const file = join(folder, `${count++}.lines`)
    return { file, spooled: await spoolObject({ store, format: jsonFormat, signal, columns: ['a'] }, wanted, file) }
  }

  test.each([0, 1, 100, 65_536])(
    'and is small is read whole in one get, whatever size it is said to have: %i',
    async said => {
      const { store, version } = await stored(Buffer.from('{"a":1}\n'.repeat(100)), 'a.jsonl')
      const { file, spooled } = await spoolLines(store, await announced(store, 'a.jsonl', said))
      expect(spooled).toEqual({ is: 'copied', version })
      expect((await stat(file)).size).toBe(800)
      expect(store.gets).toHaveLength(1)
    },
  )

  test('and is empty is an empty object', async () => {
    const { store, version } = await stored(new Uint8Array(), 'a.jsonl')
    expect((await spoolLines(store, await announced(store, 'a.jsonl', 7))).spooled).toEqual({ is: 'copied', version })
  })

  test.each([1, 65_537, 1_000_000, 1_600_001, 20_000_000, 2 ** 53 - 1])(
    'and is not as large as the %i bytes that it is said to have is told by its true size, and room is made for none',
    async said => {
      for (const [key, body] of [
        ['a.jsonl', lines],
        ['a.parquet', await wide()],
      ] as const) {
        const { store, version } = await stored(body, key)
        const wanted = await announced(store, key, said)
        const file = join(folder, `${count++}.announced`)
        const format = key === 'a.jsonl' ? jsonFormat : parquetFormat
        const spooled = await spoolObject({ store, format, signal, columns: ['a'] }, wanted, file)
        expect(spooled).toEqual({ is: 'other-size', sizeBytes: version.sizeBytes })
        expect(store.gets.length).toBeLessThanOrEqual(4)
        // What was there before the size was known is less than a get of each lane.
        expect((await stat(file).catch(() => ({ size: 0 }))).size).toBeLessThanOrEqual(version.sizeBytes)
        await rm(file, { force: true })
        expect(
          await spoolObject(
            { store, format, signal, columns: ['a'] },
            { ...wanted, sizeBytes: version.sizeBytes },
            file,
          ),
        ).toEqual({
          is: 'copied',
          version,
        })
      }
    },
  )

  test('has the time and the version that the store tells, and no version that it does not', async () => {
    const { store, version } = await stored(lines, 'a.jsonl')
    const versioned: ObjectStore = {
      ...store,
      async get(key, options) {
        const got = await store.get(key, options)
        return typeof got === 'string' ? got : { ...got, versionId: 'v1' }
      },
    }
    const size = lines.length
    for (const [from, said, told] of [
      [versioned, 'v1', 'v1'],
      [versioned, 'v2', undefined],
      [store, 'v1', undefined],
      // That a store keeps versions is no reason to tell this one apart from what a listing shows.
      [versioned, undefined, undefined],
    ] as const)
      expect((await spoolLines(from, await announced(store, 'a.jsonl', size, said))).spooled).toEqual({
        is: 'copied',
        version: { ...version, ...(told === undefined ? {} : { versionId: told }) },
      })
  })

  test('a listing is no more believed about a size than a message', async () => {
    const { store, version } = await stored(lines, 'a.jsonl')
    for (const sizeBytes of [1, 5_000_000, 2 ** 53 - 1])
      expect((await spoolLines(store, { ...version, sizeBytes })).spooled).toEqual({
        is: 'other-size',
        sizeBytes: version.sizeBytes,
      })
  })
})

describe('a body that is shorter than was asked for', () => {
  const short = (store: ObjectStore, isShort: (call: number) => boolean): ObjectStore => {
    let calls = 0
    return {
      ...store,
      async get(key: string, options?: GetOptions) {
        const got = await store.get(key, options)
        return typeof got === 'string' || !isShort(++calls) ? got : { ...got, body: got.body.subarray(0, -1) }
      },
    }
  }

  test('is asked for again', async () => {
    const { store, version } = await stored(await wide())
    const { file, spooled } = await spool(
      short(store, call => call % 3 !== 0),
      version,
      ['b'],
    )
    expect(spooled).toBe('copied')
    expect(store.gets).toHaveLength(6)
    expect(await rows(`SELECT sum(b) FROM read_parquet(${quoted(file)})`)).toBe(
      await rows('SELECT sum(hash(i)) FROM range(120000) AS r(i)'),
    )
  })

  test('never becomes zeros: after three times it is an error that names object, bytes and what to do', async () => {
    const { store, version } = await stored(await wide())
    const work = spool(
      short(store, call => call > 1),
      version,
      ['b'],
    )
    await expect(work).rejects.toMatchObject({ kind: 'retry', code: 'short-body' })
    await expect(work).rejects.toThrow(/object 'a\.parquet' in memory:.*bytes \d+ to \d+ of \d+.*Run again/)
  })
})

describe('a sparse file reads as the whole one', () => {
  const corpus = sharedData('parquet-testing')
  const months = sharedData('tlc')

  /** What DuckDB makes of these columns, with a predicate on the first: the reason where it makes nothing. */
  const read = async (file: string, columns: readonly string[]) => {
    const names = columns.map(name).join(', ')
    const from = `FROM read_parquet(${quoted(file)}, file_row_number = true)`
    try {
      const first = name(columns[0] ?? '')
      return [
        await rows(`SELECT file_row_number, ${names} ${from}`),
        // An equality makes DuckDB look at statistics and Bloom filters.
        await rows(`SELECT count(*) ${from} WHERE CAST(${first} AS VARCHAR) = (SELECT max(${first})::VARCHAR ${from})`),
        await rows(`SELECT count(*) ${from} WHERE ${first} = (SELECT max(${first}) ${from})`),
      ]
    } catch (error) {
      return (error as Error).message.replaceAll(file, 'the file').split('\n')[0]
    }
  }

  async function check(path: string, key: string, limits: SpoolLimits | undefined, pick: (n: number) => boolean) {
    const whole = join(path, key)
    const described = await rows(`DESCRIBE SELECT * FROM read_parquet(${quoted(whole)})`).catch(() => undefined)
    if (described === undefined) return
    const all = (JSON.parse(described) as string[][]).map(row => row[0] as string)
    const columns = all.filter((_, index) => pick(index))
    if (columns.length === 0) columns.push(all[0] as string)
    const store = withCounts(createDirectoryStore(path))
    const { file } = await spool(store, await only(store, key), columns, limits)
    expect(await read(file, columns), `${key}: ${columns.join(', ')}`).toEqual(await read(whole, columns))
    await rm(file)
  }

  test.skipIf(!corpus.isThere)('over every file of the Apache corpus, of any columns', async () => {
    // A string of half a gigabyte is not to be compared as JSON.
    const keys = (await readdir(corpus.path)).filter(key => !key.startsWith('large_string_map'))
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...keys), fc.array(fc.boolean(), { maxLength: 20 }), (key, picked) =>
        check(corpus.path, key, tight, index => picked[index % 20] ?? false),
      ),
      runs(200),
    )
  })

  test.skipIf(!months.isThere)('over the real months of New York’s TLC, of any columns', async () => {
    const keys = (await readdir(months.path)).filter(key => key.startsWith('green'))
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...keys),
        fc.array(fc.boolean(), { minLength: 20, maxLength: 20 }),
        (key, picked) => check(months.path, key, undefined, index => picked[index] ?? false),
      ),
      runs(6),
    )
  })

  test('of files with Bloom filters, dictionaries and many row groups', async () => {
    const body = await written(
      `SELECT i, i % 100 AS k, 'text ' || i % 977 AS v, hash(i) AS h FROM range(60000) AS r(i)`,
      ', ROW_GROUP_SIZE 7000, COMPRESSION zstd',
    )
    for (const columns of [['v'], ['k', 'h'], ['h'], ['i', 'v']]) {
      const { store, version } = await stored(body)
      const { file } = await spool(store, version, columns, { ...tight, chunkBytes: 100_000 })
      const whole = join(folder, 'whole.parquet')
      await writeFile(whole, body)
      expect(await read(file, columns)).toEqual(await read(whole, columns))
      const v = columns.includes('v') ? `v = 'text 13'` : `${columns[0]} = ${columns[0] === 'k' ? 13 : 'hash(13)'}`
      expect(await rows(`SELECT count(*) FROM read_parquet(${quoted(file)}) WHERE ${v}`)).toBe(
        await rows(`SELECT count(*) FROM read_parquet(${quoted(whole)}) WHERE ${v}`),
      )
      expect(store.bytes).toBeLessThan(version.sizeBytes)
    }
  })
})
