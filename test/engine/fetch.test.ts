import { appendFile, mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { createCsvFormat } from '../../connectors/csv/format.ts'
import { createDirectoryStore } from '../../connectors/directory/store.ts'
import { jsonFormat } from '../../connectors/json/format.ts'
import { systemClock } from '../../src/core/clock.ts'
import type { ObjectVersion, Wanted } from '../../src/core/object-version.ts'
import { MillraceError } from '../../src/core/errors.ts'
import type { GetOptions, ObjectStore } from '../../src/core/ports.ts'
import { openSession, type Session } from '../../src/engine/duckdb/session.ts'
import { createFetch } from '../../src/engine/read/fetch.ts'
import { limited } from '../../src/core/limited.ts'
import type { FetchContext, MarkedObject } from '../../src/engine/read/marked-object.ts'
import type { Format } from '../../src/plan/format.ts'
import type { SourcePolicies, SourceSettings } from '../../src/plan/source-settings.ts'
import { failure } from './harness.ts'

let folder: string
let session: Session
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'millrace-test-'))
  session = await openSession({ threads: 2, memory: '500MB' })
})
afterEach(async () => {
  await session.close()
  await rm(folder, { recursive: true, force: true })
})

const at = (second: number) => new Date(Date.UTC(2024, 0, 1, 0, 0, second)).toISOString()

async function put(objects: Readonly<Record<string, string | Buffer>>): Promise<readonly ObjectVersion[]> {
  for (const [key, body] of Object.entries(objects)) await writeFile(join(folder, key), body)
  const versions: ObjectVersion[] = []
  for await (const version of createDirectoryStore(folder).list('')) versions.push(version)
  return versions
}

async function contextOf(
  format: Format,
  settings: Partial<SourceSettings>,
  policies: Partial<SourcePolicies>,
): Promise<FetchContext> {
  const { signal } = new AbortController()
  return {
    store: createDirectoryStore(folder),
    format,
    settings: {
      name: 'events',
      format: format.name,
      columns: { at: 'TIMESTAMP NOT NULL', n: 'BIGINT' },
      time: 'at',
      ...settings,
    } as SourceSettings,
    policies: {
      onBadRow: 'quarantine',
      onBadObject: 'quarantine',
      onDenied: 'fail',
      overwrite: 'quarantine',
      ...policies,
    },
    executor: await session.executor(signal),
    spool: session.spool,
    clock: systemClock,
    signal,
  }
}

/** What there is to know of objects that were marked, their rows under the numbers 1, 2, ... included. */
async function read(
  versions: readonly ObjectVersion[],
  format: Format,
  settings: Partial<SourceSettings>,
  isTogether: boolean,
  onBadRow: 'quarantine' | 'fail' = 'quarantine',
) {
  const context = await contextOf(format, settings, { onBadRow })
  const { executor } = context
  const fetch = createFetch(context, (_sizeBytes, work) => work())
  const marked: MarkedObject[] = []
  if (isTogether) marked.push(...(await fetch(versions)).marked)
  else for (const version of versions) marked.push(...(await fetch([version])).marked)
  const sources = new Set(marked.flatMap(({ good }) => (good ? [good.source] : [])))
  const rows: unknown[] = []
  for (const source of sources) {
    const parts = marked.flatMap(({ good }, index) =>
      good?.source === source
        ? [{ part: good.part, seq: index + 1, watermarkUs: index % 2 === 0 ? null : BigInt(index) }]
        : [],
    )
    rows.push(...(await executor.rows(source.scan(parts))))
    // Some of the objects alone, as where late rows are looked for.
    for (const part of parts)
      expect((await executor.rows(source.scan([part]))).every(row => row._seq === BigInt(part.seq))).toBe(true)
  }
  const aside: unknown[] = []
  for (const [index, { setAside }] of marked.entries())
    if (setAside) aside.push(...(await executor.rows(`FROM (${setAside(index + 1)}) ORDER BY _row, "column"`)))
  for (const object of marked) await object.release()
  const left = await executor.rows('SELECT table_name FROM duckdb_tables()')
  const order = ({ _seq, _row }: any) => Number(_seq) * 1_000_000 + Number(_row)
  return {
    objects: marked.map(
      ({ version, outcome, reason, rows, quarantinedRows, outsideBounds, highMarkUs, minTimeUs }) => ({
        key: version.key,
        outcome,
        reason,
        rows,
        quarantinedRows,
        outsideBounds,
        highMarkUs,
        minTimeUs,
      }),
    ),
    rows: rows.toSorted((a, b) => order(a) - order(b)),
    aside,
    sources: sources.size,
    left,
  }
}

