import { cp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { encodeManifest } from '../../checkpoints/codec.ts'
import { headBytesMax } from '../../checkpoints/decide.ts'
import { headKey } from '../../checkpoints/paths.ts'
import { createDirectoryStore } from '../../connectors/directory/store.ts'
import { type Clock, systemClock } from '../../src/core/clock.ts'
import { backfillWith } from '../../src/engine/backfill.ts'
import { components } from '../../src/engine/components.ts'
import { followWith } from '../../src/engine/follow.ts'
import { repair } from '../../src/engine/repair.ts'
import type { RunEvent } from '../../src/engine/report/events.ts'
import type { Running } from '../../src/engine/report/running.ts'
import {
  aggregate,
  type BackfillOptions,
  count,
  derive,
  files,
  type FilesOptions,
  groupBy,
  inspect,
  json,
  type Pipeline,
  pipeline,
  query,
  source,
  sum,
  to,
  tumbling,
  verify,
} from '../../src/index.ts'
import { failure, type Lab, openLab, outputFiles, type Place, run } from './harness.ts'

let lab: Lab
beforeEach(async () => {
  lab = await openLab()
})
afterEach(() => lab[Symbol.asyncDispose]())

const columns = {
  t: 'TIMESTAMP NOT NULL',
  zone: 'VARCHAR',
  n: 'BIGINT',
  x: 'DOUBLE',
  price: 'DECIMAL(18,2)',
  tags: 'VARCHAR[]',
} as const
type Head = ReturnType<typeof head>
const head = (more: { readonly after?: 'delete'; readonly miniBatch?: { readonly every: '10ms' } } = {}) =>
  source('in', { objects: lab.input, format: json(), columns, time: 't', watermark: { delay: '0s' }, ...more })
/** The rows as they are. */
const passing = (options: FilesOptions, at: Place = lab, from: Head = head()) =>
  pipeline('passing', { checkpoint: at.checkpoint }, from.pipe(to(files(at.output, options))))

const zones = ['a', 'b/c', null, '']
const row = (n: number) => ({
  t: `2024-05-01 ${String(Math.floor(n / 60) % 24).padStart(2, '0')}:${String(n % 60).padStart(2, '0')}:00`,
  zone: zones[n % 4],
  n,
  x: n % 5 === 0 ? null : n / 7,
  price: `${n}.25`,
  tags: n % 3 === 0 ? null : ['é', String(n)],
})
const object = (nth: number) => `object-${String(nth).padStart(4, '0')}.jsonl`
let written = 0
/** Objects of so many rows, each an epoch. */
async function objects(...sizes: readonly number[]): Promise<void> {
  const first = (await readdir(lab.input)).length
  for (const [index, size] of sizes.entries()) {
    const lines = Array.from({ length: size }, (_, i) => JSON.stringify(row(written + i)))
    await lab.lines(object(first + index), lines)
    written += size
  }
}
beforeEach(() => void (written = 0))
const oneByOne = (pipelineOf: Pipeline, more: BackfillOptions = {}) => run(pipelineOf, { objectsPerEpoch: 1, ...more })

/** By folder. */
function byFolder(names: readonly string[]): ReadonlyMap<string, readonly string[]> {
  const folders = new Map<string, string[]>()
  for (const name of names) {
    const folder = name.replace(/[^/]*$/, '')
    folders.set(folder, [...(folders.get(folder) ?? []), name])
  }
  return folders
}

/** Files of an output, those in folders too. */
const visible = async (at: Place = lab) => (await outputFiles(at.output)).map(name => name.replace(/-flow-1\..*/, ''))
const numbers = async (at: Place = lab) => (await lab.rows(at)).map(({ n }) => Number(n))
const upTo = (end: number) => Array.from({ length: end }, (_, n) => n)
/** Rows of the view of a checkpoint as text, as `sql` has them. */
const viewed = async (at: Place = lab) => {
  const { rows } = await query(at.checkpoint, 'SELECT n FROM output ORDER BY n')
  return rows.map(({ n }) => Number(n))
}
const heldNow = async () => (await inspect(lab.checkpoint)).held

/** The real clock, which can be set forward; sleepers whose time has come then wake up. */
function settable(startedAtMs = systemClock.startedAtMs): Clock & { forward(ms: number): void } {
  let ahead = 0
  const sleepers = new Set<{ readonly untilMs: number; wake(): void }>()
  const nowMs = () => systemClock.nowMs() + ahead
  return {
    startedAtMs,
    nowMs,
    async sleep(ms, signal) {
      const woken = new AbortController()
      const sleeper = { untilMs: nowMs() + ms, wake: () => woken.abort() }
      sleepers.add(sleeper)
      await systemClock.sleep(ms, signal ? AbortSignal.any([signal, woken.signal]) : woken.signal)
      sleepers.delete(sleeper)
    },
    forward(ms) {
      ahead += ms
      for (const sleeper of sleepers) if (sleeper.untilMs <= nowMs()) sleeper.wake()
    },
  }
}

/** A process that dies after this many epochs: what it has committed stays. */
async function diesAfter(epochs: number, pipelineOf: Pipeline): Promise<void> {
  const abort = new AbortController()
  const options = { objectsPerEpoch: 1, threads: 2, memory: '500MB', signal: abort.signal }
  await failure(
    backfillWith(components, pipelineOf, options, ({ epoch }) => {
      if (epoch === epochs) abort.abort()
    }),
  )
}

describe('rows of many epochs', () => {
  const small = { targetSize: '100MB' } as const

  test.each([
    [{ format: 'parquet' }],
    [{ format: 'json' }],
    [{ format: 'json', zone: 'Z', compression: 'gzip' }],
    [{ format: 'csv', compression: 'zstd' }],
    [{ format: 'parquet', partitionBy: ['zone'] }],
    [{ format: 'csv', partitionBy: ['zone', { hour: 't' }] }],
    [{ format: 'json', partitionBy: ['zone'], partitionColumns: 'path-and-file' }],
  ] as readonly [FilesOptions][])(
    'are the rows that each would have, in their order, in one file: %o',
    async options => {
      // More than a hundred rows are a file of the checkpoint, others ride in HEAD.
      await objects(3, 150, 1, 40, 120, 7)
      const [few, many] = [lab.place('few'), lab.place('many')]
      await oneByOne(passing({ ...options, ...small }, few))
      await oneByOne(passing(options, many))
      const rowsOf = async (at: Place) => {
        const { rows } = await query(at.checkpoint, 'SELECT columns(*)::VARCHAR FROM output ORDER BY n::BIGINT')
        return rows
      }
      expect(await rowsOf(few)).toEqual(await rowsOf(many))
      expect(await rowsOf(few)).toHaveLength(321)
      const [joined, apart] = [byFolder(await outputFiles(few.output)), byFolder(await outputFiles(many.output))]
      expect([...joined.keys()].toSorted()).toEqual([...apart.keys()].toSorted())
      expect([...joined.values()].map(names => names.length)).toEqual([...apart].map(() => 1))
      // JSON that is not compressed: byte for byte what the files of the epochs have, one after the other.
      if (options.format === 'json' && !options.compression)
        for (const [folder, [name = '']] of joined) {
          const texts = (apart.get(folder) ?? []).map(part => readFile(join(many.output, part), 'utf8'))
          expect(await readFile(join(few.output, name), 'utf8')).toBe((await Promise.all(texts)).join(''))
        }
      expect((await verify(passing({ ...options, ...small }, few))).differences).toEqual([])
    },
  )

  test.each(['json', 'csv', 'parquet'] as const)('keep the values of every type, as %s', async format => {
    await objects(4, 130, 4)
    const every = head().pipe(
      derive({
        bool: ['BOOLEAN', 'n % 2 = 0'],
        tiny: ['TINYINT', 'CAST(-128 AS TINYINT)'],
        ubig: ['UBIGINT', '18446744073709551615::UBIGINT'],
        float: ['FLOAT', "CASE WHEN n % 2 = 0 THEN '-0.0'::FLOAT ELSE 'nan'::FLOAT END"],
        double: ['DOUBLE', "CASE WHEN n % 2 = 0 THEN '-infinity'::DOUBLE ELSE 0.1 + n END"],
        uuid: ['UUID', "'ffffffff-0000-4000-8000-000000000001'::UUID"],
        blob: ['BLOB', "'\\x00\\xFFa'::BLOB"],
        date: ['DATE', "CASE WHEN n % 2 = 0 THEN 'infinity'::DATE ELSE '0044-03-15 (BC)'::DATE END"],
        stamp: [
          'TIMESTAMP',
          "CASE WHEN n % 2 = 0 THEN '-infinity'::TIMESTAMP ELSE '2024-01-01 00:00:00.000001'::TIMESTAMP END",
        ],
        zoned: ['TIMESTAMPTZ', "'2024-01-01 00:00:00+02'::TIMESTAMPTZ"],
        text: ['JSON', `'{"a": [1, null], "b": "x"}'::JSON`],
        wide: ['DECIMAL(38,0)', '99999999999999999999999999999999999999::DECIMAL(38,0)'],
        list: ['DOUBLE[]', "CASE WHEN n % 2 = 0 THEN [] ELSE [NULL, 'nan'::DOUBLE, 0.5] END"],
        dates: ['DATE[]', "['2024-02-29'::DATE, NULL]"],
      }),
    )
    const [few, many] = [lab.place('few'), lab.place('many')]
    const flow = (at: Place, more: object) =>
      pipeline('every', { checkpoint: at.checkpoint }, every.pipe(to(files(at.output, { format, ...more }))))
    await oneByOne(flow(few, small))
    await oneByOne(flow(many, {}))
    const read = { json: 'read_json_objects', csv: 'read_csv', parquet: 'read_parquet' }[format]
    const all = (at: Place) => lab.sql(`SELECT columns(*)::VARCHAR FROM ${read}('${at.output}/part-*') ORDER BY ALL`)
    expect(await all(few)).toEqual(await all(many))
    expect(await all(few)).toHaveLength(138)
    expect(await outputFiles(few.output)).toHaveLength(1)
    expect((await verify(flow(few, small))).differences).toEqual([])
  })

  test('keep their order where a column is called as the row number of DuckDB', async () => {
    const ids = [9, null, 3, 7, 1, 8]
    await lab.lines(
      'object.jsonl',
      ids.map((rowid, n) => JSON.stringify({ t: '2024-05-01 00:00:00', n, rowid })),
    )
    const called = source('in', {
      objects: lab.input,
      format: json(),
      columns: { t: 'TIMESTAMP NOT NULL', n: 'BIGINT', rowid: 'VARCHAR' },
      time: 't',
    })
    await run(
      pipeline(
        'called',
        { checkpoint: lab.checkpoint },
        called.pipe(to(files(lab.output, { format: 'json', ...small }))),
      ),
    )
    expect(await numbers()).toEqual(upTo(6))
  })

  test('of windows too, and each window once', async () => {
    await objects(...Array.from({ length: 12 }, () => 30))
    const windows = (options: FilesOptions, at: Place) =>
      pipeline(
        'windows',
        { checkpoint: at.checkpoint },
        head().pipe(
          tumbling('1 hour'),
          groupBy('zone'),
          aggregate({ rows: count(), total: sum('n') }),
          to(files(at.output, options)),
        ),
      )
    const [few, many] = [lab.place('few'), lab.place('many')]
    await oneByOne(windows({ format: 'json', ...small }, few))
    await oneByOne(windows({ format: 'json' }, many))
    expect(await outputFiles(few.output)).toHaveLength(1)
    expect((await outputFiles(many.output)).length).toBeGreaterThan(4)
    expect(await lab.rows(few)).toEqual(await lab.rows(many))
  })

  test('are written when they make files of the size that was asked for; the last one is what is left', async () => {
    await objects(...Array.from({ length: 60 }, (_, i) => 5 + (i % 7)))
    const summary = await oneByOne(passing({ format: 'json', targetSize: '4kB' }))
    const sizes = await Promise.all(
      (await outputFiles(lab.output)).map(async name => (await readFile(join(lab.output, name))).length),
    )
    expect(sizes.length).toBeGreaterThan(5)
    // An epoch of these has a kilobyte at most, and is never parted.
    for (const size of sizes.slice(0, -1)) {
      expect(size).toBeGreaterThan(0.8 * 4_000)
      expect(size).toBeLessThan(4_000 + 1_200)
    }
    expect(await numbers()).toEqual(upTo(written))
    expect(summary.outputFiles).toHaveLength(sizes.length)
  })

  test('an epoch that is large enough by itself has a file of its own at once', async () => {
    await objects(200, 200)
    const flow = passing({ format: 'json', targetSize: '1kB' })
    await diesAfter(2, flow)
    expect(await heldNow()).toEqual([])
    await oneByOne(flow)
    expect(await visible()).toEqual(['part-00000001', 'part-00000002'])
  })

  test('one of them by another size and delay, as both may change between runs', async () => {
    await objects(5, 5, 5)
    await diesAfter(2, passing({ format: 'json', targetSize: '1GB' }))
    expect(await heldNow()).toMatchObject([{ flow: 'flow-1', rows: 10 }])
    const { nothingToDo } = await oneByOne(passing({ format: 'json', maxDelay: '1 day' }))
    expect(nothingToDo).toBe(false)
    expect(await visible()).toEqual(['part-00000003'])
    expect(await numbers()).toEqual(upTo(15))
  })

  test('are written before those of the next epoch where nothing is held any more', async () => {
    await objects(5, 5, 5, 5)
    await diesAfter(2, passing({ format: 'json', targetSize: '1GB' }))
    await oneByOne(passing({ format: 'json' }))
    expect(await visible()).toEqual(['part-00000002', 'part-00000003', 'part-00000004'])
    expect(await numbers()).toEqual(upTo(20))
    await objects(5, 5)
    await oneByOne(passing({ format: 'json', targetSize: '1GB' }))
    expect(await visible()).toHaveLength(4)
    expect(await numbers()).toEqual(upTo(30))
  })
})

describe('while rows are held', () => {
  const flow = () => passing({ format: 'json', targetSize: '1GB', maxDelay: '1 hour' })

  test('nobody sees them in the folder; sql, verify and inspect know them, and the next run goes on', async () => {
    await objects(5, 150, 5, 5)
    await diesAfter(3, flow())
    expect(await visible()).toEqual([])
    const { epoch } = await inspect(lab.checkpoint)
    expect(await viewed()).toEqual(upTo(epoch === 3 ? 160 : 165))
    expect((await verify(flow())).differences).toEqual([])
    const [held, ...others] = await heldNow()
    expect(others).toEqual([])
    expect(held).toMatchObject({ flow: 'flow-1', rows: epoch === 3 ? 160 : 165, bytes: expect.any(Number) })
    expect(Math.abs(Date.now() - Date.parse(held?.since ?? ''))).toBeLessThan(3_600_000)
    await oneByOne(flow())
    expect(await visible()).toEqual(['part-00000004'])
    expect(await numbers()).toEqual(upTo(165))
    expect(await viewed()).toEqual(upTo(165))
    expect(await heldNow()).toEqual([])
  })

  test('a drained run writes them before it ends', async () => {
    await objects(5, 5, 5, 5)
    const drain = new AbortController()
    const options = { objectsPerEpoch: 1, threads: 2, memory: '500MB', drain: drain.signal }
    await backfillWith(components, flow(), options, ({ epoch }) => {
      if (epoch === 2) drain.abort()
    })
    expect(await numbers()).toEqual(upTo(10))
    await oneByOne(flow())
    expect(await numbers()).toEqual(upTo(20))
  })

  test('their objects are not deleted, and once they are written, they are (P8)', async () => {
    await objects(5, 5, 5)
    const deleting = passing({ format: 'json', targetSize: '1GB' }, lab, head({ after: 'delete' }))
    await diesAfter(2, deleting)
    expect((await readdir(lab.input)).length).toBe(3)
    await oneByOne(deleting)
    expect(await readdir(lab.input)).toEqual([])
    expect(await numbers()).toEqual(upTo(15))
  })

  test('an older copy of the checkpoint, of the same epoch, is refused: what it holds is published (I1)', async () => {
    await objects(5, 5)
    await diesAfter(2, flow())
    const older = join(lab.root, 'older')
    await cp(lab.checkpoint, older, { recursive: true })
    await oneByOne(flow())
    await rm(lab.checkpoint, { recursive: true })
    await cp(older, lab.checkpoint, { recursive: true })
    const error = await failure(oneByOne(flow()))
    expect(error).toMatchObject({ code: 'output-beyond' })
    expect(error.message).toMatch(
      /holds part-00000002-flow-1\.jsonl, .* stands at epoch 2, .* wait there from epoch 1 on/,
    )
  })

  test('a repair to a manifest that holds them takes back what was published of them (P8, I5)', async () => {
    await objects(5, 5)
    await diesAfter(2, flow())
    const { manifest } = await lab.head()
    await oneByOne(flow())
    expect(await visible()).toEqual(['part-00000002'])
    // As a copy that is made every hundred epochs has it, and HEAD and what came later are lost.
    const manifests = join(lab.checkpoint, 'manifests')
    for (const name of await readdir(manifests)) await rm(join(manifests, name))
    await writeFile(join(manifests, '1-2-0000.json'), encodeManifest(manifest))
    await rm(join(lab.checkpoint, 'head'), { recursive: true })
    await rm(join(lab.checkpoint, 'head-bodies'), { recursive: true })
    expect(await failure(repair(lab.checkpoint))).toMatchObject({ code: 'output-beyond' })
    const { withdrawn } = await repair(lab.checkpoint, { withdraw: true })
    expect(withdrawn).toHaveLength(1)
    expect(await visible()).toEqual([])
    await oneByOne(flow())
    expect(await numbers()).toEqual(upTo(10))
    expect(await visible()).not.toContain('part-00000002')
  })
})

describe('maxDelay', () => {
  test('of a run that follows its source passes in a quiet hour, and what is held is measured meanwhile', async () => {
    await objects(5, 5, 5)
    const clock = settable()
    const drain = new AbortController()
    const events: RunEvent[] = []
    let running: Running | undefined
    const seen: unknown[] = []
    const flow = passing({ format: 'json', maxDelay: '1 hour' }, lab, head({ miniBatch: { every: '10ms' } }))
    await followWith({ ...components, clock }, flow, {
      threads: 2,
      memory: '500MB',
      drain: drain.signal,
      onRunning: given => (running = given),
      onEvent(event) {
        events.push(event)
        if (event.is === 'epoch' && event.result.totals.objects === 3)
          void (async () => {
            clock.forward(1_800_000)
            seen.push(await visible(), (await running?.measure())?.held)
            clock.forward(1_800_000)
          })().catch(error => seen.push(error))
        if (event.is === 'held-written') drain.abort()
      },
    })
    expect(seen[0]).toEqual([])
    expect(seen[1]).toMatchObject([{ flow: 'flow-1', rows: 15 }])
    const [{ ageMs }] = seen[1] as [{ ageMs: number }]
    expect(ageMs).toBeGreaterThanOrEqual(1_800_000)
    expect(ageMs).toBeLessThan(3_600_000)
    const told = events.filter(event => event.is === 'held-written')
    expect(told).toMatchObject([{ rows: 15, outputFiles: [expect.stringMatching(/part-\d+-flow-1\.jsonl$/)] }])
    expect(events.findIndex(({ is }) => is === 'held-written')).toBeLessThan(
      events.findIndex(({ is }) => is === 'draining'),
    )
    expect(await numbers()).toEqual(upTo(15))
  })

  test('counts over restarts, from the commit of the first row, and a clock that went back does not prolong it', async () => {
    await objects(5, 5)
    const flow = passing({ format: 'json', maxDelay: '1 hour' })
    await diesAfter(2, flow)
    const since = Date.parse((await heldNow())[0]?.since ?? '')
    const counted = async (startedAtMs: number, until: RunEvent['is']) => {
      const at = lab.place(String(startedAtMs))
      await cp(lab.checkpoint, at.checkpoint, { recursive: true })
      await cp(lab.output, at.output, { recursive: true })
      const dying = new AbortController()
      const clock = { ...systemClock, startedAtMs, nowMs: () => 0 }
      let wrote = 0
      const following = followWith({ ...components, clock }, passing({ format: 'json', maxDelay: '1 hour' }, at), {
        threads: 2,
        memory: '500MB',
        signal: dying.signal,
        onEvent(event) {
          if (event.is === 'held-written') wrote++
          if (event.is === until) dying.abort()
        },
      })
      await following.catch((error: unknown) => {
        if (!dying.signal.aborted) throw error
      })
      return wrote
    }
    expect(await counted(since + 3_590_000, 'reconciled')).toBe(0)
    expect(await counted(since - 86_400_000, 'held-written')).toBe(1)
    expect(await counted(since + 3_600_000, 'held-written')).toBe(1)
  })
})

test('HEAD stays within its bound however many epochs are held, and their files few (P3)', async () => {
  const epochs = 150
  await objects(...Array.from({ length: epochs }, (_, i) => 60 + (i % 80)))
  const flow = passing({ format: 'parquet', targetSize: '1TB', maxDelay: '30 days' })
  let largest = 0
  let parts = 0
  const store = createDirectoryStore(lab.checkpoint)
  const work: Promise<void>[] = []
  await backfillWith(components, flow, { objectsPerEpoch: 1, threads: 2, memory: '500MB' }, ({ epoch }) => {
    if (epoch % 10 !== 0) return
    work.push(
      (async () => {
        const found = await store.get(headKey)
        if (typeof found === 'string') throw new Error('no HEAD')
        largest = Math.max(largest, found.body.length)
        const { manifest } = await lab.head()
        parts = Math.max(
          parts,
          manifest.channels['held-flow-1']?.filter(part => !part.text && !part.inline).length ?? 0,
        )
      })(),
    )
  })
  await Promise.all(work)
  expect(largest).toBeLessThanOrEqual(headBytesMax)
  expect(largest).toBeGreaterThan(50_000)
  expect(parts).toBeLessThan(30)
  expect(await visible()).toEqual([`part-00000${epochs}`])
  expect(await numbers()).toEqual(upTo(written))
}, 300_000)
