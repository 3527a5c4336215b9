/** The tables of the guide, row by row. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createGate, type Gate } from '../../src/plan/gate.ts'
import { root } from '../cli/child.ts'
import { openTestDuckdb, type TestDuckdb } from '../plan/duckdb.ts'

let db: TestDuckdb
let gate: Gate
beforeAll(async () => {
  db = await openTestDuckdb()
  gate = createGate(db)
})
afterAll(async () => await db[Symbol.asyncDispose]())

const guide = await readFile(join(root, 'docs/guides/changing-a-pipeline.md'), 'utf8')
const [same = '', other = ''] = guide.split('## What is a change')
const pairs = (part: string) => [...part.matchAll(/^\| `(.+)` \| `(.+)` \|$/gm)].map(([, a, b]) => [a, b] as const)
const columns = ['amount', 'zone', 'kind', 'items', 'a', 'b', 'c']
const canonical = async (sql = '') => JSON.stringify(await gate.canonical(sql, columns))

test.each(pairs(same))('%s is the same as %s', async (a, b) => {
  expect(await canonical(a)).not.toContain('"text"')
  expect(await canonical(a)).toBe(await canonical(b))
})

test.each(pairs(other))('%s is another plan than %s', async (a, b) => {
  expect(await canonical(a)).not.toContain('"text"')
  expect(await canonical(a)).not.toBe(await canonical(b))
})

test('both tables are there', () => {
  expect([pairs(same).length, pairs(other).length]).toEqual([6, 6])
})
