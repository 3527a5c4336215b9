/**
 * The identity index (P2): entries of a ledger as a start loads them, and what it costs to ask for a few, for 1,000
 * neighbouring and for 1,000 random objects. In a process of its own, so that its memory is that of the ledger.
 *
 *     node bench/ledger.ts [ENTRIES [MEMORY]]
 */
import { mkdtemp, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { performance } from 'node:perf_hooks'
import { DuckDBInstance } from '@duckdb/node-api'
import { openSession } from '../src/engine/duckdb/session.ts'
import { createIdentities } from '../src/engine/intake/identities.ts'
import { createLedgerTable, ledgerColumns } from '../src/engine/state/ledger.ts'

const [entries = 20_000_000] = process.argv.slice(2, 3).map(Number)
const memory = process.argv[3] ?? '2GB'
const folder = await mkdtemp(join(tmpdir(), 'millrace-bench-'))
const session = await openSession({ memory, spill: folder })
const executor = await session.executor(new AbortController().signal)

async function timed(work: () => Promise<unknown>): Promise<number> {
  const started = performance.now()
  await work()
  return performance.now() - started
}

async function bestOf(rounds: number, work: () => Promise<unknown>): Promise<number> {
  const times: number[] = []
  for (let round = 0; round < rounds; round++) times.push(await timed(work))
  return Math.min(...times)
}

/** An object's key: a day's folder, then a name that no order foretells, as uploaders give them. */
const keyOf = (i: string) => `printf('year=2024/day=%05d/part-%s.json.gz', ${i} // 20000, md5(CAST(${i} AS VARCHAR)))`

try {
  const file = join(session.stage, 'ledger.parquet')
  const values: Readonly<Record<string, string>> = {
    seq: 'i',
    epoch: 'i // 100',
    source: "'events'",
    is: "'object'",
    bucket: "'bucket'",
    key: keyOf('i'),
    e_tag: "md5(concat('e', i))",
    size_bytes: '(100000 + hash(i) % 100000)::BIGINT',
    last_modified_ms: '(1700000000000 + i * 1000)::BIGINT',
    outcome: "'read'",
    rows: '(hash(i) % 1000)::BIGINT',
    late: '0',
    high_mark_us: '1700000000000000 + i * 1000000',
  }
  const items = Object.entries(ledgerColumns).map(
    ([name, type]) => `CAST(${values[name] ?? 'NULL'} AS ${type}) AS "${name}"`,
  )
  // Outside the session, whose memory is what is measured.
  const instance = await DuckDBInstance.create(':memory:', { memory_limit: '4GB', temp_directory: folder })
  const connection = await instance.connect()
  await connection.run(
    `COPY (SELECT ${items.join(', ')} FROM range(${entries}) AS r(i)) TO '${file}' (FORMAT parquet, COMPRESSION zstd)`,
  )
  connection.closeSync()
  instance.closeSync()
  const { size } = await stat(file)
  await createLedgerTable(executor, 'ledger')
  const columns = Object.keys(ledgerColumns).join(', ').replace(' is,', ' "is",')
  const loaded = await timed(() => executor.run(`INSERT INTO ledger SELECT ${columns} FROM read_parquet('${file}')`))
  const [used] = await executor.rows(
    'SELECT memory_usage_bytes AS m, temporary_storage_bytes AS t FROM (SELECT sum(memory_usage_bytes) ' +
      'AS memory_usage_bytes, sum(temporary_storage_bytes) AS temporary_storage_bytes FROM duckdb_memory())',
  )
  console.log(
    `${entries.toLocaleString('en')} entries, memory ${memory}: ` +
      `Parquet ${(size / entries).toFixed(0)} bytes each, loaded in ${(loaded / 1000).toFixed(1)} s, ` +
      `${((Number(used?.m) + Number(used?.t)) / entries).toFixed(0)} bytes each in DuckDB`,
  )
  let identities: Awaited<ReturnType<typeof createIdentities>> | undefined
  const ordered = await timed(async () => (identities = await createIdentities(executor, 'events', 'identities')))
  console.log(`fingerprints ordered in ${(ordered / 1000).toFixed(1)} s`)
  const ask = async (what: string, numbers: string) => {
    const offers = await executor.rows(
      `SELECT ${keyOf('i')} AS key, md5(concat('e', i)) AS e_tag FROM (${numbers}) AS n(i)`,
    )
    const versions = offers.map(({ key, e_tag }) => ({
      bucket: 'bucket',
      key: String(key),
      eTag: String(e_tag),
      sizeBytes: 0,
      lastModifiedMs: 0,
    }))
    let found = 0
    const ms = await bestOf(5, async () => {
      found = (await identities?.lookUp(versions))?.size ?? 0
    })
    console.log(`${what.padEnd(24)} ${ms.toFixed(1).padStart(8)} ms, ${found} found`)
  }
  const middle = Math.floor(entries / 2)
  await ask('one', `SELECT ${middle}`)
  await ask('the newest 10', `SELECT range + ${entries - 10} FROM range(10)`)
  await ask('10 that are new', `SELECT range + ${entries} FROM range(10)`)
  await ask('1,000 neighbouring', `SELECT range + ${middle} FROM range(1000)`)
  await ask('1,000 random', `SELECT CAST(hash(range) % ${entries} AS BIGINT) FROM range(1000)`)
} finally {
  await session.close()
  await rm(folder, { recursive: true, force: true })
}