const line = (second: number, n: unknown) => JSON.stringify({ at: at(second), n })
const json = {
  'a.jsonl': `${line(1, 1)}\n${line(2, 2)}\n`,
  'b.jsonl': `\n${line(9, 3)}\nno json\n\n${line(3, 'x')}\n{"n": 7}\n${line(4, 4)}`,
  'c.jsonl': '',
  'd.jsonl': Buffer.from([0x1f, 0x8b, 1, 2, 3]),
  'e.jsonl': `${line(5, null)}\n{"at": "infinity", "n": 1}\n`,
  "f'.jsonl": `${line(1, 1)}\n`.repeat(3_000),
  'g.jsonl': `${line(20, 5)}\n`,
}

describe('objects that are marked together are marked as each alone', () => {
  test.each([
    ['without bounds', {}],
    ['by key', { bounds: { is: 'key', pattern: '{yyyy}' } }],
    ['by lastModified', { bounds: { is: 'last-modified', skewUs: 1_000_000n } }],
    ['by a quantile', { mark: { quantile: 0.5 } }],
  ] as const)('JSON, high marks %s', async (_, settings) => {
    const versions = await put(json)
    const together = await read(versions, jsonFormat, settings as Partial<SourceSettings>, true)
    const alone = await read(versions, jsonFormat, settings as Partial<SourceSettings>, false)
    expect({ ...together, sources: 0 }).toEqual({ ...alone, sources: 0 })
    expect(together.left).toEqual([])
    // Those before and those after the one that is no text; one with a broken line is read once more, alone.
    expect([together.sources, alone.sources]).toEqual([3, 6])
    expect(together.objects.map(({ rows, quarantinedRows }) => [rows, quarantinedRows])).toEqual([
      [2, 0],
      [5, 3],
      [0, 0],
      [0, 0],
      [2, 1],
      [3_000, 0],
      [1, 0],
    ])
    expect(together.aside).toMatchObject([
      { _seq: 2n, _row: 1n, column: '', found: 'no json' },
      { _seq: 2n, _row: 2n, column: 'n', found: 'x' },
      { _seq: 2n, _row: 3n, column: 'at', found: null },
      { _seq: 5n, _row: 1n, column: 'at' },
    ])
  })

  test('CSV, those of one header', async () => {
    const versions = await put({
      'a.csv': `at,n\n${at(1)},1\n${at(2)},x\n`,
      'b.csv': `at,n\n${at(3)},3\nbroken\n${at(4)},4\n`,
      'c.csv': `n,at\n5,${at(5)}\n`,
      'd.csv': `n\n5\n`,
      'e.csv': `at,n\n${at(6)},6\n`,
    })
    const format = createCsvFormat({ header: true, delimiter: ',', quote: '"', escape: '"', nullText: '' })
    const together = await read(versions, format, {}, true)
    const alone = await read(versions, format, {}, false)
    expect({ ...together, sources: 0 }).toEqual({ ...alone, sources: 0 })
    expect(together.left).toEqual([])
    expect([together.sources, alone.sources]).toEqual([3, 4])
    expect(together.rows).toHaveLength(5)
    expect(together.objects[3]).toMatchObject({ outcome: 'quarantined', reason: /column 'at' is missing/ })
    expect(together.aside).toMatchObject([
      { _seq: 1n, _row: 1n, column: 'n', found: 'x' },
      { _seq: 2n, _row: 1n, column: '', found: 'broken' },
    ])
  })

  test('one that DuckDB cannot read is set aside alone', async () => {
    const versions = await put({ 'a.jsonl': line(1, 1), 'b.jsonl': line(2, 2), 'c.jsonl': line(3, 3) })
    const losing: Format = {
      ...jsonFormat,
      async ready(object) {
        const ready = await jsonFormat.ready(object)
        if (object.key === 'b.jsonl') await rm(object.file)
        return ready
      },
    }
    const together = await read(versions, losing, {}, true)
    expect(together.objects.map(({ outcome }) => outcome)).toEqual(['read', 'quarantined', 'read'])
    expect(together.objects[1]?.reason).toContain('No files found that match the pattern "b.jsonl"')
    expect(together.left).toEqual([])
  })

  test('one that is written to while it is read is set aside, and half a line of it stops nothing', async () => {
    const versions = await put({
      'a.jsonl': `${line(1, 1)}\n`,
      'b.jsonl': `${line(2, 2)}\n`,
      'c.jsonl': `${line(3, 3)}\n`,
    })
    const growing: Format = {
      ...jsonFormat,
      async ready(object) {
        // The spooled file is a hard link.
        if (object.key === 'b.jsonl') await appendFile(join(folder, object.key), '{"at": "2024')
        return jsonFormat.ready(object)
      },
    }
    const { objects, rows, left } = await read(versions, growing, {}, true, 'fail')
    expect(objects.map(({ outcome }) => outcome)).toEqual(['read', 'gone', 'read'])
    expect(objects[1]?.reason).toBe('the file was written to while it was read')
    expect([rows.length, left]).toEqual([2, []])
  })

  test.each(['json=1', 'filename=7', 'broken=x'])('a spill folder %s is no partition', async name => {
    await session.close()
    session = await openSession({ threads: 2, memory: '500MB', spill: join(folder, name) })
    const versions = (await put({ 'a.jsonl': `${line(1, 1)}\n`, 'b.jsonl': `${line(2, 2)}\n` })).filter(
      ({ key }) => !key.includes('/'),
    )
    expect((await read(versions, jsonFormat, {}, true)).rows).toHaveLength(2)
    const tables = await put({ 'a.csv': `at,n\n${at(1)},1\n`, 'b.csv': `at,n\n${at(2)},2\n` })
    const csv = createCsvFormat({ header: true, delimiter: ',', quote: '"', escape: '"', nullText: '' })
    const found = await read(
      tables.filter(({ key }) => /^.\.csv$/.test(key)),
      csv,
      {},
      true,
    )
    expect(found.rows).toHaveLength(2)
  })
})

