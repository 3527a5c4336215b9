/** The pipelines of guides as SQL: the form that `explain --as sql` writes goes on with the checkpoint of the other. */
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { root, startNode } from '../cli/child.ts'

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'millrace-form-'))
})
afterEach(() => rm(folder, { recursive: true }))

const millrace = (...args: readonly string[]) => startNode([join(root, 'src/cli/bin.ts'), ...args], folder).ended

/** A guide's pipeline and all of its input but for the second object. */
async function laid(name: string) {
  const guide = await readFile(join(root, `docs/guides/${name}.md`), 'utf8')
  const [, example = ''] = /```ts\n(import [\s\S]*?)```/.exec(guide) ?? []
  const [first = '', second = '', output = ''] = [...guide.matchAll(/```json\n([\s\S]*?)```/g)].map(
    ([, lines]) => lines,
  )
  await mkdir(join(folder, 'input'))
  await writeFile(join(folder, 'pipeline.ts'), example)
  await writeFile(join(folder, 'input/a.jsonl'), first)
  for (const [, file = '', text = ''] of guide.matchAll(/`(ref\/[^`]+)`:\n\n```\w+\n([\s\S]*?)```/g)) {
    await mkdir(join(folder, 'ref'), { recursive: true })
    await writeFile(join(folder, file), text)
  }
  const [, given = ''] = /After `npx millrace ([^`]+)`/.exec(guide) ?? []
  return { second, output, flags: given.split(' ').slice(2) }
}

const guides = [
  'calendar',
  'cumulative',
  'global',
  'joins',
  'last-of-a-key',
  'lookups',
  'sessions',
  'sql-steps',
  'top-n',
  'unions',
  'window-joins',
  'without-event-time',
]

/** One form begins and the other goes on: every other guide the other way round, which spares time. */
const forms = guides.map((name, index) =>
  index % 2 === 0 ? ([name, 'pipeline.ts', 'pipeline.sql'] as const) : ([name, 'pipeline.sql', 'pipeline.ts'] as const),
)

describe.each(forms)('the guide %s', (name, one, other) => {
  test(`begun by ${one} goes on by ${other}`, async () => {
    const { second, output, flags } = await laid(name)
    const written = await millrace('explain', 'pipeline.ts', '--as', 'sql')
    expect(written.code, written.stderr).toBe(0)
    await writeFile(join(folder, 'pipeline.sql'), written.stdout)
    const began = await millrace('backfill', one, '--no-flush', '--threads', '1')
    expect(began.code, began.stderr).toBe(0)
    await writeFile(join(folder, 'input/b.jsonl'), second)
    const ended = await millrace('backfill', other, ...flags, '--threads', '1')
    expect(ended.code, ended.stderr).toBe(0)
    const names = (await readdir(join(folder, 'output'))).filter(file => file.endsWith('.jsonl')).toSorted()
    const found = await Promise.all(names.map(file => readFile(join(folder, 'output', file), 'utf8')))
    const rows = (text: string) =>
      text
        .split('\n')
        .filter(line => line !== '')
        .toSorted()
    expect(rows(found.join(''))).toEqual(rows(output))
  })
})

test.each([
  ['deltas', 'deltas(...) has no SQL form'],
  ['unnest', 'unnest(...) has no SQL form'],
])('the guide %s has no SQL form, and it is said why', async (name, why) => {
  await laid(name)
  const { code, stderr } = await millrace('explain', 'pipeline.ts', '--as', 'sql')
  expect(code).toBe(2)
  expect(stderr).toContain(why)
})
