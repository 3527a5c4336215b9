import { randomUUID } from 'node:crypto'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { createCheckpointStore } from '../../checkpoints/checkpoint-store.ts'
import { configError } from '../core/errors.ts'
import { text } from '../plan/sql.ts'
import { iso } from './backfill.ts'
import { components } from './components.ts'
import { openSession } from './duckdb/session.ts'
import type { watermarkJson } from './ledger.ts'
import type { Inspection, Totals } from './summary.ts'

/** Reads a checkpoint without claiming it: safe beside a running owner. @throws MillraceError `user` when there is none. */
export async function inspect(address: string): Promise<Inspection> {
  const session = await openSession({ threads: 1 })
  try {
    const executor = await session.executor(new AbortController().signal)
    const store = components.openInput(address, 'checkpoint')
    const checkpoint = createCheckpointStore({
      store,
      owner: 'inspect',
      newId: randomUUID,
      scratch: session.stage,
      merge: () => Promise.reject(new Error('unreachable: inspect commits nothing')),
    })
    const head = await checkpoint.readHead()
    if (!head) throw configError('checkpoint', address, 'the folder of a checkpoint; it holds none')
    const { manifest } = head
    const rowsOf = async (channel: string, query: (files: string) => string) => {
      const files: string[] = []
      for (const part of manifest.channels[channel] ?? []) {
        const file = join(session.stage, randomUUID())
        await checkpoint.load(part, file)
        files.push(file)
      }
      if (files.length === 0) return []
      const rows = await executor.rows(query(`read_parquet([${files.map(text).join(', ')}])`))
      for (const file of files) await rm(file, { force: true })
      return rows
    }
    const aside = await rowsOf(
      'ledger',
      files => `SELECT key, reason FROM ${files} WHERE reason IS NOT NULL ORDER BY seq`,
    )
    const outputs = await rowsOf('outputs', files => `SELECT output, key FROM ${files} ORDER BY epoch, output`)
    const addresses = (manifest.engine.settings as { outputs: Readonly<Record<string, string>> }).outputs
    const marks = manifest.engine.watermarks as Record<string, ReturnType<typeof watermarkJson>>
    return {
      checkpoint: store.address,
      pipeline: (manifest.engine.plan as { pipeline: string }).pipeline,
      term: head.term,
      epoch: manifest.epoch,
      owner: head.owner,
      released: head.released,
      duckdb: (manifest.engine.settings as { duckdb: string }).duckdb,
      totals: manifest.engine.totals as unknown as Totals,
      watermarks: Object.fromEntries(
        Object.entries(marks).map(([source, { watermarkUs }]) => [
          source,
          watermarkUs === null ? null : iso(BigInt(watermarkUs)),
        ]),
      ),
      channels: Object.entries(manifest.channels).map(([name, parts]) => ({
        name,
        files: parts.length,
        rows: parts.reduce((total, part) => total + part.rows, 0),
        bytes: parts.reduce((total, part) => total + part.bytes, 0),
      })),
      unpublished: manifest.unpublished.length,
      outputFiles: outputs.map(row => `${addresses[String(row.output)] ?? String(row.output)}/${String(row.key)}`),
      setAside: aside.map(row => ({ key: String(row.key), reason: String(row.reason) })),
    }
  } finally {
    await session.close()
  }
}
