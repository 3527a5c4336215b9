import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { sessionWindows } from '../../operators/session.ts'
import { createIslands, islandsTable, noteIslands, openIslands } from '../../src/engine/state/islands.ts'
import type { Stage } from '../../src/plan/stages.ts'
import { openTestDuckdb, type TestDuckdb } from '../plan/duckdb.ts'

let db: TestDuckdb
beforeAll(async () => {
  db = await openTestDuckdb()
})
afterAll(async () => await db[Symbol.asyncDispose]())

const windows = sessionWindows(4n)
const columns = { _first: 'BIGINT', _last: 'BIGINT', k: 'VARCHAR' }
const life = {
  is: 'merged',
  columns,
  firstUs: '_first',
  lastUs: '_last',
  touchUs: 4n,
  islands: (rows: string) => `SELECT DISTINCT _first, _last, k FROM (${windows.together?.(rows, ['k']) ?? ''})`,
}
const stage = { id: 's', step: { channels: [{ life, closesAt: windows.closesAt }] } } as unknown as Stage

beforeEach(async () => {
  await db.run(`DROP TABLE IF EXISTS ${islandsTable(stage)}`)
  await createIslands(db as never, stage)
})

const rows = (...times: readonly number[]) =>
  `SELECT * FROM (VALUES ${times.map(t => `(${t}::BIGINT, ${t}::BIGINT, 'a')`).join(', ')}) AS p(_first, _last, k)`
const note = (epoch: number, times: readonly number[], watermark: number | null, isMerged = false) =>
  noteIslands(
    db as never,
    stage,
    epoch,
    times.length > 0 ? { sql: rows(...times), isMerged } : undefined,
    watermark === null ? null : BigInt(watermark),
  )
const open = async (epoch?: number) =>
  (await db.rows(openIslands(stage, epoch))).map(({ _first, _last }) => `${String(_first)}-${String(_last)}`).toSorted()

describe('the open islands of a stage (S10, P11)', () => {
  test('grow together, go when the watermark is two gaps behind, and the first of them is told', async () => {
    expect(await note(1, [0, 10], null)).toBe(0n)
    expect(await open()).toEqual(['0-0', '10-10'])
    expect(await note(2, [3, 6, 8], 8)).toBe(0n)
    expect(await open()).toEqual(['0-10'])
    expect(await note(3, [30], 18)).toBe(30n)
    expect(await open()).toEqual(['30-30'])
    expect(await note(4, [], 38)).toBeNull()
  })

  test('a merge for a manifest never sees those of an epoch that is not committed', async () => {
    await note(5, [0, 20], null)
    // The sixth epoch is being committed, and closes what the fifth left open.
    await note(6, [22], 8)
    expect(await open(5), 'a write of HEAD at the fifth').toEqual(['0-0', '20-20'])
    expect(await open(4), 'a merge that began earlier').toEqual(['0-0', '20-20'])
    expect(await open(6), 'the commit of the sixth itself').toEqual(['20-22'])
    // The fifth is no more needed once the seventh begins, so the sixth is committed.
    await note(7, [40], 29)
    expect(await open(5)).toEqual(['20-22'])
    expect(await open(6)).toEqual(['20-22'])
    expect(await open(7)).toEqual(['20-22', '40-40'])
  })

  test('rows that were not merged are not dead by themselves, as where a checkpoint is read (S10)', async () => {
    // 0 by itself would be dead at 8; 3 and 6 carry it on to 14.
    expect(await note(1, [0, 3, 6], 8)).toBe(0n)
    expect(await open()).toEqual(['0-6'])
  })

  test('rows that were merged and touch nothing that is open are dead by themselves; those that touch it are not', async () => {
    expect(await note(1, [0], null)).toBe(0n)
    expect(await note(2, [3, 20], 10, true)).toBe(0n)
    expect(await open()).toEqual(['0-3', '20-20'])
    expect(await note(3, [30, 40], 38, true)).toBe(40n)
    expect(await open()).toEqual(['40-40'])
  })

  test('an epoch that was given up leaves nothing behind', async () => {
    await note(1, [0], null)
    await note(2, [2], null)
    await note(2, [9], null)
    expect(await open(2)).toEqual(['0-0', '9-9'])
    expect(await open(1)).toEqual(['0-0'])
  })

  test('where none is open, those of before stay until there are others: they touch nothing that lives', async () => {
    await note(1, [0], null)
    expect(await note(2, [], 50)).toBeNull()
    expect(await open(2)).toEqual(['0-0'])
    expect(await note(3, [60], 50)).toBe(60n)
    expect(await open(3)).toEqual(['60-60'])
  })
})
