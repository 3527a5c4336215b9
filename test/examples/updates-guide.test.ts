import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { root, startNode } from '../cli/child.ts'

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'millrace-guide-'))
})
afterEach(() => rm(folder, { recursive: true }))

test('the pipeline of the guide gives the changes that it shows; sql has what they come to, and verify agrees', async () => {
  const guide = await readFile(join(root, 'docs/guides/updates.md'), 'utf8')
  const [, example = ''] = /```ts\n(import [\s\S]*?)```/.exec(guide) ?? []
  const [first = '', second = '', output] = [...guide.matchAll(/```json\n([\s\S]*?)```/g)].map(([, lines]) => lines)
  await mkdir(join(folder, 'input'))
  await writeFile(join(folder, 'pipeline.ts'), example)
  await writeFile(join(folder, 'input/a.jsonl'), first)
  await writeFile(join(folder, 'input/b.jsonl'), second)
  const millrace = (...args: readonly string[]) => startNode([join(root, 'src/cli/bin.ts'), ...args], folder).ended
  const [, given = ''] = /After `npx millrace ([^`]+)`/.exec(guide) ?? []
  const { code, stderr } = await millrace(...given.split(' '), '--threads', '1')
  expect(code, stderr).toBe(0)
  const names = (await readdir(join(folder, 'output'))).filter(file => file.endsWith('.jsonl')).toSorted()
  const found = await Promise.all(names.map(file => readFile(join(folder, 'output', file), 'utf8')))
  expect(found.join('')).toBe(output)
  const [, query = ''] = /npx millrace sql checkpoint '([^']+)'/.exec(guide) ?? []
  const { stdout } = await millrace('sql', 'checkpoint', query, '--json')
  expect(
    stdout
      .trim()
      .split('\n')
      .map(line => JSON.parse(line)),
  ).toEqual([{ shop: 'north', sales: '2', cents: '750' }])
  const [, log = ''] = /```sql\n([\s\S]*?)```/.exec(guide) ?? []
  const asView = log.replace("read_json('output/*.jsonl')", 'output')
  expect(asView).not.toBe(log)
  const byHand = await millrace('sql', 'checkpoint', `SELECT shop, sales, cents FROM (${asView})`, '--json')
  expect(byHand.stdout).toBe(stdout)
  expect((await millrace('verify', 'pipeline.ts', '--threads', '1')).stdout).toContain('nothing differs')
})
