import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect } from 'vitest'
import { root, runMillrace } from '../cli/child.ts'
import type { LakeReaders } from '../servers/lake-readers.ts'

/** The statements of a guide as they stand there; the extensions are those of PyPI. */
const asked = `
c = duckdb_with(*args[1].split(','))
os.chdir(args[0])
def ask(sql):
    for statement in [each for each in sql.split(';') if each.strip()]:
        if 'INSTALL' not in statement and 'LOAD' not in statement: c.execute(statement)
    return [[d[0] for d in c.description]] + [[str(value) for value in row] for row in c.fetchall()]
answer([ask(sql) for sql in args[2:]])
`

/**
 * Does what a guide of a sink says, in an empty folder: its pipeline, its two inputs, its backfill, its first SQL, whose
 * answer must be the guide's own. Gives the answers of the SQL.
 */
export async function followLakeGuide(
  readers: LakeReaders,
  name: string,
  extensions: readonly string[],
): Promise<readonly (readonly (readonly string[])[])[]> {
  const folder = await mkdtemp(join(tmpdir(), 'millrace-guide-'))
  try {
    const guide = await readFile(join(root, `docs/guides/${name}.md`), 'utf8')
    const blocks = (language: string) =>
      [...guide.matchAll(new RegExp(`\`\`\`${language}\\n([\\s\\S]*?)\`\`\``, 'g'))].map(([, lines = '']) => lines)
    const [example = ''] = blocks('ts')
    const [first = '', second = ''] = blocks('json')
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
    for (const command of ['doctor', 'verify', 'explain']) await done(command, 'pipeline.ts')
    // Places in buckets are not here.
    const local = blocks('sql').filter(sql => !sql.includes('s3:'))
    const answers = (await readers.ask(asked, folder, extensions.join(','), ...local)) as string[][][]
    const [shown = ''] = blocks('text')
    expect(answers[0]?.map(row => row.join('|'))).toEqual(shown.trimEnd().split('\n'))
    return answers
  } finally {
    await rm(folder, { recursive: true })
  }
}
