import { readdir, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import {
  aggregate,
  backfill,
  count,
  delta,
  ducklake,
  files,
  groupBy,
  iceberg,
  parquet,
  pipeline,
  postgres,
  query,
  source,
  sum,
  to,
  topK,
  tumbling,
} from '../../src/index.ts'
import { BUCKET, makeBucket, S3_ENVIRONMENT } from '../connectors/s3/fixtures.ts'
import { serverFor } from '../servers/for-tests.ts'
import { startMinio } from '../servers/minio.ts'
import { psql, startPostgres } from '../servers/postgres.ts'
import { type Lab, openLab } from './harness.ts'

/** Values that a way through texts or through other types would lose. */
const columns = {
  t: 'TIMESTAMP NOT NULL',
  k: 'VARCHAR',
  n: 'BIGINT',
  u: 'UBIGINT',
  d: 'DECIMAL(30,2)',
  x: 'DOUBLE',
  id: 'UUID',
  b: 'BLOB',
  day: 'DATE',
  at: 'TIMESTAMPTZ',
} as const
const row = (hour: number, values: string) => `(TIMESTAMP '2024-01-01' + to_hours(${hour}), ${values})`
const early = "DATE '0044-03-15 (BC)', TIMESTAMPTZ '0044-03-15 (BC) 12:00:00+00'"
const rows = [
  [
    row(
      1,
      `'a', 9223372036854775807, 18446744073709551615, 1234567890123456789012345678.25, 'nan', uuid(), '\\xFF\\x00'::BLOB, DATE '2024-02-29', now()`,
    ),
    row(2, `'', -1, 0, -0.01, '-inf', NULL, ''::BLOB, ${early}`),
  ],
  [
    row(3, `E'x''"\\n,', 0, 1, 0, 1e-300, uuid(), NULL, NULL, NULL`),
    row(4, 'NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL'),
  ],
]

let lab: Lab
const named = Object.keys(columns).map(name => `"${name}"`)
const cast = Object.entries(columns).map(([name, type]) => `CAST("${name}" AS ${type.split(' ')[0]}) AS "${name}"`)

beforeEach(async () => {
  lab = await openLab()
  for (const [index, values] of rows.entries())
    await lab.parquet(
      `${index}.parquet`,
      `SELECT ${cast.join(', ')} FROM (VALUES ${values.join(', ')}) AS r(${named.join(', ')})`,
    )
})
afterEach(async () => {
  vi.unstubAllEnvs()
  await lab[Symbol.asyncDispose]()
})

const table = (name: string) => join(lab.output, name)
const flows = () => {
  const all = source('rows', {
    objects: lab.input,
    format: parquet(),
    columns,
    time: 't',
    watermark: { delay: '1 day' },
  })
  const now = all.pipe(tumbling('1 day'), groupBy('k'), aggregate({ rows: count(), d: sum('d'), top: topK('n', 2) }))
  return { all, now }
}
const run = (made: Parameters<typeof backfill>[0]) => backfill(made, { objectsPerEpoch: 1, threads: 1 })
const ask = async (sql: string) => (await query(lab.checkpoint, sql)).rows

describe('tables of lakes', () => {
  beforeEach(async () => {
    const { all, now } = flows()
    const key = ['window_start', 'k'] as const
    await run(
      pipeline(
        'tables',
        { checkpoint: lab.checkpoint },
        all.pipe(to(files(table('files'), { format: 'parquet' }))),
        all.pipe(to(delta(table('delta'), { partitionBy: ['n'] }))),
        all.pipe(to(iceberg(table('iceberg'), { partitionBy: ['n'] }))),
        all.pipe(to(ducklake(table('lake'), { table: 'rows' }))),
        now.pipe(to(files(table('now'), { format: 'parquet' }), { emit: 'update' })),
        now.pipe(to(delta(table('delta-now'), { key }), { emit: 'update' })),
        now.pipe(to(iceberg(table('iceberg-now'), { key }), { emit: 'update' })),
      ),
    )
  })

  test('have the rows that files have, and the latest view', async () => {
    const all = await ask('FROM output_flow_1 ORDER BY t')
    expect(all).toHaveLength(4)
    for (const flow of [2, 3, 4]) expect(await ask(`FROM output_flow_${flow} ORDER BY t`), `flow ${flow}`).toEqual(all)
    const now = await ask('FROM latest_flow_5 ORDER BY ALL')
    expect(now).toHaveLength(4)
    for (const flow of [6, 7]) expect(await ask(`FROM latest_flow_${flow} ORDER BY ALL`), `flow ${flow}`).toEqual(now)
    const views = (await query(lab.checkpoint, 'SHOW TABLES')).rows.map(({ name }) => String(name))
    expect(views.filter(name => /flow_[2-7]/.test(name))).toEqual([
      'latest_flow_5',
      'latest_flow_6',
      'latest_flow_7',
      'output_flow_2',
      'output_flow_3',
      'output_flow_4',
      'output_flow_5',
    ])
  })

  test('tell which version each epoch came with', async () => {
    const versions = async (flow: number) =>
      (await ask(`SELECT DISTINCT epoch, version FROM outputs WHERE flow = 'flow-${flow}' ORDER BY epoch`)).map(
        ({ epoch, version }) => [Number(epoch), version] as const,
      )
    for (const [flow, name] of [
      [2, 'delta'],
      [6, 'delta-now'],
    ] as const)
      for (const [epoch, version] of await versions(flow)) {
        const entry = await readFile(join(table(name), `_delta_log/${String(version).padStart(20, '0')}.json`), 'utf8')
        expect(entry).toContain(`"millrace":{"epoch":${epoch},`)
      }
    const metadata = (await readdir(join(table('iceberg'), 'metadata'))).filter(name => /^v\d/.test(name)).toSorted()
    const newest = await readFile(join(table('iceberg'), 'metadata', metadata.at(-1) as string), 'utf8')
    const found = await versions(3)
    expect(found.map(([epoch]) => epoch)).toEqual([1, 2])
    for (const [epoch, id] of found)
      expect(newest).toMatch(new RegExp(`"snapshot-id":${String(id)},[^}]*"millrace.epoch":"${epoch}"`))
    expect(await versions(4)).toEqual([
      [1, '2'],
      [2, '3'],
    ])
    expect(await versions(1)).toEqual([
      [1, null],
      [2, null],
    ])
    expect(await ask("SELECT DISTINCT address FROM outputs WHERE flow = 'flow-4'")).toEqual([
      { address: `file://${table('lake')}/main.rows` },
    ])
  })

  test('that are gone have no view, and it is said why', async () => {
    await rm(table('delta'), { recursive: true })
    const missing = `output_flow_2 is not here: file://${table('delta')}: the table is gone`
    for (const sql of ['FROM output_flow_2', 'SELECT 1 FROM output'])
      await expect(ask(sql)).rejects.toMatchObject({ kind: 'user', message: expect.stringContaining(missing) })
    expect(await ask('FROM output_flow_3')).toHaveLength(4)
    const { rows: files, notes } = await query(lab.checkpoint, "SELECT version FROM outputs WHERE flow = 'flow-2'")
    expect(files).not.toEqual([])
    for (const { version } of files) expect(version).toBe(null)
    expect(notes).toEqual([])
    await rm(table('lake'), { recursive: true })
    await rm(join(table('iceberg'), 'metadata'), { recursive: true })
    await expect(ask('FROM output_flow_4')).rejects.toThrow(
      /output_flow_4 is not here: .*main[.]rows: the table is gone/,
    )
    await expect(ask('FROM output_flow_3')).rejects.toThrow(
      /output_flow_3 is not here: .*iceberg\/?: the table is gone/,
    )
  })
})

const server = await serverFor(() => startPostgres({ logins: ['host all anna 127.0.0.1/32 scram-sha-256'] }))

test.skipIf(!server)(
  'a table of PostgreSQL is read by the login of the environment, and no password is told',
  async () => {
    if (!server) return
    await psql(server, "CREATE ROLE anna LOGIN PASSWORD 'open-sesame'; CREATE SCHEMA anna AUTHORIZATION anna")
    const { all, now } = flows()
    const url = server.endpoint.replace('millrace@', 'anna:open-sesame@')
    await run(
      pipeline(
        'tables',
        { checkpoint: lab.checkpoint },
        all.pipe(to(files(table('files'), { format: 'parquet' }))),
        all.pipe(to(postgres({ url, table: 'all', schema: 'anna' }))),
        now.pipe(to(files(table('now'), { format: 'parquet' }), { emit: 'update' })),
        now.pipe(to(postgres({ url, table: 'now', key: ['window_start', 'k'] }), { emit: 'update' })),
      ),
    )
    vi.stubEnv('PGPASSFILE', '/dev/null')
    vi.stubEnv('PGUSER', 'anna')
    vi.stubEnv('PGPASSWORD', 'closed-sesame')
    const refused = await ask('FROM output_flow_2').catch((error: unknown) => String(error))
    expect(refused).toMatch(/output_flow_2 is not here: postgres:.*password.*PGPASSWORD/)
    expect(refused).not.toMatch(/sesame/)
    vi.stubEnv('PGPASSWORD', 'open-sesame')
    expect(await ask('FROM output_flow_2 ORDER BY t')).toEqual(await ask('FROM output_flow_1 ORDER BY t'))
    expect(await ask('FROM latest_flow_4 ORDER BY ALL')).toEqual(await ask('FROM latest_flow_3 ORDER BY ALL'))
  },
)

const minio = await serverFor(startMinio)

test.skipIf(!minio)('tables in a bucket are read where their addresses say', async () => {
  if (!minio) return
  for (const [name, value] of Object.entries(S3_ENVIRONMENT)) vi.stubEnv(name, value)
  await makeBucket(minio.endpoint)
  const at = (name: string) => `s3://${BUCKET}/${name}/?endpoint=${minio.endpoint}`
  const { all } = flows()
  await run(
    pipeline(
      'tables',
      { checkpoint: lab.checkpoint },
      all.pipe(to(files(table('files'), { format: 'parquet' }))),
      all.pipe(to(delta(at('delta')))),
      all.pipe(to(iceberg(at('iceberg')))),
      all.pipe(to(ducklake(at('lake'), { table: 'rows' }))),
    ),
  )
  const expected = await ask('FROM output_flow_1 ORDER BY t')
  for (const flow of [2, 3, 4])
    expect(await ask(`FROM output_flow_${flow} ORDER BY t`), `flow ${flow}`).toEqual(expected)
  expect((await ask('FROM outputs WHERE version IS NULL')).map(({ flow }) => flow)).toEqual(['flow-1', 'flow-1'])
})
