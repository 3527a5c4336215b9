import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { type Lab, openLab } from './harness.ts'

let lab: Lab
beforeEach(async () => {
  lab = await openLab()
})
afterEach(() => lab[Symbol.asyncDispose]())

const index = join(import.meta.dirname, '../../src/index.ts')

/** A process of its own runs a backfill with this step and tells which packages it looked for. */
async function packagesOf(step: string): Promise<readonly string[]> {
  const script = `
    import { registerHooks } from 'node:module'
    const seen = new Set()
    registerHooks({ resolve(name, context, next) { if (/^[a-z@]/.test(name) && !name.includes(':')) seen.add(name); return next(name, context) } })
    const { backfill, files, filterRows, json, mapBatches, pipeline, source, to, where } = await import(${JSON.stringify(index)})
    const columns = { t: 'TIMESTAMP', n: 'BIGINT' }
    const flow = source('in', { objects: ${JSON.stringify(lab.input)}, format: json(), columns, time: 't' })
      .pipe(${step}, to(files(${JSON.stringify(lab.output)}, { format: 'json' })))
    await backfill(pipeline('lazy', { checkpoint: ${JSON.stringify(lab.checkpoint)} }, flow), { threads: 1 })
    console.log(JSON.stringify([...seen]))`
  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', script])
  return JSON.parse(stdout) as string[]
}

test.each([
  ["where('n > 1')", false],
  ['filterRows(row => row.n > 1n)', false],
  ['mapBatches(batch => batch, columns)', true],
])('apache-arrow is loaded by mapBatches and by nothing else: %s', async (step, isLoaded) => {
  await lab.lines('a.jsonl', ['{"t":"2022-01-01T00:00:00Z","n":5}'])
  const packages = await packagesOf(step)
  expect(packages).toContain('@duckdb/node-api')
  expect(packages.includes('apache-arrow')).toBe(isLoaded)
  expect(await lab.rows()).toHaveLength(1)
})
