/** The guide of pipelines in SQL: its pipeline runs, and its other queries are compiled. */
import { spawn } from 'node:child_process'
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text as textOf } from 'node:stream/consumers'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { nodeBinary, root, startNode } from '../cli/child.ts'
import { openTestDuckdb } from '../plan/duckdb.ts'
import { compiled } from '../sql/plans.ts'

const guide = await readFile(join(root, 'docs/guides/sql-pipelines.md'), 'utf8')
const blocks = (language: string) =>
  [...guide.matchAll(new RegExp(`\`\`\`${language}\\n([^]*?)\`\`\``, 'g'))].map(([, text = '']) => text)

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'millrace-guide-'))
})
afterEach(() => rm(folder, { recursive: true }))

const millrace = (...args: readonly string[]) => startNode([join(root, 'src/cli/bin.ts'), ...args], folder).ended

test('the pipeline of the guide gives what it says', async () => {
  const [first = '', second = '', output] = blocks('json')
  await mkdir(join(folder, 'input'))
  await writeFile(join(folder, 'pipeline.sql'), blocks('sql')[0] ?? '')
  await writeFile(join(folder, 'input/a.jsonl'), first)
  await writeFile(join(folder, 'input/b.jsonl'), second)
  const { code, stderr } = await millrace('backfill', 'pipeline.sql', '--threads', '1')
  expect(code, stderr).toBe(0)
  const names = (await readdir(join(folder, 'output'))).filter(file => file.endsWith('.jsonl')).toSorted()
  const found = await Promise.all(names.map(file => readFile(join(folder, 'output', file), 'utf8')))
  expect(found.join('')).toBe(output)
  const explained = await millrace('explain', 'pipeline.sql')
  expect(explained.stdout).toContain('● topN 2 by cents desc, shop\n')
})

test('each query of the guide is one', async () => {
  await using duckdb = await openTestDuckdb()
  const queries = blocks('sql').filter(text => /^(SELECT|WITH)/.test(text))
  expect(queries).toHaveLength(4)
  const sources = `CREATE PIPELINE p WITH (checkpoint = 'ck');
    ${blocks('sql').find(text => text.startsWith('CREATE SOURCE trips'))}
    CREATE SOURCE payments (paid_at TIMESTAMP NOT NULL, trip_id VARCHAR, amount DOUBLE, WATERMARK FOR paid_at AS paid_at)
    WITH (objects = 'payments', format = 'json');
    CREATE SINK results WITH (connector = 'files', path = 'output', format = 'json');`
  const { flows } = await compiled(
    duckdb,
    `${sources}${queries.map(text => `INSERT INTO results ${text};`).join('\n')}`,
  )
  expect(flows).toHaveLength(4)
})

test('the function of the guide stands in its pipeline', async () => {
  await mkdir(join(folder, 'input'))
  await writeFile(join(folder, 'rows.ts'), blocks('ts')[0] ?? '')
  const text = (blocks('sql')[0] ?? '').replace('TUMBLE(sales', 'TUMBLE(halved(sales)')
  const create = "CREATE FUNCTION halved LANGUAGE typescript FROM './rows.ts';"
  expect(guide).toContain(`\`${create}\``)
  await writeFile(join(folder, 'pipeline.sql'), `${create}\n${text}`)
  await writeFile(join(folder, 'input/a.jsonl'), blocks('json')[0] ?? '')
  const { code, stderr } = await millrace('backfill', 'pipeline.sql', '--threads', '1')
  expect(code, stderr).toBe(0)
  const [name = ''] = (await readdir(join(folder, 'output'))).filter(file => file.endsWith('.jsonl'))
  expect(await readFile(join(folder, 'output', name), 'utf8')).toContain(
    '"shop":"south","sales":1,"cents":450,"rank":1',
  )
})

