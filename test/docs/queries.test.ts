import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { query } from '../../src/index.ts'
import { runMillrace } from '../cli/child.ts'
import { pagePaths, readPage } from './pages.ts'

// What pages ask a checkpoint is asked of one that has late rows, results and corrections: that of the guide of late rows.

let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'millrace-queries-'))
  const guide = await readPage('docs/guides/late-rows.md')
  const [, pipeline = ''] = /```ts\n([\s\S]*?)```/.exec(guide) ?? []
  const [a = '', b = ''] = [...guide.matchAll(/```json\n([\s\S]*?)```/g)].map(([, lines]) => lines as string)
  await mkdir(join(folder, 'input'))
  await writeFile(join(folder, 'pipeline.ts'), pipeline)
  await writeFile(join(folder, 'input/a.jsonl'), a)
  await writeFile(join(folder, 'input/b.jsonl'), b)
  const args = ['backfill', 'pipeline.ts', '--no-flush', '--objects-per-epoch', '1', '--threads', '1']
  const { code, stderr } = await runMillrace(args, folder)
  if (code !== 0) throw new Error(stderr)
})
afterAll(() => rm(folder, { recursive: true }))

/** Pages whose own pipelines have other columns; their tests run those. */
const others = new Set(['docs/guides/sinks-that-are-away.md', 'docs/guides/docker.md', 'README.md', 'CHANGELOG.md'])

/** A query in single or in double quotes, at the end of a line of a shell. */
const command = /millrace sql \S*checkpoint\S* (?:'([^']+)'|"([^"]+)")$/gm
const texts = await Promise.all((await pagePaths()).map(async page => ({ page, text: await readPage(page) })))
const asked = texts
  .flatMap(({ page, text }) =>
    [...text.matchAll(command)].map(([, one, two]) => ({ page, sql: (one ?? two) as string })),
  )
  .filter(({ page, sql }) => !others.has(page) && !/afterwards|zones/.test(sql))

test('pages ask something', () => expect(asked.length).toBeGreaterThan(8))

test.each(asked)('$page asks $sql', async ({ sql }) => {
  const { columns } = await query(join(folder, 'checkpoint'), sql)
  expect(columns).not.toEqual([])
})
