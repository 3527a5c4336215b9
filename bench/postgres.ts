/**
 * An epoch of a million rows into PostgreSQL beside a plain COPY of the same rows, and epochs of a few rows. Every side in
 * turn, the best of several rounds; a server of its own, with fsync.
 *
 *     node bench/postgres.ts [ROWS ROUNDS]
 */
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { performance } from 'node:perf_hooks'
import { cpus } from 'node:os'
import { promisify } from 'node:util'
import { copyRows } from '../connectors/postgres/rows.ts'
import { openPostgres } from '../connectors/postgres/sink.ts'
import { postgres } from '../connectors/postgres/spec.ts'
import { openSession } from '../src/engine/duckdb/session.ts'
import { psql, startPostgres } from '../test/servers/postgres.ts'

const [rows = 1_000_000, rounds = 3] = process.argv.slice(2).map(Number)
const columns = {
  window_start: 'TIMESTAMP NOT NULL',
  zone: 'BIGINT NOT NULL',
  trips: 'BIGINT NOT NULL',
  revenue: 'DECIMAL(18,2)',
  share: 'DOUBLE',
  name: 'VARCHAR',
}
const key = ['window_start', 'zone'] as const
const epochSql = (count: number, round = 0) =>
  `SELECT TIMESTAMP '2024-01-01' + to_hours((i // 1000)::INTEGER) AS window_start, i % 1000 AS zone, i AS trips,
     (i * 7.31 + ${round})::DECIMAL(18,2) AS revenue, i / 3 AS share, 'zone ' || (i % 1000) AS name FROM range(${count}) AS r(i)`

const server = await startPostgres({ settings: ['fsync=on', 'shared_buffers=256MB', 'max_wal_size=4GB'] })
const session = await openSession({})
const executor = await session.executor(new AbortController().signal)
const never = new AbortController().signal
let files = 0

async function seconds(work: () => Promise<unknown>): Promise<number> {
  const started = performance.now()
  await work()
  return (performance.now() - started) / 1000
}

/** A sink over a table of its own, and what stages and publishes an epoch of it. */
async function openSide(table: string, more: { readonly key?: readonly string[] } = {}, isOfChanges = false) {
  const own = isOfChanges ? { _op: 'VARCHAR NOT NULL', _epoch: 'BIGINT NOT NULL', ...columns } : columns
  const sink = postgres({ url: server.endpoint, table, ...more })
  const context = {
    output: 'flow-1',
    columns: own,
    operation: 'append',
    checkpointId: table,
    pipeline: 'bench',
  } as const
  const port = await openPostgres(sink, context)
  await port.own(true, 1)
  const { items, form } = copyRows(sink, own, 'flow-1')
  let epoch = 0
  return {
    stage: (sql: string) =>
      executor.write(
        `SELECT ${items} FROM (SELECT ${isOfChanges ? "'upsert' AS _op, 1::BIGINT AS _epoch, " : ''}* FROM (${sql}))`,
        join(session.stage, `f${++files}`),
        [],
        form,
      ),
    publish: (file: string) =>
      port.publish(
        {
          term: 1,
          epoch: ++epoch,
          operation: 'append',
          receipt: null,
          files: [],
          local: [file],
          rows: () => {
            throw new Error('unused')
          },
        },
        never,
      ),
  }
}

try {
  const tables = ['plain', 'added', 'keyed', 'changed'] as const
  const best = new Map<string, number>()
  const note = (name: string, found: number) => best.set(name, Math.min(best.get(name) ?? Infinity, found))
  const csv = join(session.stage, 'plain.csv')
  note('DuckDB writes CSV', await seconds(() => executor.write(epochSql(rows), csv, [], { format: 'csv' })))
  await promisify(execFile)('chmod', ['-R', 'a+rX', join(session.stage, '..')])
  for (let round = 0; round < rounds; round++) {
    await psql(server, `DROP TABLE IF EXISTS ${tables.join(', ')}, millrace_commits`)
    await psql(
      server,
      'CREATE TABLE plain (window_start timestamp NOT NULL, zone bigint NOT NULL, trips bigint NOT NULL, revenue numeric(18,2), share double precision, name text)',
    )
    note('plain COPY, psql', await seconds(() => psql(server, `\\copy plain FROM '${csv}' (FORMAT csv, HEADER true)`)))
    await psql(server, 'CREATE UNIQUE INDEX ON plain (window_start, zone); TRUNCATE plain')
    note(
      'plain COPY into a table with the key',
      await seconds(() => psql(server, `\\copy plain FROM '${csv}' (FORMAT csv, HEADER true)`)),
    )
    for (const [table, more, isOfChanges] of [
      ['added', {}, false],
      ['keyed', { key }, false],
      ['changed', { key }, true],
    ] as const) {
      const side = await openSide(table, more, isOfChanges)
      for (const what of table === 'added' ? [''] : [', new keys', ', keys that are there']) {
        const staged: { file: string }[] = []
        note(
          `${table}${what}: staged`,
          await seconds(async () => staged.push(await side.stage(epochSql(rows, what.length)))),
        )
        note(`${table}${what}: published`, await seconds(() => side.publish(staged[0]?.file as string)))
      }
      if (table !== 'added') continue
      const { file } = await side.stage(epochSql(3))
      note(
        'an epoch of 3 rows: published',
        (await seconds(async () => {
          for (let i = 0; i < 50; i++) await side.publish(file)
        })) / 50,
      )
    }
  }
  console.log(`${rows.toLocaleString('en')} rows, ${cpus().length} cores, best of ${rounds}`)
  const plain = best.get('plain COPY, psql') as number
  for (const [name, found] of best)
    console.log(
      `${name.padEnd(44)} ${found.toFixed(3).padStart(8)} s   ${(found / plain).toFixed(2)} times the plain COPY`,
    )
} finally {
  await session.close()
  await server.stop()
}
