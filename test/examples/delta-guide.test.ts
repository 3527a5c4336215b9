import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { root, runMillrace } from '../cli/child.ts'
import { readTable } from '../connectors/delta/readers.ts'
import { serverFor } from '../servers/for-tests.ts'
import { openLakeReaders } from '../servers/lake-readers.ts'

const readers = await serverFor(openLakeReaders)

describe.skipIf(!readers)('the guide of Delta Lake', () => {
  let folder: string
  let guide: string
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'millrace-guide-'))
    guide = await readFile(join(root, 'docs/guides/delta.md'), 'utf8')
    const [, example = ''] = /```ts\n(import [\s\S]*?)```/.exec(guide) ?? []
    const [first = '', second = ''] = [...guide.matchAll(/```json\n([\s\S]*?)```/g)].map(([, lines]) => lines)
    await mkdir(join(folder, 'input'))
    await writeFile(join(folder, 'pipeline.ts'), example)
    await writeFile(join(folder, 'input/a.jsonl'), first)
    await writeFile(join(folder, 'input/b.jsonl'), second)
  })
  afterEach(() => rm(folder, { recursive: true }))

  test('shows what its pipeline gives', async () => {
    if (!readers) return
    const done = async (...args: readonly string[]) => {
      const { code, stdout, stderr } = await runMillrace(args, folder)
      expect({ args, code, stderr }).toEqual({ args, code: 0, stderr })
      return stdout
    }
    expect(await done('doctor', 'pipeline.ts')).toContain('puts them without that condition may overwrite epochs')
    const [, given = ''] = /npx millrace (backfill .*)/.exec(guide) ?? []
    await done(...given.split(' '))
    const [, shown = ''] = /```text\n([\s\S]*?)```/.exec(guide) ?? []
    const [, ...lines] = shown.trimEnd().split('\n')
    const expected = lines.map(line => line.split(/ +/))
    for (const found of await readTable(readers, join(folder, 'today'))) {
      const rows = found.map(({ shop, sales, cents }) => [String(shop), String(sales), String(cents)])
      expect(rows.toSorted(([a = ''], [b = '']) => a.localeCompare(b))).toEqual(expected)
    }
    expect(await done('backfill', 'pipeline.ts')).toContain('nothing to do')
    for (const args of [
      ['explain', 'pipeline.ts'],
      ['inspect', 'checkpoint'],
      ['verify', 'pipeline.ts'],
      ['run', 'pipeline.ts', '--until-idle'],
    ])
      await done(...args)
    for (const found of await readTable(readers, join(folder, 'today'))) expect(found.length).toBe(2)
  }, 120_000)
})
