import { cp, mkdir, utimes } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createDirectoryStore } from '../../connectors/directory/store.ts'
import { isMillraceError } from '../../src/core/errors.ts'
import type { ObjectStore } from '../../src/core/ports.ts'
import { applyLateWith } from '../../src/engine/apply-late.ts'
import { backfillWith } from '../../src/engine/backfill.ts'
import { type Components, components } from '../../src/engine/components.ts'
import { followWith } from '../../src/engine/follow.ts'
import { engineRecords } from '../../src/engine/state/engine-state.ts'
import {
  aggregate,
  count,
  files,
  groupBy,
  json,
  pipeline,
  source,
  sum,
  to,
  tumbling,
  verify,
  where,
} from '../../src/index.ts'
import { withFaults } from '../../src/testing/faulty-store.ts'
import { type Lab, openLab, type TextRow } from '../engine/harness.ts'
import { drawn, wholeFromEnvironment } from '../golden/drawn.ts'
import { expectSame, expectWhole, lookAt, type Place, type Seen } from '../golden/seen.ts'
import { Killed, type MortalFileSystem, mortal } from './mortal-file-system.ts'
import { everyCall, isProbe, over } from './small-backfill.ts'

// Late rows are asked for by `apply-late`, and a further run applies them and reads what is new, while either process is
// killed between any two calls that touch the checkpoint or the outputs. Nothing may be lost, and nothing count twice.

/** Seeds of runs over stores that lose answers; MILLRACE_FAULTS=1000 searches longer. */
const faultSeeds = wholeFromEnvironment('MILLRACE_FAULTS', 2)

const hour = 3_600_000
const zero = Date.parse('2024-05-01T00:00:00Z')
const textOf = (ms: number) => new Date(ms).toISOString().slice(0, 19).replace('T', ' ')

interface InputRow {
  readonly t: number
  readonly k: string
  readonly n: number
}

/** Hours one after the other. Of every six rows one is hours old; but none of the last object, so that all is asked for at once. */
const objects: readonly (readonly InputRow[])[] = Array.from({ length: 6 }, (_, object) =>
  Array.from({ length: object === 2 ? 260 : 60 }, (_, row) => ({
    t: zero + object * hour + row * 13_000 - (object < 5 && row % 6 === 5 ? (2 + (row % 4)) * hour : 0),
    // Many groups in one hour, so that state, late rows and changes are files in one epoch and ride in HEAD in others.
    k: object === 2 ? `k${row % 130}` : `k${row % 4}`,
    n: (object * 7 + row * 5) % 11,
  })),
)
const fileOf = (object: number) => `object-${object}.jsonl`
const isNew = objects.length - 1

/** What one query over all rows gives: hours in which the sum is odd, and hours summed up by three. By plain arrays, no SQL. */
function expected(): readonly (readonly TextRow[])[] {
  const highest = Math.max(...objects.flat().map(({ t }) => t))
  const summed = (rows: readonly { readonly t: number; readonly k: string; readonly n: number }[], size: number) => {
    const groups = new Map<string, { start: number; k: string; rows: number; n: number }>()
    for (const { t, k, n } of rows) {
      const start = Math.floor(t / size) * size
      if (start + size > highest) continue
      const group = groups.get(`${start} ${k}`) ?? { start, k, rows: 0, n: 0 }
      groups.set(`${start} ${k}`, { ...group, rows: group.rows + 1, n: group.n + n })
    }
    return [...groups.values()]
  }
  const hours = summed(objects.flat(), hour)
  const threes = summed(
    hours.map(({ start, k, n }) => ({ t: start, k, n })),
    3 * hour,
  )
  const rowsOf = (groups: typeof hours, size: number) =>
    groups
      .map(({ start, k, rows, n }) => ({
        window_start: textOf(start),
        window_end: textOf(start + size),
        k,
        rows: `${rows}`,
        n: `${n}`,
      }))
      .toSorted((a, b) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1))
  return [
    rowsOf(
      hours.filter(({ n }) => n % 2 === 1),
      hour,
    ),
    rowsOf(threes, 3 * hour),
    rowsOf(hours, hour),
  ]
}