test('spool files of small objects from a store without links are written over, and nothing of before is read', async () => {
  const { link: _link, ...store } = createDirectoryStore(folder)
  const context = { ...(await contextOf(jsonFormat, {}, {})), store }
  const fetch = createFetch(context, (_sizeBytes, work) => work())
  const body = (round: number, index: number) =>
    Array.from({ length: [0, 3, 1, 2, 5_000][(round + index) % 5] ?? 0 }, (_, row) => `${line(row, round)}\n`).join('')
  for (let round = 0; round < 5; round++) {
    const objects = Array.from({ length: 20 }, (_, index) => [`${round}-${index}.jsonl`, body(round, index)] as const)
    const versions = (await put(Object.fromEntries(objects))).filter(({ key }) => key.startsWith(`${round}-`))
    const { marked } = await fetch(versions)
    for (const [index, { version, good, rows }] of marked.entries()) {
      const lines = body(round, Number(/\d+(?=\.)/.exec(version.key))).split('\n').length - 1
      expect([rows, version.key]).toEqual([lines, versions[index]?.key])
      const part = { part: good?.part ?? 0, seq: 1, watermarkUs: null }
      const read = await context.executor.rows(good?.source.scan([part]) ?? '')
      expect(read.map(({ n }) => n)).toEqual(Array.from({ length: lines }, () => BigInt(round)))
    }
    for (const object of marked) await object.release()
    // Of 20 objects four are empty and four too large.
    expect(await readdir(session.spool)).toHaveLength(12)
  }
})

