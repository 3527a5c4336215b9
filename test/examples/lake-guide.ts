import { expect } from 'vitest'
import type { LakeReaders } from '../servers/lake-readers.ts'
import { openGuideFolder } from './guide-folder.ts'

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
 * Does what a guide of a sink says: its backfill, and its first SQL, whose answer must be the guide's own. Gives the
 * answers of the SQL.
 */
export async function followLakeGuide(
  readers: LakeReaders,
  name: string,
  extensions: readonly string[],
): Promise<readonly (readonly (readonly string[])[])[]> {
  await using reader = await openGuideFolder(name)
  const { folder, blocks, done, backfill } = reader
  await done('doctor', 'pipeline.ts')
  await done(...backfill)
  expect(await done('backfill', 'pipeline.ts')).toContain('nothing to do')
  for (const command of ['doctor', 'explain']) await done(command, 'pipeline.ts')
  const verified = await done('verify', 'pipeline.ts')
  expect(verified).toContain('nothing differs in what was compared. 0 rows of output')
  expect(verified).toContain('flow-1 was not compared: verify reads files of output, and its rows went elsewhere.')
  // Places in buckets are not here.
  const local = blocks('sql').filter(sql => !sql.includes('s3:'))
  const answers = (await readers.ask(asked, folder, extensions.join(','), ...local)) as string[][][]
  const [shown = ''] = blocks('text')
  expect(answers[0]?.map(row => row.join('|'))).toEqual(shown.trimEnd().split('\n'))
  return answers
}
