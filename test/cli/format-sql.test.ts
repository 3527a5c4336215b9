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
  const { stdout } = await runMillrace(['explain', pathOf('tumbling-zones')], root)
  expect(stdout).toMatch(/^ {2}-- .*late\n {2}SELECT\n/m)
})

test('what it cannot take apart is shown as it is', () => {
  expect(formatSql("SELECT 'a")).toBe("SELECT 'a")
})

test('explain tells what meets in a step one after the other, each with a head', async () => {
  const { stdout } = await runMillrace(['explain', pathOf('set-aside')], root)
  const [, flow = ''] = /\nflow-1\n([\s\S]*?)\n\n/.exec(stdout) ?? []
  const ops = flow.split('\n').map(line => line.replace(/ [{].*/, ''))
  expect(ops).toEqual([
    '  input 1 of union:',
    '    source',
    '    hopping',
    '    groupBy',
    '    aggregate',
    '    late',
    '    derive',
    '    select',
    '  input 2 of union:',
    '    source',
    '    quarantine',
    '    derive',
    '    select',
    '  union',
    '  to',
  ])
})