describe('of several objects that stop the run the first in the order of the ledger is named, whichever fails first', () => {
  const noText = Buffer.from([0x1f, 0x8b, 1, 2, 3])
  test.each([
    ['in one group', { 'a.jsonl': noText, 'b.jsonl': noText }],
    ['a bad row before a bad object', { 'a.jsonl': `${line(1, 'x')}\n`, 'b.jsonl': noText }],
    [
      'a broken line before a value that does not fit',
      { 'a.jsonl': `${line(1, 1)}\nno JSON`, 'b.jsonl': line(1, 'x') },
    ],
    [
      'a value that does not fit before a broken line',
      { 'a.jsonl': line(1, 'x'), 'b.jsonl': `${line(1, 1)}\nno JSON` },
    ],
    [
      'in two groups',
      {
        'a.jsonl': noText,
        ...Object.fromEntries(Array.from({ length: 120 }, (_, i) => [`a${i}.jsonl`, ''])),
        'b.jsonl': noText,
      },
    ],
  ])('%s', async (_, objects) => {
    const versions = await put(objects)
    const context = await contextOf(jsonFormat, {}, { onBadRow: 'fail', onBadObject: 'fail' })
    let lastHasFailed = () => {}
    const failed = new Promise<void>(resolve => (lastHasFailed = resolve))
    let begun = 0
    const fetch = createFetch(context, async (_sizeBytes, work) => {
      const nth = ++begun
      if (nth === 1) await failed
      return work().finally(nth === versions.length ? lastHasFailed : undefined)
    })
    expect((await failure(fetch(versions))).message).toContain("object 'a.jsonl'")
  })
})

test('an object that DuckDB finds broken lines in is read once more, and its files go with it', async () => {
  // Beside a form feed no glance sees that one line has two objects.
  const two = `${line(1, 1)}\n${line(2, 2)}\f${line(3, 3)}\n`
  const versions = await put({
    'a.jsonl': line(1, 1),
    'b.jsonl': two,
    'c.jsonl': `${two}no JSON`,
    'd.jsonl': line(1, 1),
  })
  const neverSeen = { columns: new Set<string>(), asked: [], rows: 0 }
  const context = { ...(await contextOf(jsonFormat, {}, {})), neverSeen }
  const { marked } = await createFetch(context, (_sizeBytes, work) => work())(versions)
  expect(marked.map(({ rows, quarantinedRows }) => [rows, quarantinedRows])).toEqual([
    [1, 0],
    [3, 0],
    [4, 1],
    [1, 0],
  ])
  expect(neverSeen.rows).toBe(9)
  await appendFile(join(folder, 'b.jsonl'), '\n')
  expect(await Promise.all(marked.map(async ({ isChanged }) => isChanged?.()))).toEqual([false, true, false, false])
  for (const object of marked) await object.release()
  expect(await readdir(session.spool)).toEqual([])
  expect(await context.executor.rows('SELECT table_name FROM duckdb_tables()')).toEqual([])
})

test('rows set aside are those of their object, whatever is written to another one meanwhile', async () => {
  const versions = await put({
    'a.jsonl': `${line(1, 1)}\n`,
    'b.jsonl': `${line(1, 1)}\nno JSON\n${line(2, 2)}\n`,
  })
  const context = await contextOf(jsonFormat, {}, {})
  const executor = {
    ...context.executor,
    async rows(sql: string) {
      const rows = await context.executor.rows(sql)
      // The objects are counted here, and read once more for the broken row.
      if (sql.includes('AS part,')) await appendFile(join(folder, 'a.jsonl'), `${line(2, 2)}\n`)
      return rows
    },
  }
  const { marked } = await createFetch({ ...context, executor }, (_sizeBytes, work) => work())(versions)
  const [grown, broken] = marked
  expect(await grown?.isChanged?.()).toBe(true)
  expect(await context.executor.rows(broken?.setAside?.(1) ?? '')).toMatchObject([{ _row: 1n, found: 'no JSON' }])
})

test('half a line is no bad row where the other half comes before it is read again', async () => {
  const versions = await put({ 'a.jsonl': `${line(1, 1)}\n${line(2, 2).slice(0, -1)}` })
  const context = await contextOf(jsonFormat, {}, { onBadRow: 'fail' })
  const executor = {
    ...context.executor,
    async run(sql: string) {
      if (sql.startsWith('CREATE TABLE "spool_0_raw"')) await appendFile(join(folder, 'a.jsonl'), '}\n')
      await context.executor.run(sql)
    },
  }
  const { marked } = await createFetch({ ...context, executor }, (_sizeBytes, work) => work())(versions)
  expect(marked[0]).toMatchObject({ outcome: 'gone', reason: 'the file was written to while it was read' })
})

