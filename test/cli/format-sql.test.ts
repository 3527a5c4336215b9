import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { formatSql } from '../../src/cli/format-sql.ts'
import type { Executor } from '../../src/core/ports.ts'
import { text } from '../../src/plan/sql.ts'
import { openSession, type Session } from '../../src/engine/duckdb/session.ts'
import type { Explanation } from '../../src/engine/explain.ts'
import { goldens } from '../golden/golden.ts'
import { root, runMillrace } from './child.ts'

let session: Session
let executor: Executor
beforeAll(async () => {
  session = await openSession({ threads: 1 })
  executor = await session.executor(new AbortController().signal)
})
afterAll(() => session.close())

/** A statement as DuckDB's parser has it, without the places of its words in the text. */
async function parsed(sql: string): Promise<unknown> {
  const [row] = await executor.rows(`SELECT json_serialize_sql(${text(sql)}) AS parsed`)
  const found: unknown = JSON.parse(String(row?.parsed), (key, value: unknown) =>
    key === 'query_location' ? undefined : value,
  )
  expect(found).toMatchObject({ error: false })
  return found
}

const pathOf = (name: string) => `test/golden/pipelines/${name}.ts`

describe('SQL that is formatted says the same', () => {
  test.each(goldens)('of the pipeline $name', async ({ name }) => {
    const told = await runMillrace(['explain', pathOf(name), '--json'], root)
    expect(told).toMatchObject({ code: 0, stderr: '' })
    const { flows } = JSON.parse(told.stdout) as Explanation
    for (const { sql } of flows.flatMap(({ stages }) => stages)) {
      const formatted = formatSql(sql)
      expect(formatted.split('\n').length).toBeGreaterThan(1)
      expect(await parsed(formatted)).toEqual(await parsed(sql))
    }
  })
})

test('the command shows a clause a line', async () => {
  const { stdout } = await runMillrace(['explain', pathOf('tumbling-zones'), '--stages'], root)
  expect(stdout).toMatch(/^-- flow-1: late\nSELECT\n {2}/m)
})

test('what it cannot take apart is shown as it is', () => {
  expect(formatSql("SELECT 'a")).toBe("SELECT 'a")
})
