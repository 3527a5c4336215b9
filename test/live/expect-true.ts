import { expect } from 'vitest'
import type { LiveLab } from './live-lab.ts'

/** The rows' first five columns, which the oracle computes. */
const judged = (rows: readonly string[]) => rows.map(row => row.split(' ').slice(0, 5).join(' ')).toSorted()

/**
 * So many objects were read, each once, and the daemon's rows are those of an independent computation over its ledger,
 * and of a backfill of it.
 */
export async function expectTrue(lab: LiveLab, objects: number): Promise<void> {
  const keys = await lab.ledgerKeys()
  expect(keys).toHaveLength(objects)
  expect(new Set(keys).size).toBe(objects)
  const rows = await lab.rows()
  const expected = await lab.expected()
  expect(judged(rows)).toEqual(expected.rows)
  expect(rows.length).toBeGreaterThan(100)
  expect(await lab.late()).toBe(expected.late)
  expect(await lab.replayed()).toEqual(rows)
}
