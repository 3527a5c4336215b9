import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { pipelineFile } from '../../src/cli/demo/pipeline-file.ts'
import { root, startNode } from './child.ts'

let dir: string
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'millrace-test-'))
})
afterEach(() => rm(dir, { recursive: true }))

/** Loads in a process of its own and gives the pipeline's name, or the error. */
async function load(
  file: string,
): Promise<{ readonly name?: string; readonly error?: string; readonly kind?: string }> {
  const { stdout, stderr } = await startNode([`${root}test/cli/load-in-child.ts`, file], dir).ended
  expect(stderr).toBe('')
  return JSON.parse(stdout)
}

const loaded = { name: 'revenue-by-zone' }

describe.each([['commonjs'], ['module'], [undefined]])('in a package of type %s', type => {
  beforeEach(() => writeFile(join(dir, 'package.json'), JSON.stringify({ name: 'user', ...(type && { type }) })))

  test.each(['pipeline.ts', 'pipeline.mts', 'pipeline.js', 'pipeline.mjs'])('%s loads as an ES module', async file => {
    await writeFile(join(dir, file), pipelineFile)
    expect(await load(file)).toEqual(loaded)
  })

  test('so do the TypeScript files that it imports', async () => {
    await writeFile(join(dir, 'pipeline.ts'), `import { it } from './it.ts'\nexport default it\n`)
    await writeFile(join(dir, 'it.ts'), pipelineFile.replace('export default', 'export const it: object ='))
    expect(await load('pipeline.ts')).toEqual(loaded)
  })
})

test("'millrace' is the running one, even where another copy is installed", async () => {
  await mkdir(join(dir, 'node_modules/millrace'), { recursive: true })
  await writeFile(
    join(dir, 'node_modules/millrace/package.json'),
    '{"name":"millrace","type":"module","exports":"./index.js"}',
  )
  await writeFile(join(dir, 'node_modules/millrace/index.js'), `throw new Error('the other copy')`)
  await writeFile(join(dir, 'pipeline.ts'), pipelineFile)
  expect(await load('pipeline.ts')).toEqual(loaded)
})

test('the example loads', async () => {
  expect(await load(`${root}examples/hourly-zones.ts`)).toEqual({ name: 'hourly-zones' })
})

describe('a file that is no pipeline', () => {
  const written = (text: string, file = 'p.ts') => writeFile(join(dir, file), text)

  test.each<[why: string, text: string, message: string]>([
    [
      'no default export',
      'export const trips = 1',
      'p.ts: found the exports trips but no default; expected a pipeline: export default pipeline(',
    ],
    ['no export', 'const a = 1', 'p.ts: found no export at all; expected a pipeline'],
    ['a number', 'export default 42', 'p.ts: found the number 42 as its default export; expected a pipeline'],
    ['undefined', 'export default undefined', 'found undefined as its default export'],
    ['an object', 'export default { name: "x" }', 'found a plain object as its default export'],
    ['a function', 'export default function make() {}', "found a function 'make' as its default export"],
    ['a syntax error', '\nexport default = 3\n', '/p.ts:2: Expression expected.'],
    ['an enum', 'enum A { B }\nexport default A', '/p.ts:1: TypeScript enum is not supported in strip-only mode'],
    [
      'a misspelt import',
      `import { sorce } from 'millrace'\nexport default sorce`,
      "does not provide an export named 'sorce'",
    ],
    [
      'CommonJS',
      'module.exports = 1',
      'is read as an ES module: module is not defined in ES module scope; expected import and export',
    ],
    [
      'a missing package',
      `import 'no-such-package'`,
      "failed while it was loaded: Cannot find package 'no-such-package'",
    ],
    ['a throw', `throw new Error('no QUEUE_URL')`, 'p.ts: failed while it was loaded: no QUEUE_URL.'],
  ])('%s', async (_, text, message) => {
    await written(text)
    expect(await load('p.ts')).toEqual({ kind: 'user', error: expect.stringContaining(message) })
  })

  test('a syntax error in a file that it imports is told with that file', async () => {
    await written(`export { default } from './q.ts'`)
    await written('\n\nlet = = 3', 'q.ts')
    expect((await load('p.ts')).error).toMatch(/^p\.ts: cannot be read at .*\/q\.ts:3: /)
  })

  test('a missing file, a folder and another extension', async () => {
    expect((await load('none.ts')).error).toContain('none.ts: does not exist')
    expect((await load('.')).error).toContain('.: is no file')
    await written('', 'p.json')
    expect((await load('p.json')).error).toContain(
      "p.json: '.json' is no extension of a pipeline; expected .ts, .mts, .js, .mjs, .sql",
    )
  })

  test("a mistake told by millrace's own functions keeps its words", async () => {
    await written(pipelineFile.replace("'1 day'", "'1 fortnight'"))
    expect(await load('p.ts')).toEqual({ kind: 'user', error: expect.stringContaining("'1 fortnight' is not valid") })
  })
})
