import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import type { Manifest } from '../../checkpoints/types.ts'
import { attemptOf, carefulAfter, decideAttempt, withAttempt } from '../../src/engine/intake/attempt.ts'
import type { Attempt } from '../../src/engine/state/engine-state.ts'
import { startNode } from '../cli/child.ts'
import { inspect } from '../../src/index.ts'
import { openLab } from './harness.ts'

const manifest = {
  checkpointId: 'c',
  epoch: 6,
  engine: { plan: null, settings: { duckdb: '1' }, nextSeq: 1, watermarks: {}, positions: null, totals: {} },
  channels: {},
  unpublished: [],
  retained: [],
  garbage: [],
} satisfies Manifest
const killer = { bucket: '', key: 'a', eTag: '1' }
const record = (changes: Partial<Attempt>): Attempt => ({
  epoch: 7,
  deaths: carefulAfter,
  objects: null,
  left: null,
  alone: null,
  ...changes,
})

describe('what a start makes of deaths before it (P13)', () => {
  test('after a clean stop suspects are read once more', () => {
    expect(decideAttempt(manifest, true)).toEqual({ is: 'clean' })
  })

  test('a first death, and deaths in another epoch, are counted from one', () => {
    const first = { is: 'count', attempt: record({ deaths: 1 }) }
    expect(decideAttempt(manifest, false)).toEqual(first)
    expect(decideAttempt(withAttempt(manifest, record({ epoch: 6, deaths: 9 })), false)).toEqual(first)
  })

  test('from the fifth on, the mini-batch is halved until one object is alone, and that one is left out', () => {
    const after = (changes: Partial<Attempt>) => decideAttempt(withAttempt(manifest, record(changes)), false)
    expect(after({ deaths: carefulAfter - 2 })).toMatchObject({ is: 'count' })
    expect(after({ deaths: carefulAfter - 1 })).toMatchObject({ is: 'careful', limit: Number.MAX_SAFE_INTEGER })
    expect(after({ objects: 5, left: 5 })).toMatchObject({ is: 'careful', limit: 3, attempt: { left: 5 } })
    expect(after({ objects: 2, left: 3 })).toMatchObject({ is: 'careful', limit: 1 })
    expect(after({ objects: 1, left: 3, alone: killer })).toEqual({
      is: 'quarantine',
      killer,
      deaths: carefulAfter + 1,
    })
  })

  test('a process that starts its run again has not died; a search that is on goes on', () => {
    expect(decideAttempt(manifest, false, true)).toEqual({ is: 'none' })
    expect(decideAttempt(withAttempt(manifest, record({ deaths: 1 })), false, true)).toEqual({ is: 'none' })
    expect(decideAttempt(withAttempt(manifest, record({ objects: 4, left: 4 })), false, true)).toMatchObject({
      is: 'careful',
      limit: 2,
    })
    // Nobody died of what was alone.
    const alone = withAttempt(manifest, record({ objects: 1, left: 1, alone: killer }))
    expect(decideAttempt(alone, false, true)).toMatchObject({ is: 'careful', limit: 1 })
  })

  test('a record leaves no trace when it is taken back', () => {
    expect(withAttempt(withAttempt(manifest, record({})), null)).toEqual(manifest)
    expect(attemptOf(withAttempt(manifest, record({ alone: killer })))).toEqual(record({ alone: killer }))
  })
})

describe('an object that kills every process which reads it is found, read once more after a clean stop, and quarantined; all others count once (P13, I5, I10)', () => {
  test.each([
    ['by a signal', 'kill', {}, ''],
    [
      'by a function that runs out of memory on a row of it',
      'heap',
      { NODE_OPTIONS: '--max-old-space-size=80' },
      'JavaScript heap out of memory',
    ],
  ])(
    '%s',
    async (_, of, env, says) => {
      await using lab = await openLab()
      const keys = Array.from({ length: 9 }, (_, i) => `o_${i}${i === 6 ? '_deadly' : ''}.parquet`)
      for (const [i, key] of keys.entries()) {
        const k = i === 6 ? 'CASE j WHEN 5 THEN -1 ELSE j END' : 'j'
        await lab.parquet(key, `SELECT TIMESTAMP '2024-05-01' + to_hours(${i}) AS t, ${k} AS k FROM range(10) AS r(j)`)
      }
      const script = fileURLToPath(new URL('../simulation/deadly-backfill.ts', import.meta.url))
      /** Starts until one ends well. How many died before. */
      async function deathsUntilTheEnd(): Promise<number> {
        for (let deaths = 0; ; deaths++) {
          const args = [script, lab.input, lab.checkpoint, lab.output, of]
          const { code, stderr } = await startNode(args, undefined, env).ended
          if (code === 0) return deaths
          // No exit, but a signal.
          expect(code, stderr).toBeNull()
          expect(stderr).toContain(says)
          expect(deaths).toBeLessThan(20)
        }
      }
      const setAside = async () =>
        (await lab.channel('ledger')).filter(row => row.is === 'object' && row.outcome !== 'read')
      // Five deaths before it is careful, then mini-batches of four, two and one.
      expect(await deathsUntilTheEnd()).toBeGreaterThanOrEqual(carefulAfter)
      const ledger = (await lab.channel('ledger')).filter(row => row.is === 'object')
      expect(new Set(ledger.map(({ key }) => key))).toEqual(new Set(keys))
      expect(ledger).toHaveLength(keys.length)
      const suspect = { key: 'o_6_deadly.parquet', outcome: 'suspect' }
      expect(await setAside()).toEqual([expect.objectContaining(suspect)])
      expect((await setAside())[0]?.reason).toMatch(/^the process died \d+ times in a row/)
      // The clean start after that dies of it once more; from then on it stays quarantined.
      expect(await deathsUntilTheEnd()).toBe(1)
      const quarantined = {
        key: suspect.key,
        outcome: 'quarantined',
        reason: expect.stringMatching(/died again/) as string,
      }
      expect(await setAside()).toEqual([suspect, quarantined].map(row => expect.objectContaining(row) as object))
      expect(await deathsUntilTheEnd()).toBe(0)
      expect(await setAside()).toHaveLength(2)
      const { totals } = await inspect(lab.checkpoint)
      expect(totals).toMatchObject({ objects: keys.length, quarantined: 1, suspect: 0 })
      const rows = await lab.rows()
      expect(rows).toHaveLength(80)
      expect(
        rows.filter(({ window_start, k, n }) => window_start?.includes(' 06:') || k === '-1' || n !== '1'),
      ).toEqual([])
      const head = await lab.head()
      expect(head.released).toBe(true)
      expect(attemptOf(head.manifest)).toBeNull()
    },
    600_000,
  )
})
