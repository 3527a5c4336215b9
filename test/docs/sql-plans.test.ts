/** Each pipeline of the documentation as SQL: the same canonical plan, and written again it is the same text. */
import { stripTypeScriptTypes } from 'node:module'
import { compileFunction } from 'node:vm'
import * as rxjs from 'rxjs'
import { afterAll, beforeAll, expect, test } from 'vitest'
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
  ['docs/guides/unnest.md', 'unnest(...) has no SQL form'],
]

test('each example has a form in SQL with the same plan, or is known to have none', async () => {
  const found: (readonly string[])[] = []
  const all = (await typescriptBlocks()).filter(isPipeline)
  for (const { page, code } of all) {
    const pipeline = pipelineOf(code)
    const form = await written(pipeline)
    if (form.is === 'none') {
      found.push([page, form.why])
      continue
    }
    const again = await compiled(duckdb, form.sql, environment)
    expect(await canonicalPlan(duckdb, again), page).toEqual(await canonicalPlan(duckdb, pipeline))
    expect(await written(again), page).toEqual(form)
  }
  expect(found).toEqual(without)
  expect(all.length).toBeGreaterThan(35)
})