test('each statement of ours beside those of other systems is one', async () => {
  const page = await readFile(join(root, 'docs/guides/sql-from-other-systems.md'), 'utf8')
  const own = [...page.matchAll(/```sql\n-- millrace\n([^]*?)```/g)].map(([, text = '']) => text)
  const [source = '', ...queries] = own
  expect(queries).toHaveLength(5)
  await using duckdb = await openTestDuckdb()
  const before = `CREATE PIPELINE p WITH (checkpoint = 'ck');
    ${source}
    CREATE SOURCE payments (paid_at TIMESTAMP NOT NULL, trip_id VARCHAR, amount DOUBLE, WATERMARK FOR paid_at AS paid_at)
    WITH (objects = 'payments', format = 'json');
    CREATE LOOKUP zones (id BIGINT NOT NULL, name VARCHAR, PRIMARY KEY (id)) WITH (objects = 'zones.csv', format = 'csv');
    CREATE SINK results WITH (connector = 'files', path = 'output', format = 'json');`
  const { flows } = await compiled(duckdb, `${before}${queries.map(text => `INSERT INTO results ${text};`).join('\n')}`)
  expect(flows).toHaveLength(5)
})

test('a mistake is told with its line and a caret', async () => {
  await writeFile(join(folder, 'pipeline.sql'), (blocks('sql')[0] ?? '').replace('TUMBLE(sales', 'TUMBLE(sale'))
  const { code, stderr } = await millrace('explain', 'pipeline.sql')
  expect(code).toBe(2)
  expect(stderr).toContain("millrace: pipeline.sql:16:13: nothing is called sale here (did you mean 'sales'?)")
  expect(stderr).toContain("  16 | FROM TUMBLE(sale, INTERVAL '1 day')\n     |             ^\n")
})

test('the mistake of the guide to queries as steps is told as it says, and its other query is one', async () => {
  const page = await readFile(join(root, 'docs/guides/sql-steps.md'), 'utf8')
  const [, example = ''] = /```ts\n(import [^]*?)```/.exec(page) ?? []
  await writeFile(join(folder, 'pipeline.ts'), example.replace('WHERE cents > 0', 'WHERE cent > 0'))
  const told = [...page.matchAll(/^ {4}(.*)$/gm)].map(([, line = '']) => line)
  const { code, stderr } = await millrace('explain', 'pipeline.ts')
  expect(code).toBe(2)
  for (const line of told.filter(text => text.includes('millrace:') || / \| /.test(text)))
    expect(stderr).toContain(line)
  const [, other = ''] = /```sql\n([^]*?)```/.exec(page) ?? []
  const query = example.replace(
    /`SELECT[^]*?\n {4}\),/,
    `\`${other}\`, { sold_at: 'TIMESTAMP NOT NULL', total: 'BIGINT' }),`,
  )
  await writeFile(join(folder, 'pipeline.ts'), query.replace("groupBy('shop'),", ''))
  const explained = await millrace('explain', 'pipeline.ts')
  expect(explained.code, explained.stderr).toBe(0)
  expect(explained.stdout).toContain('● derive total BIGINT = cents * pieces\n● select sold_at, total\n')
})

test('the prompt of its guide gives what it says', async () => {
  const steps = await readFile(join(root, 'docs/guides/sql-steps.md'), 'utf8')
  const [, example = ''] = /```ts\n(import [^]*?)```/.exec(steps) ?? []
  const [, first = '', second = ''] =
    /`input\/a.jsonl`:\n\n```json\n([^]*?)```[^]*?```json\n([^]*?)```/.exec(steps) ?? []
  await mkdir(join(folder, 'input'))
  await writeFile(join(folder, 'pipeline.ts'), example)
  await writeFile(join(folder, 'input/a.jsonl'), first)
  await writeFile(join(folder, 'input/b.jsonl'), second)
  const ran = await millrace('backfill', 'pipeline.ts', '--threads', '1')
  expect(ran.code, ran.stderr).toBe(0)
  const page = await readFile(join(root, 'docs/guides/sql-prompt.md'), 'utf8')
  const [, session = ''] = /```text\n([^]*?)```/.exec(page) ?? []
  const lines = session.split('\n')
  const isTyped = (line: string) => /^(millrace>| {5}\.\.\.>) /.test(line)
  const input = lines.filter(isTyped).map(line => line.slice('millrace> '.length))
  expect(input).toHaveLength(4)
  const child = spawn(nodeBinary, [join(root, 'src/cli/bin.ts'), 'sql', 'checkpoint'], { cwd: folder })
  child.stdin.end(input.join('\n'))
  const [stdout, stderr] = await Promise.all([textOf(child.stdout), textOf(child.stderr)])
  expect(stdout, stderr).toBe(lines.filter(line => !isTyped(line)).join('\n'))
})
