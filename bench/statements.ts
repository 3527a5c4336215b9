/**
 * What statements prepared once, over tables that are made once and refilled, would save of a small epoch: the counts,
 * the partial query, its range, the insert into state and the rows for HEAD, over 100 rows, as millrace writes them for
 * `groupBy('device'), aggregate({ n: count(), total: sum('value') })` with integers. Both ways in turn, three times.
 *
 *     node bench/statements.ts [EPOCHS]
 */
import { type DuckDBConnection, DuckDBInstance } from '@duckdb/node-api'
import { performance } from 'node:perf_hooks'

const [epochs = 1_000] = process.argv.slice(2).map(Number)
const typed =
  'SELECT 0 AS _part, FALSE AS _bad, FALSE AS _timeless, 1704067200000000 + i * 1000 AS _t, ' +
  'make_timestamp(1704067200000000 + i * 1000) AS _v0, i % 10 AS _v1, i AS _v2 FROM range(100) AS r(i)'
const counts = (rows: string) =>
  'SELECT _part, count(*) AS rows, min(_row) AS first, max(_row) AS last, count(*) FILTER (_bad) AS bad, ' +
  'count(*) FILTER (NOT _bad AND _timeless) AS timeless, max(t) FILTER (ok) AS high_mark, ' +
  'coalesce(bool_or(ok AND _v1 IS NOT NULL), FALSE) AS seen ' +
  `FROM (SELECT *, _t AS t, NOT _bad AND NOT _timeless AS ok FROM (SELECT rowid AS _row, * FROM ${rows})) GROUP BY 1`
const partial = (rows: string) =>
  'SELECT "_in"._time - ("_in"._time % 60000000) - CAST(("_in"._time ' +
  '% 60000000) < 0 AS BIGINT) * 60000000 AS "_start", ' +
  '"_in".device, count(*) AS n, CAST(coalesce(sum("_in".value), 0) AS HUGEINT) AS total ' +
  'FROM (SELECT *, epoch_us("at") AS _time ' +
  'FROM (SELECT CAST(7 AS BIGINT) AS _seq, _row, CAST(1704067100000000 AS BIGINT) AS _watermark, ' +
  `_v0 AS "at", _v1 AS device, _v2 AS value FROM (SELECT rowid AS _row, * FROM ${rows}))) AS "_in" ` +
  'WHERE "_in"._watermark IS NULL OR "_in"._time >= "_in"._watermark - ("_in"._watermark % 60000000) GROUP BY 1, 2'
const range = (work: string) =>
  `SELECT count(*) AS n, min(_start + 60000000) AS closes_from, max(_start + 60000000) AS closes_to FROM ${work}`
const open = (work: string) =>
  `SELECT "_start", device, n, total FROM ${work} WHERE (_start + 60000000) > 1704067100000000`

async function connect(): Promise<DuckDBConnection> {
  const connection = await (await DuckDBInstance.create(':memory:', { threads: '2' })).connect()
  await connection.run(`CREATE TABLE typed AS ${typed}`)
  await connection.run(`CREATE TABLE work AS ${partial('typed')}`)
  await connection.run('CREATE TABLE state AS FROM work LIMIT 0')
  return connection
}

async function planned(connection: DuckDBConnection): Promise<void> {
  for (let epoch = 0; epoch < epochs; epoch++) {
    const [rows, work] = [`typed_${epoch}`, `work_${epoch}`]
    await connection.run(`CREATE TABLE ${rows} AS ${typed}`)
    await connection.runAndReadAll(counts(rows))
    await connection.run(`CREATE TABLE ${work} AS ${partial(rows)}`)
    await connection.runAndReadAll(range(work))
    await connection.run(`INSERT INTO state ${open(work)}`)
    await connection.runAndReadAll(open(work))
    await connection.run(`DROP TABLE ${work}`)
    await connection.run(`DROP TABLE ${rows}`)
    await connection.run('DELETE FROM state')
  }
}

async function prepared(connection: DuckDBConnection): Promise<void> {
  const texts = [
    counts('typed'),
    `INSERT INTO work ${partial('typed')}`,
    range('work'),
    `INSERT INTO state ${open('work')}`,
    open('work'),
    'DELETE FROM work',
    'DELETE FROM typed',
    'DELETE FROM state',
  ]
  await connection.run('DELETE FROM work')
  await connection.run('DELETE FROM typed')
  const statements = await Promise.all(texts.map(sql => connection.prepare(sql)))
  for (let epoch = 0; epoch < epochs; epoch++) {
    // What is read has its file's name in it: planned afresh either way.
    await connection.run(`INSERT INTO typed ${typed}`)
    for (const statement of statements) await statement.runAndReadAll()
  }
}

async function measure(name: string, run: (connection: DuckDBConnection) => Promise<void>): Promise<number> {
  const connection = await connect()
  const [startMs, start] = [performance.now(), process.cpuUsage()]
  await run(connection)
  const { user, system } = process.cpuUsage(start)
  const cpuMs = (user + system) / 1000 / epochs
  const [[held]] = (
    await connection.runAndReadAll('SELECT sum(memory_usage_bytes) FROM duckdb_memory()')
  ).getRows() as [[bigint]]
  const wallMs = (performance.now() - startMs) / epochs
  console.log(
    `${name}: ${cpuMs.toFixed(2)} ms of CPU an epoch, ${wallMs.toFixed(2)} ms; ` +
      `DuckDB holds ${(Number(held) / 1e6).toFixed(1)} MB after it`,
  )
  return cpuMs
}

for (let round = 0; round < 3; round++) {
  const [fresh, once] = [await measure('planned each time', planned), await measure('prepared once', prepared)]
  console.log(`ratio ${(once / fresh).toFixed(2)}, ${(fresh - once).toFixed(2)} ms of CPU saved`)
}
