import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { concatMap, tap } from 'rxjs'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createDirectoryStore } from '../../connectors/directory/store.ts'
import type { ObjectStore } from '../../src/core/ports.ts'
import { systemClock } from '../../src/core/clock.ts'
import { backfillWith } from '../../src/engine/backfill.ts'
import { components } from '../../src/engine/components.ts'
import { aggregate, batches, count, groupBy, parquet, pipeline, source, sum, tumbling, where } from '../../src/index.ts'
import { keysOf } from '../checkpoints/fixtures.ts'
import { type Lab, openLab } from '../engine/harness.ts'
import { drawn } from '../golden/drawn.ts'
import { expectWhole, lookAt, type Place, type Seen } from '../golden/seen.ts'
import { type MortalFileSystem, mortal, volatileFileSystem } from './mortal-file-system.ts'
import { everyCall, isProbe, over } from './small-backfill.ts'

/** What a flow was given, in this order, over all lives. */
type Received = Readonly<Record<string, readonly string[]>>

const days = 5
/** Longer than an epoch. */
const takeMsMax = 100

/** Two flows that hand rows over: hours that close, in HEAD or as files, and rows that pass through. */
describe('rows handed over by a backfill whose process dies', () => {
  let lab: Lab
  let straight: Received
  let seen: Seen
  let calls: number
  let places = 0
  const outsideProbe = (path: string) => !isProbe(path)
  beforeAll(async () => {
    lab = await openLab()
    for (let day = 0; day < days; day++)
      await lab.parquet(
        `day_2024-05-0${day + 1}.parquet`,
        `SELECT TIMESTAMP '2024-05-01' + to_days(${day}) + to_seconds(i * 977 % 86400) AS t,
          md5(concat(${day}, '-', i)) AS k, i AS n FROM range(${[900, 40, 900, 30, 20][day]}) AS r(i)`,
      )
    const life = at()
    const fs = mortal({ counts: outsideProbe })
    await run(life, over(fs))
    calls = fs.calls
    straight = life.received
    seen = await lookAt(lab, life.place)
  })
  afterAll(() => lab[Symbol.asyncDispose]())

  interface Life {
    readonly place: Place
    readonly received: Record<string, string[]>
  }

  function at(): Life {
    const folder = join(lab.root, `place-${++places}`)
    return { place: { checkpoint: join(folder, 'checkpoint'), outputs: [] }, received: { hours: [], odd: [] } }
  }

  /** @param isDead a process that was killed receives nothing, though its promises go on here */
  async function run({ place, received }: Life, open: (root: string) => ObjectStore, isDead = () => false) {
    let committed = 0
    const head = source('days', {
      objects: lab.input,
      format: parquet(),
      columns: { t: 'TIMESTAMP NOT NULL', k: 'VARCHAR', n: 'BIGINT' },
      time: 't',
      watermark: { delay: '0s', bounds: 'day_{yyyy}-{MM}-{dd}' },
    })
    const note = (flow: string, epoch: number, rows: readonly object[]) =>
      isDead() ||
      received[flow]?.push(
        `${epoch}: ${JSON.stringify(rows, (_, value) => (typeof value === 'bigint' ? `${value}` : value))}`,
      )
    const handsOver = pipeline(
      'hands-over',
      { checkpoint: place.checkpoint },
      head.pipe(
        tumbling('1 hour'),
        groupBy('k'),
        aggregate({ rows: count(), total: sum('n') }),
        batches(),
        // Taken after the next commit, where there is one soon: what is given and not taken yet must stay in that as well.
        concatMap(async ({ epoch, rows }) => {
          for (let ms = 0; ms < takeMsMax && committed <= epoch; ms++) await systemClock.sleep(1)
          note('hours', epoch, rows)
        }),
      ),
      head.pipe(
        where('n % 3 <> 1'),
        batches(),
        tap(({ epoch, rows }) => note('odd', epoch, rows)),
      ),
    )
    const opened = {
      ...components,
      openWritable: async (root: string) => {
        await mkdir(root, { recursive: true })
        return open(root)
      },
    }
    return backfillWith(opened, handsOver, { objectsPerEpoch: 1, threads: 1, memory: '300MB' }, ({ epoch }) => {
      committed = epoch
    })
  }

  /** One process that dies of its kill, or ends well when it has less left to do. Where its part of what was received begins. */
  async function live(life: Life, fs: MortalFileSystem, killAt: number, where: string): Promise<void> {
    try {
      await run(life, over(fs), () => fs.calls >= killAt)
    } catch (error) {
      if (fs.calls < killAt) throw new Error(`${where}: ${String(error)}`, { cause: error })
    }
  }

  const epochOf = (entry: string) => Number(entry.slice(0, entry.indexOf(':')))

  /** Everything came, in order but for what came again, and what came again was the same. */
  function expectReceived({ received }: Life, where: string): void {
    for (const [flow, expected] of Object.entries(straight)) {
      const found = received[flow] ?? []
      expect([...new Set(found)], `${where}, ${flow}`).toEqual(expected)
      for (const [index, entry] of found.entries()) {
        const before = index === 0 ? -1 : expected.indexOf(found[index - 1] as string)
        expect(expected.indexOf(entry), `${where}, ${flow}: ${epochOf(entry)}`).toBeLessThanOrEqual(before + 1)
      }
    }
  }

  test('has rows inside HEAD and rows in files, which go when they are taken', async () => {
    const life = at()
    const kinds = new Set<boolean>()
    const keys: string[] = []
    await run(life, root => {
      const store = createDirectoryStore(root)
      return {
        ...store,
        put(key, body, ifMatch, signal) {
          keys.push(key)
          if (key === 'HEAD' && body instanceof Uint8Array) {
            const { manifest } = JSON.parse(Buffer.from(body).toString().split('\n')[1] as string)
            for (const { files } of manifest.unpublished) for (const file of files) kinds.add(file.inline !== undefined)
          }
          return store.put(key, body, ifMatch, signal)
        },
      }
    })
    expect(kinds).toEqual(new Set([false, true]))
    expect(keys.filter(key => key.startsWith('deliveries/')).length).toBeGreaterThan(1)
    const { head } = await expectWhole(lab, life.place, seen, undefined, 'straight')
    // What no retained manifest names is gone.
    const left = await keysOf(createDirectoryStore(life.place.checkpoint), 'deliveries/')
    expect(left.length).toBe(0)
    expect(head?.manifest.retained.length).toBeGreaterThan(0)
    expectReceived(life, 'straight')
    expect(straight.hours?.map(epochOf)).toEqual([1, 2, 3, 4, 5, 6])
    expect(straight.odd?.map(epochOf)).toEqual([1, 2, 3, 4, 5])
  })

  test('all come, in order, and what comes again is the same (P15, I2, I7, I10)', async () => {
    const { random, label } = drawn()
    let again = 0
    let waited = 0
    for (const [i, k] of everyCall(calls, 19, random).entries()) {
      const life = at()
      let where = `${label}, killed at call ${k} of ${calls}`
      await live(life, mortal({ killAt: k, counts: outsideProbe }), k, where)
      let { head } = await expectWhole(lab, life.place, seen, undefined, where)
      waited += head?.manifest.unpublished.length ?? 0
      if (i % 3 === 0) {
        const second = 1 + Math.floor(random() * calls)
        where += `, then at call ${second}`
        await live(life, mortal({ killAt: second, counts: outsideProbe }), second, where)
        ;({ head } = await expectWhole(lab, life.place, seen, undefined, where))
      }
      await run(life, over(mortal({})))
      expectReceived(life, where)
      expect((await lookAt(lab, life.place)).ledger, where).toEqual(seen.ledger)
      again += Object.values(life.received).flat().length - Object.values(straight).flat().length
    }
    // The kills hit what was committed and not taken, and what was taken and not recorded.
    expect(waited, label).toBeGreaterThan(0)
    expect(again, label).toBeGreaterThan(0)
  }, 900_000)

  test('all come when the power goes and names that were not flushed vanish (P6, P7)', async () => {
    const { random, label } = drawn()
    for (const k of everyCall(calls, 72, random)) {
      const life = at()
      const where = `${label}, power lost at call ${k} of ${calls}`
      const graveyard = join(life.place.checkpoint, '..', 'graveyard')
      await mkdir(graveyard, { recursive: true })
      const disk = volatileFileSystem(graveyard)
      await live(life, mortal({ killAt: k, counts: outsideProbe }, disk.fs), k, where)
      await disk.lose(random)
      await expectWhole(lab, life.place, seen, undefined, where)
      await run(life, over(mortal({})))
      expectReceived(life, where)
    }
  }, 600_000)
})
