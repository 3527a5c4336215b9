import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { root, startNode } from '../cli/child.ts'

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'millrace-guide-'))
  await mkdir(join(folder, 'inbox'))
  for (const hour of ['00', '01', '02'])
    await writeFile(join(folder, 'inbox', `${hour}.jsonl`), `{"at":"2024-01-01T${hour}:10:00","zone":"east"}\n`)
  const guide = await readFile(join(root, 'docs/guides/after.md'), 'utf8')
  const [, example = ''] = /```ts\n([\s\S]*?)```/.exec(guide) ?? []
  await writeFile(join(folder, 'pipeline.ts'), example)
})
afterEach(() => rm(folder, { recursive: true }))

test('the pipeline of the guide moves what it has counted, as the guide shows, and verify agrees', async () => {
  const millrace = (...args: readonly string[]) => startNode([join(root, 'src/cli/bin.ts'), ...args], folder).ended
  expect(await millrace('backfill', 'pipeline.ts', '--threads', '1')).toMatchObject({ code: 0 })
  expect(await readdir(join(folder, 'inbox'))).toEqual([])
  expect((await readdir(join(folder, 'counted'))).toSorted()).toEqual(['00.jsonl', '01.jsonl', '02.jsonl'])
  const verified = await millrace('verify', 'pipeline.ts', '--threads', '1')
  expect(verified.stdout).toContain('nothing differs')
})
