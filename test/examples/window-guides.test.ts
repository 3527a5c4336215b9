/** The pipelines of guides that show input and output, each over its guide's own input. */
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { root, startNode } from '../cli/child.ts'

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'millrace-guide-'))
})
afterEach(() => rm(folder, { recursive: true }))

const guides = [
  '../start/first-result',
  'calendar',
  'cumulative',
  'deltas',
  'functions-of-typescript',
  'global',
  'joins',
  'last-of-a-key',
  'lookups',
  'sessions',
  'sql-steps',
  'top-n',
  'unions',
  'unnest',
  'window-joins',
  'without-event-time',
]

describe.each(guides)('the guide %s', name => {
  test.each(['1', '2'])('gives what it says, with %s objects an epoch', async objectsPerEpoch => {
    const guide = await readFile(join(root, `docs/guides/${name}.md`), 'utf8')
    const [, example = ''] = /```ts\n(import [\s\S]*?)```/.exec(guide) ?? []
    const [first, second, output] = [...guide.matchAll(/```json\n([\s\S]*?)```/g)].map(([, lines = '']) => lines)
    await mkdir(join(folder, 'input'))
    await writeFile(join(folder, 'pipeline.ts'), example)
    await writeFile(join(folder, 'input/a.jsonl'), first ?? '')
    await writeFile(join(folder, 'input/b.jsonl'), second ?? '')
    for (const [, name = '', text = ''] of guide.matchAll(/`(ref\/[^`]+)`:\n\n```\w+\n([\s\S]*?)```/g)) {
      await mkdir(join(folder, 'ref'), { recursive: true })
      await writeFile(join(folder, name), text)
    }
    const [, given = ''] = /After `npx millrace ([^`]+)`/.exec(guide) ?? []
    const args = [...given.split(' '), '--objects-per-epoch', objectsPerEpoch, '--threads', '1']
    const { code, stderr } = await startNode([join(root, 'src/cli/bin.ts'), ...args], folder).ended
    expect(code, stderr).toBe(0)
    const names = (await readdir(join(folder, 'output'))).filter(file => file.endsWith('.jsonl')).toSorted()
    const found = await Promise.all(names.map(file => readFile(join(folder, 'output', file), 'utf8')))
    expect(found.join('')).toBe(output)
  })
})
