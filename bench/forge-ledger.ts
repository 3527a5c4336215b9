/**
 * A checkpoint with a long ledger, for measuring what a start with it takes: adds so many entries, in so many files, to
 * the checkpoint of a pipeline that has run, as if its objects had been read and were gone from the place.
 *
 *     node bench/forge-ledger.ts CHECKPOINT ENTRIES [FILES]
 *     /usr/bin/time -v npx millrace backfill pipeline.ts --memory 512MB
 */
import { randomUUID } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { DuckDBInstance } from '@duckdb/node-api'
import { createCheckpointStore } from '../checkpoints/checkpoint-store.ts'
import { addPart } from '../checkpoints/manifest.ts'
import { createDirectoryStore } from '../connectors/directory/store.ts'
import { ledgerColumns } from '../src/engine/state/ledger.ts'

const [at = '', entries = 0, files = 9] = process.argv.slice(2).map((text, index) => (index > 0 ? Number(text) : text))
const folder = await mkdtemp(join(tmpdir(), 'millrace-forge-'))
const instance = await DuckDBInstance.create(':memory:', { memory_limit: '2GB', temp_directory: folder })
const connection = await instance.connect()
const checkpoint = createCheckpointStore({
  store: createDirectoryStore(resolve(String(at))),
  owner: 'forge',
  newId: randomUUID,
  scratch: folder,
  merge: () => Promise.reject(new Error('nothing is merged here')),
})

try {
  const seen = await checkpoint.readHead()
  if (!seen) throw new Error(`no checkpoint at ${at}`)
  const { manifest } = await checkpoint.claim(seen.manifest.engine)
  let next = { ...manifest, epoch: manifest.epoch + 1 }
  const { nextSeq } = manifest.engine
  const [source = ''] = Object.keys(manifest.engine.watermarks as object)
  const values: Readonly<Record<string, string>> = {
    seq: `i + ${nextSeq}`,
    epoch: `${next.epoch}`,
    source: `'${source}'`,
    is: "'object'",
    bucket: "''",
    // A folder a day, then a name that no order foretells, as uploaders give them.
    key: "printf('day=%05d/part-%s.jsonl', i // 20000, md5(CAST(i AS VARCHAR)))",
    e_tag: "md5(concat('e', i))",
    size_bytes: '100000 + i % 100000',
    last_modified_ms: '1700000000000 + i * 1000',
    outcome: "'read'",
    rows: 'i % 1000',
    late: '0',
    quarantined_rows: '0',
    outside_bounds: '0',
  }
  const items = Object.entries(ledgerColumns).map(
    ([name, type]) => `CAST(${values[name] ?? 'NULL'} AS ${type}) AS "${name}"`,
  )
  const each = Math.ceil(Number(entries) / Number(files))
  for (let from = 0; from < Number(entries); from += each) {
    const to = Math.min(Number(entries), from + each)
    const file = join(folder, 'ledger.parquet')
    await connection.run(
      `COPY (SELECT ${items.join(', ')} FROM range(${from}, ${to}) AS r(i)) TO '${file}' (FORMAT parquet, COMPRESSION zstd)`,
    )
    next = addPart(next, 'ledger', {
      ...(await checkpoint.stage('ledger', file, to - from, next)),
      epochs: [next.epoch, next.epoch],
    })
  }
  await checkpoint.release({ ...next, engine: { ...next.engine, nextSeq: nextSeq + Number(entries) } })
} finally {
  connection.closeSync()
  instance.closeSync()
  await rm(folder, { recursive: true, force: true })
}
