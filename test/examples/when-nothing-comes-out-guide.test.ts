/** What the guide says that `millrace why` answers, it answers. */
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { root, runMillrace } from '../cli/child.ts'

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'millrace-guide-'))
})
afterEach(() => rm(folder, { recursive: true }))

test('the guide for when nothing comes out: the answers of why are those that it shows', async () => {
  const guide = await readFile(join(root, 'docs/guides/when-nothing-comes-out.md'), 'utf8')
  const [, example = ''] = /```ts\n(import [\s\S]*?)```/.exec(guide) ?? []
  const [, lines = ''] = /`input\/trips\.jsonl`:\n\n```json\n([\s\S]*?)```/.exec(guide) ?? []
  await mkdir(join(folder, 'input'))
  await writeFile(join(folder, 'pipeline.ts'), example)
  await writeFile(join(folder, 'input/trips.jsonl'), lines)
  const done = async (line: string) => {
    const args = [...line.matchAll(/"([^"]*)"|(\S+)/g)].map(([, quoted, plain]) => quoted ?? plain ?? '')
    const { code, stdout, stderr } = await runMillrace(args, folder)
    expect({ line, code }, stderr).toEqual({ line, code: 0 })
    return stdout
  }
  const [, backfill = ''] = /After `npx millrace (backfill [^`]+)`/.exec(guide) ?? []
  await done(backfill)
  const asked = [...guide.matchAll(/ {4}npx millrace (why .*)\n\n```text\n([\s\S]*?)```/g)]
  expect(asked).toHaveLength(2)
  for (const [, line = '', answer] of asked) expect(await done(line), line).toBe(answer)
})
