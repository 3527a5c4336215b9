import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { root, runMillrace } from '../cli/child.ts'
import { serverFor } from '../servers/for-tests.ts'
import { openLakeReaders } from '../servers/lake-readers.ts'

const readers = await serverFor(openLakeReaders)

/** The statements of the guide as they stand there; the extension is one of PyPI. */
const attached = `
c = duckdb_with('ducklake')
os.chdir(args[0])
def ask(sql):
    for statement in [each for each in sql.split(';') if each.strip()]:
        if 'INSTALL' not in statement and 'LOAD' not in statement: c.execute(statement)
    return [[d[0] for d in c.description]] + [[str(value) for value in row] for row in c.fetchall()]
answer([ask(sql) for sql in args[1:]])
`

describe.skipIf(!readers)('the guide of DuckLake', () => {
  if (!readers) return
  let folder: string
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'millrace-guide-'))
  })
  afterEach(() => rm(folder, { recursive: true }))

  test('shows what its pipeline gives', async () => {
    const guide = await readFile(join(root, 'docs/guides/ducklake.md'), 'utf8')
    const [, example = ''] = /```ts\n(import [\s\S]*?)```/.exec(guide) ?? []
    const [first = '', second = ''] = [...guide.matchAll(/```json\n([\s\S]*?)```/g)].map(([, lines]) => lines)
    await mkdir(join(folder, 'input'))
    await writeFile(join(folder, 'pipeline.ts'), example)
    await writeFile(join(folder, 'input/a.jsonl'), first)
    await writeFile(join(folder, 'input/b.jsonl'), second)
    const done = async (...args: readonly string[]) => {
      const { code, stdout, stderr } = await runMillrace(args, folder)
      expect({ args, code, stderr }).toEqual({ args, code: 0, stderr })
      return stdout
    }
    await done('doctor', 'pipeline.ts')
    const [, given = ''] = /npx millrace (backfill .*)/.exec(guide) ?? []
    await done(...given.split(' '))
    expect(await done('backfill', 'pipeline.ts')).toContain('nothing to do')
    await done('doctor', 'pipeline.ts')
    await done('verify', 'pipeline.ts')
    await done('explain', 'pipeline.ts')
    const [attach = '', more = ''] = [...guide.matchAll(/```sql\n([\s\S]*?)```/g)].map(([, lines]) => lines)
    const [, shown = ''] = /```text\n([\s\S]*?)```/.exec(guide) ?? []
    const [rows, changes] = (await readers.ask(attached, folder, attach, more)) as readonly (readonly string[][])[]
    expect(rows?.map(row => row.join('|'))).toEqual(shown.trimEnd().split('\n'))
    expect(changes?.slice(1).map(row => row[2])).toEqual(['insert', 'insert', 'insert'])
  })
})
