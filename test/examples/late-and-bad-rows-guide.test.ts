/** The pipeline of the guide to late and bad rows, over the guide's own input: what each of its folders has. */
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

test('the guide of late and bad rows gives what it says', async () => {
  const guide = await readFile(join(root, 'docs/guides/late-and-bad-rows.md'), 'utf8')
  const [, example = ''] = /```ts\n(import [\s\S]*?)```/.exec(guide) ?? []
  await writeFile(join(folder, 'pipeline.ts'), example)
  await mkdir(join(folder, 'input'))
  const shown = [...guide.matchAll(/`([^`\n]+)`:\n\n```json\n([\s\S]*?)```/g)].map(([, place = '', lines = '']) => ({
    place,
    lines,
  }))
  expect(shown.map(({ place }) => place)).toEqual(['input/a.jsonl', 'input/b.jsonl', 'hours', 'late', 'bad'])
  for (const { place, lines } of shown.slice(0, 2)) await writeFile(join(folder, place), lines)
  const [, given = ''] = /After `npx millrace ([^`]+)`/.exec(guide) ?? []
  const { code, stderr } = await startNode([join(root, 'src/cli/bin.ts'), ...given.split(' ')], folder).ended
  expect(code, stderr).toBe(0)
  for (const { place, lines } of shown.slice(2)) {
    const names = (await readdir(join(folder, place))).filter(file => file.endsWith('.jsonl')).toSorted()
    const found = await Promise.all(names.map(file => readFile(join(folder, place, file), 'utf8')))
    expect(found.join(''), place).toBe(lines)
  }
})