test('a session ends although files are still being made in its folder', async () => {
  const other = await openSession({ threads: 1 })
  async function make(): Promise<void> {
    for (let file = 0; file < 1_000; file++) await writeFile(join(other.spool, `${file}`), '')
  }
  const making = Promise.allSettled(Array.from({ length: 4 }, make))
  await other.close()
  await making
  await expect(readdir(other.spool)).rejects.toThrow('ENOENT')
})

describe('objects that messages announced', () => {
  /** Objects of so many lines each, in a store without links. */
  async function announced(lines: readonly number[], said: (index: number, sizeBytes: number) => number) {
    const { link: _link, ...store } = createDirectoryStore(folder)
    const versions = await put(
      Object.fromEntries(lines.map((count, index) => [`${index}.jsonl`, `${line(index, index)}\n`.repeat(count)])),
    )
    const context = { ...(await contextOf(jsonFormat, {}, {})), store }
    const wanted = versions.map((version, index) => ({
      ...version,
      sizeBytes: said(index, version.sizeBytes),
      lastModifiedMs: 0,
      isAnnounced: true as const,
    }))
    return { context, versions, wanted }
  }

  test('are recorded by what the store says of them', async () => {
    const { context, versions, wanted } = await announced([3, 0, 5_000], index => [9_000_000, 7, 1][index] ?? 0)
    const { marked, left } = await createFetch(context, (_sizeBytes, work) => work())(wanted)
    expect(left).toEqual([])
    expect(marked.map(({ version }) => version)).toEqual(versions)
    expect(marked.map(({ rows }) => rows)).toEqual([3, 0, 5_000])
    for (const object of marked) await object.release()
    expect(await context.executor.rows('SELECT table_name FROM duckdb_tables()')).toEqual([])
  })

  test('and are not there have no size', async () => {
    const { context, wanted } = await announced([1], () => 500)
    const [first] = wanted as [Wanted]
    const others = [
      { ...first, key: 'none.jsonl' },
      { ...first, eTag: 'other' },
    ]
    const { marked } = await createFetch(context, (_sizeBytes, work) => work())(others)
    expect(marked.map(({ version, reason }) => [version, reason])).toEqual([
      [{ bucket: '', key: 'none.jsonl', eTag: first.eTag, sizeBytes: 0, lastModifiedMs: 0 }, 'the object is gone'],
      [
        { bucket: '', key: '0.jsonl', eTag: 'other', sizeBytes: 0, lastModifiedMs: 0 },
        'the object changed after it was listed',
      ],
    ])
  })

  test.each([1, 4, 16])(
    'and are larger than was said are left for the next mini-batch where they are more than one may hold, %i at once',
    async atOnce => {
      const large = 20_000
      const lines = Array.from({ length: 130 }, (_, index) => (index % 10 === 3 ? large : 1))
      const { context, versions, wanted } = await announced(lines, () => 1)
      const largest = Math.max(...versions.map(({ sizeBytes }) => sizeBytes))
      const bytesMax = 3 * largest
      const fetch = createFetch(context, (_sizeBytes, work) => inTurn(1, work), bytesMax)
      const inTurn = limited(atOnce)
      const seen: ObjectVersion[] = []
      let rounds = 0
      for (let rest: readonly Wanted[] = wanted; rest.length > 0; rounds++) {
        const { marked, left } = await fetch(rest)
        const bytes = marked.reduce((sum, { version }) => sum + version.sizeBytes, 0)
        expect(bytes).toBeLessThanOrEqual(bytesMax)
        expect(marked.length).toBeGreaterThan(0)
        expect([...marked.map(({ version }) => version.key), ...left.map(({ key }) => key)]).toEqual(
          rest.map(({ key }) => key),
        )
        seen.push(...marked.map(({ version }) => version))
        for (const object of marked) await object.release()
        rest = left
      }
      expect(seen).toEqual(versions)
      // Thirteen large ones, three at most in each.
      expect(rounds).toBeGreaterThanOrEqual(5)
      // What was fetched and left lies nowhere: only spares of small objects do.
      const files = await Promise.all((await readdir(session.spool)).map(name => stat(join(session.spool, name))))
      expect(Math.max(...files.map(({ size }) => size))).toBeLessThanOrEqual(64 * 1024)
      expect(await context.executor.rows('SELECT table_name FROM duckdb_tables()')).toEqual([])
    },
  )

  test('one alone is fetched whatever its size', async () => {
    const { context, wanted } = await announced([5_000, 1], () => 1)
    const one = limited(1)
    const { marked, left } = await createFetch(context, (_sizeBytes, work) => one(1, work), 10)(wanted)
    expect([marked.length, marked[0]?.rows, left.map(({ key }) => key)]).toEqual([1, 5_000, ['1.jsonl']])
    for (const object of marked) await object.release()
  })

  test('one whose size is another with each answer is set aside alone', async () => {
    const { context, wanted } = await announced([1, 5_000, 1], () => 1)
    let answers = 0
    const store: ObjectStore = {
      ...context.store,
      async get(key, options) {
        const got = await context.store.get(key, options)
        if (typeof got === 'string' || key !== '1.jsonl') return got
        const sizeBytes = got.sizeBytes + answers++
        const [start, end] = options?.range ?? [0, sizeBytes]
        return { ...got, sizeBytes, body: new Uint8Array(Math.min(end, sizeBytes) - start) }
      },
    }
    const { marked } = await createFetch({ ...context, store }, (_sizeBytes, work) => work())(wanted)
    expect(marked.map(({ outcome }) => outcome)).toEqual(['read', 'quarantined', 'read'])
    expect(marked[1]?.reason).toMatch(/^the store tells another size of it each time, now \d+ bytes$/)
    for (const object of marked) await object.release()
  })

  test('one that no file of this machine can hold is set aside, not the run', async () => {
    const { context, wanted } = await announced([1, 1], () => 1)
    const store: ObjectStore = {
      ...context.store,
      async get(key, options) {
        const got = await context.store.get(key, options)
        if (typeof got === 'string' || key !== '0.jsonl') return got
        const [start, end] = options?.range ?? [0, 0]
        return { ...got, body: new Uint8Array(end - start), sizeBytes: Number.MAX_SAFE_INTEGER }
      },
    }
    const format: Format = { ...jsonFormat, needed: (_tail, size) => ({ is: 'ranges', ranges: [[0, size]] }) }
    const { marked } = await createFetch({ ...context, store, format }, (_sizeBytes, work) => work())(wanted)
    expect(marked.map(({ outcome, reason }) => [outcome, reason])).toEqual([
      ['quarantined', 'no file of the spool may be as large as its 9007199254740991 bytes'],
      ['read', null],
    ])
    for (const object of marked) await object.release()
  })
})

