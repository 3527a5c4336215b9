import { mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { root, startNode } from './child.ts'

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'millrace-sql-'))
  await mkdir(join(folder, 'pipelines/input'), { recursive: true })
})
afterEach(() => rm(folder, { recursive: true }))

const written = (file: string, text: string) => writeFile(join(folder, 'pipelines', file), text)
const millrace = (args: readonly string[], env: Readonly<Record<string, string>> = {}) =>
  startNode([join(root, 'src/cli/bin.ts'), ...args], join(folder, 'pipelines'), env).ended

const rows = `import { mapRows } from 'millrace'
console.error('imported')
export const browsers = mapRows(
  ({ seen_at, agent }: any) => ({ seen_at, browser: agent.split('/')[0] }),
  { seen_at: 'TIMESTAMP NOT NULL', browser: 'VARCHAR' },
)
`

const pipeline = (file: string, query = 'SELECT * FROM browsers(visits)') => `
CREATE PIPELINE p WITH (checkpoint = 'checkpoint');
CREATE SOURCE visits (seen_at TIMESTAMP NOT NULL, agent VARCHAR, WATERMARK FOR seen_at AS seen_at) WITH (objects = 'input', format = 'json');
CREATE FUNCTION browsers LANGUAGE typescript FROM '${file}';
CREATE SINK output WITH (connector = 'files', path = 'output', format = 'json');
CREATE SINK all_visits WITH (connector = 'files', path = 'all', format = 'json');
CREATE VIEW seen AS ${query};
INSERT INTO output SELECT window_start, window_end, browser, count(*) AS n FROM TUMBLE(seen, INTERVAL '1 day') GROUP BY ALL;
INSERT INTO all_visits SELECT agent FROM visits;
`

test('a function of TypeScript stands in a query, and flows keep their order', async () => {
  await written('rows.ts', rows)
  await written('p.sql', pipeline('./rows.ts'))
  await written(
    'input/a.json',
    '{"seen_at":"2024-01-01 10:00:00","agent":"lynx/2"}\n{"seen_at":"2024-01-01 11:00:00","agent":"lynx/3"}\n',
  )
  const { code, stderr } = await millrace(['backfill', 'p.sql', '--threads', '1'])
  expect(code, stderr).toBe(0)
  const names = (await readdir(join(folder, 'pipelines/output'))).filter(name => name.endsWith('.jsonl'))
  expect(names).toHaveLength(1)
  expect(names[0]).toContain('flow-1')
  expect(await readFile(join(folder, 'pipelines/output', names[0] ?? ''), 'utf8')).toBe(
    '{"window_start":"2024-01-01 00:00:00","window_end":"2024-01-02 00:00:00","browser":"lynx","n":2}\n',
  )
})

test('what is wrong elsewhere is told before a file is imported', async () => {
  await written('rows.ts', rows)
  await written('p.sql', pipeline('./rows.ts').replace('SELECT agent FROM', 'SELECT agnt FROM'))
  const { code, stderr } = await millrace(['explain', 'p.sql'])
  expect(code).toBe(2)
  expect(stderr).toContain('Did you mean "agent"?')
  expect(stderr).not.toContain('imported')
})

test.each([
  ['../rows.ts', '../rows.ts: lies elsewhere; expected a file below the folder of the SQL file'],
  ['./link.ts', './link.ts: lies elsewhere; expected a file below the folder of the SQL file'],
  ['./none.ts', './none.ts: does not exist'],
  ['./p.sql', './p.sql: is no code; expected .ts, .mts, .js, .mjs'],
  ['https://host/rows.ts', 'no address is'],
  ['./other.ts', './other.ts exports no operator called browsers'],
])('%s is no place of a function', async (file, message) => {
  await writeFile(join(folder, 'rows.ts'), rows)
  await symlink(join(folder, 'rows.ts'), join(folder, 'pipelines/link.ts'))
  await written('other.ts', 'export const other = 1\n')
  await written('p.sql', pipeline(file))
  const { code, stderr } = await millrace(['explain', 'p.sql'])
  expect(code).toBe(2)
  expect(stderr).toContain('millrace: p.sql:4:51: ')
  expect(stderr).toContain(message)
  expect(stderr).not.toContain('imported')
})

test('what a variable holds is not shown', async () => {
  const text = pipeline('./rows.ts', 'SELECT *, agent AS browser FROM visits').replace(
    "path = 'all'",
    () => "path = '${PLACE}/$${x}'",
  )
  await written('p.sql', text)
  await written('rows.ts', rows)
  const { code, stdout } = await millrace(['explain', 'p.sql'], { PLACE: 'a-secret-place' })
  expect(code).toBe(0)
  expect(stdout).toContain('files ${PLACE}/${x}')
  expect(stdout).not.toContain('a-secret-place')
})
