import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { root, startNode } from '../cli/child.ts'

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'millrace-guide-'))
  await mkdir(join(folder, 'inbox'))
  const line = (zone: string | null) => `${JSON.stringify({ at: '2024-03-31 05:10:00', zone, fare: '1.50' })}\n`
  await writeFile(join(folder, 'inbox', 'a.jsonl'), [line('JFK'), line('a/b'), line(null)].join(''))
  const guide = await readFile(join(root, 'docs/guides/output-files.md'), 'utf8')
  const examples = [...guide.matchAll(/```ts\n([\s\S]*?)```/g)].map(([, example = '']) => example)
  for (const [index, name] of ['pipeline.ts', 'few.ts'].entries())
    await writeFile(join(folder, name), examples[index] ?? '')
})
afterEach(() => rm(folder, { recursive: true }))

test('the pipeline of the guide writes the folders that it shows, and verify agrees', async () => {
  const millrace = (...args: readonly string[]) => startNode([join(root, 'src/cli/bin.ts'), ...args], folder).ended
  expect(await millrace('backfill', 'pipeline.ts', '--threads', '1')).toMatchObject({ code: 0 })
  const guide = await readFile(join(root, 'docs/guides/output-files.md'), 'utf8')
  const shown = [...guide.matchAll(/^ {4}results\/(\S+\.parquet)$/gm)].map(([, key]) => String(key))
  const found = await readdir(join(folder, 'results'), { recursive: true })
  expect(found.filter(name => name.endsWith('.parquet')).toSorted()).toEqual(shown.toSorted())
  expect((await millrace('verify', 'pipeline.ts', '--threads', '1')).stdout).toContain('nothing differs')
})

test('the pipeline that has few files puts the rows of all epochs into one', async () => {
  const millrace = (...args: readonly string[]) => startNode([join(root, 'src/cli/bin.ts'), ...args], folder).ended
  for (const name of ['b.jsonl', 'c.jsonl'])
    await writeFile(join(folder, 'inbox', name), '{"at":"2024-03-31 06:00:00","zone":"JFK"}\n')
  const options = ['--threads', '1', '--objects-per-epoch', '1']
  expect(await millrace('backfill', 'few.ts', ...options)).toMatchObject({ code: 0 })
  const files = (await readdir(join(folder, 'results'))).filter(name => name.startsWith('part-'))
  expect(files).toEqual(['part-00000003-flow-1.parquet'])
  const { stdout } = await millrace('sql', 'checkpoint', 'SELECT count(*) AS n FROM output')
  expect(stdout).toMatch(/\b5\b/)
  expect((await millrace('verify', 'few.ts', '--threads', '1')).stdout).toContain('nothing differs')
})