test('a full disk names the object, the folder and what to do', async () => {
  const versions = await put({ 'a.jsonl': `${line(1, 1)}\n` })
  const full = Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC' })
  const format: Format = { ...jsonFormat, ready: () => Promise.reject(full) }
  const context = await contextOf(format, {}, {})
  const error = await failure(createFetch(context, (_sizeBytes, work) => work())(versions))
  expect(error).toMatchObject({ kind: 'fatal', code: 'disk-full' })
  expect(error.message).toContain(`object 'a.jsonl'`)
  expect(error.message).toContain(`the disk of ${session.spool} is full`)
})

describe('an object that the store fails at', () => {
  const away = new MillraceError('retry', 'store-unavailable', 'Reading failed: InternalError (HTTP 500).')

  /** Three objects in a store that fails at some of them as long as this says so. */
  async function failing(fails: (key: string, pauses: readonly number[]) => boolean) {
    const versions = await put({
      'a.jsonl': `${line(1, 1)}\n`,
      'b.jsonl': `${line(2, 2)}\n`,
      'c.jsonl': `${line(3, 3)}\n`,
    })
    const pauses: number[] = []
    const clock = { ...systemClock, sleep: async (ms: number) => void pauses.push(ms) }
    const { link: _link, ...store } = createDirectoryStore(folder)
    const context = {
      ...(await contextOf(jsonFormat, {}, {})),
      clock,
      store: {
        ...store,
        async get(key: string, options?: GetOptions) {
          if (fails(key, pauses)) throw away
          return store.get(key, options)
        },
      },
    }
    const fetch = createFetch(context, (_sizeBytes, work) => one(1, work))
    const one = limited(1)
    const outcomes = async () => {
      const { marked } = await fetch(versions)
      for (const object of marked) await object.release()
      return marked.map(({ outcome, reason }) => (reason === null ? outcome : `${outcome}: ${reason}`))
    }
    return { outcomes, pauses }
  }

  test('while it gives others is given up after half a minute, and sooner the next time; nothing else is', async () => {
    const { outcomes, pauses } = await failing(key => key === 'b.jsonl')
    const gone = 'gone: the store fails at it, and not at others: Reading failed: InternalError (HTTP 500).'
    expect(await outcomes()).toEqual(['read', gone, 'read'])
    expect(pauses).toEqual([1_000, 2_000, 4_000, 8_000, 16_000])
    expect(await outcomes()).toEqual(['read', gone, 'read'])
    expect(pauses).toHaveLength(5)
  })

  test('for a while is read', async () => {
    const { outcomes, pauses } = await failing((key, waited) => key === 'b.jsonl' && waited.length < 3)
    expect(await outcomes()).toEqual(['read', 'read', 'read'])
    expect(pauses).toEqual([1_000, 2_000, 4_000])
  })

  test('because it is away is no object to give up: the run starts again', async () => {
    const { outcomes, pauses } = await failing(() => true)
    await expect(outcomes()).rejects.toBe(away)
    let isAway = false
    const later = await failing(key => {
      isAway ||= key === 'b.jsonl'
      return isAway
    })
    await expect(later.outcomes()).rejects.toBe(away)
    expect([pauses, later.pauses]).toEqual([[], []])
  })
})

