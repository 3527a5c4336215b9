import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { committedAt, type Due, dueBy } from '../../src/engine/state/due.ts'
import { runs } from './harness.ts'

describe('what is due by the time of its commit', () => {
  test('is due after the delay, not before, and at most a 32nd of it late; HEAD keeps few marks', () => {
    const commits = fc.array(fc.tuple(fc.integer({ min: 1, max: 5 }), fc.integer({ min: 0, max: 900 })), {
      minLength: 1,
      maxLength: 300,
    })
    fc.assert(
      fc.property(commits, fc.integer({ min: 1, max: 20_000 }), (steps, delayMs) => {
        let due: Due | null = null
        let [seq, nowMs] = [0, 1_000_000]
        const committed: { seq: number; atMs: number }[] = []
        for (const [entries, afterMs] of steps) {
          nowMs += afterMs
          seq += entries
          due = committedAt(due, seq, nowMs, delayMs)
          committed.push({ seq, atMs: nowMs })
          expect(due.marks.length).toBeLessThanOrEqual(34)
          const { seq: isDue } = dueBy(due, nowMs, delayMs)
          for (const commit of committed) {
            if (commit.atMs + delayMs > nowMs) expect(commit.seq).toBeGreaterThan(isDue)
            else if (commit.atMs + delayMs * (1 + 1 / 32) <= nowMs) expect(commit.seq).toBeLessThanOrEqual(isDue)
          }
        }
        expect(dueBy(due, nowMs + delayMs, delayMs)).toEqual({ seq, marks: [] })
      }),
      runs(200),
    )
  })

  test('a commit that lies ahead, as the clock was put back, counts as one of now', () => {
    const due = committedAt(null, 7, 5_000_000, 1_000)
    const seen = committedAt(due, 8, 1_000, 1_000)
    expect(dueBy(seen, 1_999, 1_000).seq).toBe(0)
    expect(dueBy(seen, 2_000, 1_000).seq).toBe(8)
  })
})
