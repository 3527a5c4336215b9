/** Each pipeline of the documentation as SQL: the same canonical plan, and written again it is the same text. */
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { stripTypeScriptTypes } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { compileFunction } from 'node:vm'
import * as rxjs from 'rxjs'
import { afterAll, beforeAll, expect, onTestFinished, test, vi } from 'vitest'
import { describeFlows } from '../../src/engine/bind/describe-flows.ts'
import * as millrace from '../../src/index.ts'
import type { Pipeline } from '../../src/plan/pipeline.ts'
import { sqlOf } from '../../src/sql/write/write-sql.ts'
import { openTestDuckdb, type TestDuckdb } from '../plan/duckdb.ts'
import { canonicalPlan, compiled } from '../sql/plans.ts'
import { type Block, isWhole, typescriptBlocks } from './pages.ts'

/** Every variable that a page takes for set. */
const environment = new Proxy({}, { get: () => 'postgres://user@host/database', has: () => true })

let duckdb: TestDuckdb
beforeAll(async () => {
  duckdb = await openTestDuckdb()
})
afterAll(() => duckdb[Symbol.asyncDispose]())

/** Without a file of its own beside it. */
const isPipeline = (block: Block) =>
  isWhole(block) && /^export default pipeline\(/m.test(block.code) && !/from '(?!millrace'|rxjs')/.test(block.code)

function pipelineOf(code: string): Pipeline {
  const body = stripTypeScriptTypes(code)
    .replaceAll(
      /^import \{([^}]*)\} from '(\w+)'/gm,
      (_, names: string, from: string) => `const {${names.replaceAll(' as ', ': ')}} = ${from}`,
    )
    .replace(/^export default /m, 'return ')
  return compileFunction(body, ['millrace', 'rxjs', 'process'])(millrace, rxjs, { env: environment })
}

async function written(pipeline: Pipeline) {
  const flows = await describeFlows(pipeline)
  flows.unsubscribe()
  return sqlOf(pipeline, flows)
}

/** What SQL cannot say. */
const without = [
  ['docs/guides/deltas.md', 'deltas(...) has no SQL form'],
  ['docs/guides/functions-of-typescript.md', 'mapRows(...) has no SQL form'],
  ['docs/guides/late-and-bad-rows.md', 'late(...) has no SQL form'],
  ['docs/guides/see-a-pipeline.md', 'late(...) has no SQL form'],
  ['docs/guides/unnest.md', 'unnest(...) has no SQL form'],
]

/** Why it has no form in SQL; undefined where it has one, which is the same plan both ways. */
async function unlike(pipeline: Pipeline, what: string): Promise<string | undefined> {
  const form = await written(pipeline)
  if (form.is === 'none') return form.why
  const again = await compiled(duckdb, form.sql, environment)
  expect(await canonicalPlan(duckdb, again), what).toEqual(await canonicalPlan(duckdb, pipeline))
  expect(await written(again), what).toEqual(form)
  return undefined
}

test('each example has a form in SQL with the same plan, or is known to have none', async () => {
  const found: (readonly string[])[] = []
  const all = (await typescriptBlocks()).filter(isPipeline)
  for (const { page, code } of all) {
    const why = await unlike(pipelineOf(code), page)
    if (why !== undefined) found.push([page, why])
  }
  expect(found).toEqual(without)
  expect(all.length).toBeGreaterThan(35)
})

test('so has each golden pipeline', async () => {
  const found: (readonly string[])[] = []
  let count = 0
  const folder = new URL('../golden/pipelines/', import.meta.url)
  // One of them makes a folder for its receiver.
  const taken = await mkdtemp(join(tmpdir(), 'millrace-taken-'))
  onTestFinished(() => rm(taken, { recursive: true }))
  vi.stubEnv('GOLDEN_TAKEN', taken)
  for (const name of (await readdir(folder)).toSorted()) {
    const { default: pipeline } = (await import(new URL(name, folder).href)) as { readonly default?: Pipeline }
    if (pipeline === undefined) continue
    count++
    const why = await unlike(pipeline, name)
    if (why !== undefined) found.push([name, why])
  }
  expect(found).toEqual([
    ['changes.ts', 'deltas(...) has no SQL form'],
    ['handed-over.ts', 'batches() hands rows to code, and has no SQL form'],
    ['set-aside.ts', 'late(...) has no SQL form'],
    ['together.ts', 'select(...) of all columns, in the order that they have already, has no SQL form; leave it out'],
    ['unnested.ts', 'unnest(...) has no SQL form'],
  ])
  expect(count).toBeGreaterThan(15)
})