describe('late rows that are applied by processes which die at any call', () => {
  let lab: Lab
  /** As the first runs leave it, with late rows. */
  let begun: Place
  let places = 0
  beforeAll(async () => {
    lab = await openLab()
    for (const [object, rows] of objects.entries()) {
      const lines = rows.map(({ t, k, n }) => JSON.stringify({ t: textOf(t), k, n }))
      await utimes(await lab.lines(fileOf(object), lines), 1_000_000, 1_000_000)
    }
    begun = place()
    await backfill(begun, clean, 'object-[0-4].jsonl')
  })
  afterAll(() => lab[Symbol.asyncDispose]())

  const outputs = ['hours', 'threes', 'now']
  function place(): Place {
    const folder = join(lab.root, `place-${++places}`)
    return {
      checkpoint: join(folder, 'checkpoint'),
      outputs: outputs.map(name => join(folder, name)),
      changesOf: ['window_end', 'k'],
    }
  }

  async function prepared(): Promise<Place> {
    const at = place()
    await cp(join(begun.checkpoint, '..'), join(at.checkpoint, '..'), { recursive: true })
    return at
  }

  const flowsOf = ({ checkpoint, outputs: [hourly = '', threes = '', now = ''] }: Place) => {
    const rows = source('in', {
      objects: lab.input,
      format: json(),
      columns: { t: 'TIMESTAMP NOT NULL', k: 'VARCHAR', n: 'BIGINT' },
      time: 't',
      watermark: { delay: '0s' },
      late: { retention: '30 days' },
    })
    const hours = rows.pipe(tumbling('1 hour'), groupBy('k'), aggregate({ rows: count(), n: sum('n') }))
    return pipeline(
      'late',
      { checkpoint },
      hours.pipe(where('n % 2 = 1'), to(files(hourly, { format: 'json' }))),
      hours.pipe(
        tumbling('3 hours'),
        groupBy('k'),
        aggregate({ rows: count(), n: sum('n') }),
        to(files(threes, { format: 'parquet' })),
      ),
      hours.pipe(to(files(now, { format: 'json' }), { emit: 'update' })),
    )
  }

  type Open = (root: string) => ObjectStore
  const partsOver = (open: Open): Components => ({
    ...components,
    openWritable: async root => {
      await mkdir(root, { recursive: true })
      return open(root)
    },
  })
  const options = { threads: 1, memory: '300MB' } as const
  const backfill = (at: Place, open: Open, only?: string) =>
    backfillWith(partsOver(open), flowsOf(at), {
      ...options,
      objectsPerEpoch: 1,
      flush: false,
      ...(only && { input: join(lab.input, only) }),
    })
  const daemon = (at: Place, open: Open) => followWith(partsOver(open), flowsOf(at), { ...options, untilIdle: true })
  const applyLate = (at: Place, open: Open) => applyLateWith(partsOver(open), at.checkpoint, {})

  const counts = (path: string) => !isProbe(path)
  const clean = over(mortal({}))

  /** Both processes, over one file system: the second one may die as well as the first. */
  async function live(at: Place, fs: MortalFileSystem, killAt: number, where: string): Promise<void> {
    try {
      await applyLate(at, over(fs))
      await backfill(at, over(fs))
    } catch (error) {
      if (fs.calls < killAt) throw new Error(`${where}: ${String(error)}`, { cause: error })
    }
  }

  /** What has come of the request, as HEAD has it. */
  async function become(at: Place): Promise<'unasked' | 'waiting' | 'applied'> {
    const { manifest } = await lab.head({ checkpoint: at.checkpoint, output: '' })
    if (engineRecords(manifest).applyLate.length > 0) return 'waiting'
    const ledger = await lab.channel('ledger', { checkpoint: at.checkpoint, output: '' })
    return ledger.some(({ is }) => is === 'apply') ? 'applied' : 'unasked'
  }

  /** An undisturbed life: its calls, and those of them that are commits. */
  async function straightRun(): Promise<{ straight: Seen; calls: number; commits: readonly number[] }> {
    const at = await prepared()
    const commits: number[] = []
    const fs = mortal({
      counts,
      onCall: (nth, name, [path = '']) => void (name === 'rename' && path.includes('HEAD@') && commits.push(nth)),
    })
    await live(at, fs, Infinity, 'straight')
    return { straight: await lookAt(lab, at), calls: fs.calls, commits }
  }

  test('come to what one query over all rows gives, in files and inline, with deletes', async () => {
    const { straight } = await straightRun()
    const closed = (rows: readonly TextRow[]) =>
      rows.filter(({ window_end }) => String(window_end) <= textOf(zero + isNew * hour))
    const now = closed(straight.rows[2] ?? [])
    expect([...straight.rows.slice(0, 2), now]).toEqual(expected())
    const before = await lookAt(lab, begun)
    expect(before.rows[0]).not.toEqual(expected()[0])
    const corrections = (await lab.rows({ checkpoint: '', output: join(begun.checkpoint, '..', 'hours') })).length
    expect(corrections).toBeGreaterThan(5)
    expect(Object.keys(straight.files[0] ?? {}).filter(name => name.startsWith('_corrections/'))).toHaveLength(1)
    expect(Object.keys(straight.files[1] ?? {}).filter(name => name.startsWith('_corrections/'))).toHaveLength(1)
  })

  test('are each applied once, in the same bytes, whoever died when and whoever goes on (S16, I2, I5, I6, I8, I10)', async () => {
    const { random, label } = drawn()
    const { straight, calls, commits } = await straightRun()
    expect(straight.ledger.map(({ is }) => is)).toEqual([...Array(5).fill('object'), 'apply', 'object'])
    const found = new Set<string>()
    let unpublished = 0
    // Before and after every commit, and here and there between them.
    const kills = new Set([...commits.flatMap(nth => [nth, nth + 1]), ...everyCall(calls, 59, random)])
    for (const [nth, k] of [...kills].entries()) {
      const at = await prepared()
      const where = `${label}, killed at call ${k} of ${calls}`
      await live(at, mortal({ killAt: k, counts }), k, where)
      const { head } = await expectWhole(lab, at, straight, undefined, where)
      unpublished += head?.manifest.epoch === 6 ? head.manifest.unpublished.length : 0
      const is = await become(at)
      found.add(is)
      // Nobody knows whether it was written, so it is asked for again; or whatever starts the daemon again does the rest.
      if (is === 'unasked') expect((await applyLate(at, clean)).rows, where).toBeGreaterThan(0)
      else if (nth % 2 === 0) expect((await applyLate(at, clean)).rows, where).toBe(0)
      await (nth % 3 === 0 ? backfill(at, clean) : daemon(at, clean))
      expectSame(await lookAt(lab, at), straight, where)
      // Once more finds nothing.
      expect((await applyLate(at, clean)).rows, where).toBe(0)
      if (nth % 5 === 0) expect((await verify(flowsOf(at), options)).differences, where).toEqual([])
    }
    expect(found, label).toEqual(new Set(['unasked', 'waiting', 'applied']))
    // Kills met corrections that were committed, and not yet published.
    expect(unpublished, label).toBeGreaterThan(0)
  }, 900_000)

  test('are applied once by two runs of which one slept through it (I3, S16)', async () => {
    const { random, label } = drawn()
    const { straight } = await straightRun()
    const asked = await prepared()
    await applyLate(asked, clean)
    const asPlace = async () => {
      const at = place()
      await cp(join(asked.checkpoint, '..'), join(at.checkpoint, '..'), { recursive: true })
      return at
    }
    const counted = mortal({ counts })
    await backfill(await asPlace(), over(counted))
    const ends = { fenced: 0, done: 0 }
    for (const nth of everyCall(counted.calls, 75, random)) {
      const at = await asPlace()
      const where = `${label}, asleep at call ${nth} of ${counted.calls}`
      let [fallAsleep, wakeUp] = [() => {}, () => {}]
      const asleep = new Promise<void>(resolve => (fallAsleep = resolve))
      const awake = new Promise<void>(resolve => (wakeUp = resolve))
      const fs = mortal({ counts, stall: { at: nth, until: awake, onStall: fallAsleep } })
      const ended = backfill(at, over(fs)).then(
        () => 'done' as const,
        (error: unknown) => {
          if (isMillraceError(error) && error.kind === 'fenced') return 'fenced' as const
          throw new Error(where, { cause: error })
        },
      )
      await Promise.race([asleep, ended])
      await daemon(at, clean)
      wakeUp()
      ends[await ended]++
      await backfill(at, clean)
      expectSame(await lookAt(lab, at), straight, where)
    }
    expect(ends.fenced, label).toBeGreaterThan(0)
  }, 600_000)

  test('are applied once over stores that lose answers and fail for a while (P6, I10)', async () => {
    const { seed, label } = drawn()
    const { straight } = await straightRun()
    const rates = {
      'unknown-before': 0.05,
      'unknown-after': 0.05,
      'unknown-late': 0.02,
      'conflict-after': 0.05,
      error: 0.03,
    }
    for (let i = 0; i < faultSeeds; i++) {
      const at = await prepared()
      let opened = 0
      const faulty: Open = root => {
        const store = createDirectoryStore(root)
        const bad = withFaults(store, { seed: (seed + i) * 10 + opened++, rates })
        // The probe gives up after three doubtful answers by design (P4).
        const by = (key: string): ObjectStore => (isProbe(key) ? store : bad)
        return {
          ...bad,
          get: (key, more) => by(key).get(key, more),
          put: (key, body, ifMatch, signal) => by(key).put(key, body, ifMatch, signal),
          copy: (from, to, signal) => by(from).copy(from, to, signal),
          delete: keys => by(keys[0] ?? '').delete(keys),
        }
      }
      const where = `${label} + ${i}`
      for (const work of [applyLate, backfill])
        await work(at, faulty).catch((error: unknown) => {
          if (!isMillraceError(error) || error.kind !== 'retry') throw new Error(where, { cause: error })
        })
      // Whoever met too many faults is started again, by what HEAD says.
      if ((await become(at)) === 'unasked') await applyLate(at, clean)
      await backfill(at, clean)
      expectSame(await lookAt(lab, at), straight, where)
    }
  }, 600_000)

  test('die of the kill and of nothing else, as this test can see', async () => {
    await expect(applyLate(await prepared(), over(mortal({ killAt: 1, counts })))).rejects.toThrow(Killed)
  })
})
