import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { root, startNode } from '../cli/child.ts'

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'millrace-guide-'))
  await mkdir(join(folder, 'input'))
  for (const hour of ['00', '01', '02'])
    await writeFile(
      join(folder, 'input', `${hour}.jsonl`),
      ['east', 'west'].map(zone => `{"at":"2024-01-01T${hour}:10:00","zone":"${zone}"}\n`).join(''),
    )
  const guide = await readFile(join(root, 'docs/guides/sinks-that-are-away.md'), 'utf8')
  const [, example = ''] = /```ts\n([\s\S]*?)```/.exec(guide) ?? []
  await writeFile(join(folder, 'pipeline.ts'), example)
})
afterEach(() => rm(folder, { recursive: true }))

const linesIn = async (output: string): Promise<number> => {
  const names = (await readdir(join(folder, output))).filter(name => name.startsWith('part-'))
  const texts = await Promise.all(names.map(name => readFile(join(folder, output, name), 'utf8')))
  return texts.join('').trim().split('\n').length
}

test('the pipeline of the guide writes to both places, and to others by the names of its flows, where verify finds them', async () => {
  const millrace = (...args: readonly string[]) => startNode([join(root, 'src/cli/bin.ts'), ...args], folder).ended
  expect(await millrace('backfill', 'pipeline.ts', '--threads', '1')).toMatchObject({ code: 0 })
  expect([await linesIn('out/zones'), await linesIn('out/east')]).toEqual([6, 3])
  const places = ['--output', 'flow-1=elsewhere/zones', '--output', 'flow-2=elsewhere/east', '--checkpoint', 'second']
  expect(await millrace('backfill', 'pipeline.ts', '--threads', '1', ...places)).toMatchObject({ code: 0 })
  expect([await linesIn('elsewhere/zones'), await linesIn('elsewhere/east')]).toEqual([6, 3])
  const verified = await millrace('verify', 'pipeline.ts', '--threads', '1', ...places)
  expect(verified.stdout).toContain('nothing differs. 9 rows')
})
