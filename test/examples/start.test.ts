import { mkdir, mkdtemp, readdir, readFile, rename, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { nodeBinary, root, startNode } from '../cli/child.ts'

// The pages of docs/start and the guide of tests, done as they say, in one folder.

const page = (path: string) => readFile(join(root, 'docs', path), 'utf8')
const blocksOf = (text: string, language: string) =>
  [...text.matchAll(new RegExp(`^\`\`\`${language}\\n([\\s\\S]*?)^\`\`\``, 'gm'))].map(([, block]) => block as string)

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'millrace-start-'))
  const first = await page('start/first-result.md')
  const [a = '', b = ''] = blocksOf(first, 'json')
  await mkdir(join(folder, 'input'))
  await writeFile(join(folder, 'input/a.jsonl'), a)
  await writeFile(join(folder, 'input/b.jsonl'), b)
  await writeFile(join(folder, 'pipeline.ts'), blocksOf(first, 'ts')[0] ?? '')
})
afterEach(() => rm(folder, { recursive: true }))

async function linesIn(output: string): Promise<string> {
  const names = await readdir(join(folder, output)).catch((): string[] => [])
  const files = names.filter(name => name.endsWith('.jsonl')).toSorted()
  return (await Promise.all(files.map(name => readFile(join(folder, output, name), 'utf8')))).join('')
}

test('live: what is there comes first, then what lands, and Ctrl-C ends it', async () => {
  const live = await page('start/live.md')
  const [, command = ''] = /^ {4}npx millrace (run .*)$/m.exec(live) ?? []
  const [, landing = ''] = /^ {4}echo '(.*)' > c.jsonl$/m.exec(live) ?? []
  const [before = '', after = ''] = blocksOf(live, 'json')
  const child = startNode([join(root, 'src/cli/bin.ts'), ...command.split(' '), '--no-http', '--threads', '1'], folder)
  const until = async (expected: string) => {
    while ((await linesIn('live/output')) !== expected) {
      if (await Promise.race([child.ended, setTimeout(50)])) throw new Error(JSON.stringify(child.output()))
    }
  }
  await until(before)
  await writeFile(join(folder, 'c.jsonl'), `${landing}\n`)
  await rename(join(folder, 'c.jsonl'), join(folder, 'input/c.jsonl'))
  await until(before + after)
  child.kill('SIGINT')
  expect(await child.ended).toMatchObject({ code: 0 })
})

test('the commands that look around answer', async () => {
  const first = await page('start/first-result.md')
  const millrace = (...args: readonly string[]) => startNode([join(root, 'src/cli/bin.ts'), ...args], folder).ended
  expect(await millrace('backfill', 'pipeline.ts', '--threads', '1')).toMatchObject({ code: 0 })
  const [, query = ''] = /^ {4}npx millrace sql checkpoint '(.*)'$/m.exec(first) ?? []
  const asked = await millrace('sql', 'checkpoint', query, '--format', 'csv')
  expect(asked.code, asked.stderr).toBe(0)
  expect(asked.stdout.trim().split('\n').slice(1).toSorted()).toEqual(['north,1500', 'south,1100'])
  expect(await millrace('verify', 'pipeline.ts', '--threads', '1')).toMatchObject({ code: 0 })
  expect((await millrace('backfill', 'pipeline.ts', '--threads', '1')).stdout).toContain('nothing to do')
})

test('the tests of the guide pass, and fail when the pipeline sums something else', async () => {
  const guide = await page('guides/test-a-pipeline.md')
  await writeFile(join(folder, 'package.json'), '{"type":"module"}')
  await writeFile(join(folder, 'pipeline.test.ts'), blocksOf(guide, 'ts')[0] ?? '')
  await mkdir(join(folder, 'node_modules'))
  await symlink(join(root, 'node_modules/vitest'), join(folder, 'node_modules/vitest'))
  // In the place of the package: the sources, as they are.
  const config = `export default { resolve: { alias: { millrace: ${JSON.stringify(join(root, 'src/index.ts'))} } }, server: { fs: { strict: false } }, test: { testTimeout: 300_000 } }`
  await writeFile(join(folder, 'vitest.config.js'), config)
  const vitest = () =>
    startNode([join(root, 'node_modules/vitest/vitest.mjs'), 'run', '--pool', 'forks', '--root', folder], folder, {
      PATH: `${join(nodeBinary, '..')}:${process.env.PATH}`,
    }).ended
  const passed = await vitest()
  expect(passed.code, passed.stdout + passed.stderr).toBe(0)
  const pipeline = await readFile(join(folder, 'pipeline.ts'), 'utf8')
  await writeFile(join(folder, 'pipeline.ts'), pipeline.replace("sum('cents')", 'count()').replace('sum, ', ''))
  expect((await vitest()).code).toBe(1)
})
