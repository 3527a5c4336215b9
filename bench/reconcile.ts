/**
 * A listing of many keys that the ledger holds already: time and memory of one reconciliation, by the number of keys.
 * The listing is made up; ledger and listing lie in DuckDB under a memory limit.
 *
 *     node bench/reconcile.ts [KEYS [MEMORY]]
 */
import type { SourceSettings } from '../src/plan/source-settings.ts'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { performance } from 'node:perf_hooks'
import { jsonFormat } from '../connectors/json/format.ts'
import type { ObjectStore } from '../src/core/ports.ts'
import { listNew } from '../src/engine/intake/admit.ts'
import { openSession } from '../src/engine/duckdb/session.ts'
import { createKindOf } from '../src/engine/intake/key-kind.ts'
import { ledgerColumns } from '../src/engine/state/ledger.ts'
import { parquetRows } from '../src/plan/sql.ts'
import { createMemoryStore } from '../src/testing/memory-store.ts'

const [keysMax = 1_000_000] = process.argv.slice(2, 3).map(Number)
const memory = process.argv[3] ?? '512MB'
const folder = await mkdtemp(join(tmpdir(), 'millrace-bench-'))

/** What lists `keys` keys, and holds none of them. */
function listing(keys: number): ObjectStore {
  return {
    ...createMemoryStore(),
    async *list() {
      for (let i = 0; i < keys; i++)
        yield {
          bucket: 'bucket',
          key: `${String(i).padStart(9, '0')}.jsonl`,
          eTag: `e${i}`,
          sizeBytes: 1,
          lastModifiedMs: 0,
        }
    },
  }
}

try {
  for (const keys of [keysMax / 100, keysMax / 10, keysMax]) {
    const session = await openSession({ memory, spill: folder })
    try {
      const { signal } = new AbortController()
      const executor = await session.executor(signal)
      const values: Readonly<Record<string, string>> = {
        seq: 'i',
        is: "'object'",
        source: "'in'",
        bucket: "'bucket'",
        key: "printf('%09d.jsonl', i)",
        e_tag: "'e' || i",
        outcome: "'read'",
      }
      const items = Object.entries(ledgerColumns).map(
        ([name, type]) => `CAST(${values[name] ?? 'NULL'} AS ${type}) AS "${name}"`,
      )
      // All but ten, so that something is found. A file, as a run has it.
      const file = join(session.stage, 'ledger.parquet')
      await executor.write(`SELECT ${items.join(', ')} FROM range(${keys - 10}) AS r(i)`, file, [])
      await executor.run(`CREATE VIEW ledger AS SELECT * FROM ${parquetRows([file])}`)
      let rss = 0
      const watch = setInterval(() => (rss = Math.max(rss, process.memoryUsage.rss())), 50)
      const before = process.memoryUsage.rss()
      const began = performance.now()
      const listed = await listNew({
        sources: [
          {
            kindOf: createKindOf({ matches: () => true }, jsonFormat, { hidden: 'ignore' }),
            fetch: { store: listing(keys), settings: { name: 'in', columns: {} } as unknown as SourceSettings },
          },
        ],
        executor,
        table: 'admitted',
        from: undefined,
        to: undefined,
        signal,
      })
      clearInterval(watch)
      const seconds = (performance.now() - began) / 1_000
      const heap = process.memoryUsage().heapUsed
      const mb = (bytes: number) => `${(bytes / 1e6).toFixed(0)} MB`
      console.log(
        `${keys.toLocaleString('en').padStart(10)} keys listed in ${seconds.toFixed(1)} s, ${listed.objects} ` +
          `new; RSS ${mb(before)} before, ${mb(rss)} at most (DuckDB may take ${memory}), heap ${mb(heap)}`,
      )
    } finally {
      await session.close()
    }
  }
} finally {
  await rm(folder, { recursive: true, force: true })
}