test('columns FROM META of an announced object are what the store answers, and of a replayed one what the ledger has (S1)', async () => {
  const { link: _link, ...store } = createDirectoryStore(folder)
  const versions = await put({
    'a.jsonl': `${line(1, 1)}\n`,
    'b.jsonl': `${line(2, 2)}\n`,
    'c.jsonl': `${line(3, 3)}\n`,
  })
  const facts = { object_size: 'meta', object_last_modified: 'meta' } as const
  const columns = { at: 'TIMESTAMP NOT NULL', object_size: 'BIGINT', object_last_modified: 'TIMESTAMP' }
  const context = { ...(await contextOf(jsonFormat, { columns, facts }, {})), store }
  const fetch = createFetch(context, (_sizeBytes, work) => work())
  const read = async (wanted: readonly Wanted[]) => {
    const { marked } = await fetch(wanted)
    const parts = marked.map(({ good }, index) => ({ part: good?.part ?? -1, seq: index, watermarkUs: null }))
    const rows = await context.executor.rows(`FROM (${marked[0]?.good?.source.scan(parts)}) ORDER BY _seq`)
    for (const object of marked) await object.release()
    return {
      recorded: marked.map(({ version }) => version),
      rows: rows.map(row => [Number(row.object_size), Number(row.object_last_modified)]),
    }
  }
  const valuesOf = (all: readonly ObjectVersion[]) =>
    all.map(({ sizeBytes, lastModifiedMs }) => [sizeBytes, Math.trunc(lastModifiedMs)])

  const hints = versions.map(version => ({ ...version, sizeBytes: 1, lastModifiedMs: 0, isAnnounced: true as const }))
  const live = await read(hints)
  expect(live.rows).toEqual(valuesOf(versions))
  expect(live.rows).toEqual(valuesOf(live.recorded))
  // A listing that tells another time of the same version changes nothing of what the ledger has.
  const replayed = await read(versions.map((version, index) => ({ ...version, lastModifiedMs: 1_000 * index })))
  expect(replayed.rows).toEqual(versions.map(({ sizeBytes }, index) => [sizeBytes, 1_000 * index]))
})
