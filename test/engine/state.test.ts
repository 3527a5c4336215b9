import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Executor } from '../../src/core/ports.ts'
import {
  adopt,
  createStateTable,
  type Held,
  partialsTable,
  ownPartials,
  type StateTable,
} from '../../src/engine/state/state.ts'
import { openTestDuckdb, type TestDuckdb } from '../plan/duckdb.ts'

let db: TestDuckdb
beforeAll(async () => {
  db = await openTestDuckdb()
})
afterAll(async () => await db[Symbol.asyncDispose]())

/** Windows of 10 microseconds, sums by key. */
const state = {
  key: 'flow-1',
  stage: { id: 'flow-1' },
  channel: {
    name: '',
    life: { is: 'row' },
    emitsFrom: '(_start + 10)',
    closesAt: '(_start + 10)',
    columns: { _start: 'BIGINT', k: 'BIGINT', n: 'BIGINT' },
    order: ['_start', 'k'],
    merge: (rows: string) => `SELECT _start, k, CAST(sum(n) AS BIGINT) AS n FROM (${rows}) GROUP BY _start, k`,
  },
} as unknown as StateTable

describe('a state table', () => {
  test('keeps what the watermark has not closed, and no more dead rows than living ones for long (P11)', async () => {
    const executor = {
      run: async (sql: string) => void (await db.rows(sql)),
      rows: (sql: string) => db.rows(sql),
    } as unknown as Executor
    await createStateTable(executor, state)
    const keys = 1_000
    let held: Held = { rows: 0, storedRows: 0, mergedRows: 0, emitsFromUs: null, closesToUs: null }
    let storedMax = 0
    for (let epoch = 0; epoch < 100; epoch++) {
      // Each epoch has rows of two windows; the watermark closes the earlier one.
      await executor.run(
        `CREATE TABLE own AS SELECT CAST(${epoch} + w AS BIGINT) * 10 AS _start, k, CAST(k + w AS BIGINT) AS n FROM range(${keys}) AS a(k), range(2) AS b(w)`,
      )
      const table = await partialsTable(executor, state.channel, 'own', [])
      const watermarkUs = BigInt(epoch) * 10n + 10n
      const { survivors } = await ownPartials(executor, state, table, watermarkUs)
      held = await adopt(executor, state, held, { table, survivors }, watermarkUs)
      await executor.run('DROP TABLE own')
      const [found] = await db.rows(
        `SELECT count(*) AS n, min(_start) AS low, max(_start) AS high, CAST(sum(n) AS BIGINT) AS sum FROM "state_flow-1"`,
      )
      const start = BigInt(epoch + 1) * 10n
      expect(found).toEqual({ n: 1_000n, low: start, high: start, sum: BigInt((keys * (keys - 1)) / 2 + keys) })
      expect(held).toMatchObject({ rows: keys, emitsFromUs: start + 10n, closesToUs: start + 10n })
      const [size] = await db.rows(`SELECT estimated_size AS n FROM duckdb_tables() WHERE table_name = 'state_flow-1'`)
      storedMax = Math.max(storedMax, Number(size?.n))
      expect(Number(size?.n)).toBe(held.storedRows)
    }
    expect(storedMax).toBe(20_000)
  })
})
