import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Json } from '../../../src/core/json.ts'
import type { SinkPort } from '../../../src/core/sink-port.ts'
import type { ColumnTypes } from '../../../src/plan/relation.ts'
import { openSession } from '../../../src/engine/duckdb/session.ts'
import { createDirectoryStore } from '../../../connectors/directory/store.ts'
import { icebergKind } from '../../../connectors/iceberg/index.ts'
import { type IcebergOptions, type IcebergSink, iceberg } from '../../../connectors/iceberg/spec.ts'
import type { TableMetadata } from '../../../connectors/iceberg/metadata.ts'
import { readAvro } from '../../../connectors/iceberg/avro.ts'
import type { Executor, ObjectStore } from '../../../src/core/ports.ts'
import { parquetRows } from '../../../src/plan/sql.ts'
import type { VisibleEpoch } from '../../contracts/sink.ts'
import { keysOf, noSleep } from '../../checkpoints/fixtures.ts'

async function bytesOf(store: ObjectStore, key: string): Promise<Uint8Array> {
  const found = await store.get(key)
  if (typeof found === 'string') throw new Error(`${key} is ${found}`)
  return found.body
}

/** The metadata in force of a table whose folder is its catalog. */
export async function metadataOf(store: ObjectStore): Promise<Record<string, any> | undefined> {
  const keys = (await keysOf(store, 'metadata/v')).filter(key => key.endsWith('.metadata.json'))
  const numbers = keys.map(key => Number(/v(\d+)/.exec(key)?.[1]))
  if (numbers.length === 0) return undefined
  const body = await bytesOf(store, `metadata/v${Math.max(...numbers)}.metadata.json`)
  return JSON.parse(Buffer.from(body).toString()) as Record<string, any>
}

/** Keys of the data files that a table has now, in the order in which they came, by reading what is written. */
export async function currentKeys(store: ObjectStore, found?: TableMetadata): Promise<readonly string[]> {
  const table = (found as Record<string, any> | undefined) ?? (await metadataOf(store))
  // Ids of snapshots are beyond what JSON.parse holds; the last one is the current one.
  const snapshot = table?.snapshots?.at(-1)
  if (!table || !snapshot) return []
  const keyOf = (address: string) => address.slice(`${table.location}/`.length)
  const keys: string[] = []
  const list = await readAvro(await bytesOf(store, keyOf(snapshot['manifest-list'])))
  for (const manifest of list.records) {
    const { records } = await readAvro(await bytesOf(store, keyOf(String(manifest.manifest_path))))
    for (const { status, data_file: file } of records)
      if (status !== 2) keys.push(keyOf((file as { file_path: string }).file_path))
  }
  return keys.toSorted()
}

/** The same, brought here. */
export async function currentFiles(
  store: ObjectStore,
  folder: string,
  found?: TableMetadata,
): Promise<readonly string[]> {
  const files: string[] = []
  for (const key of await currentKeys(store, found)) {
    const file = join(folder, key.replaceAll('/', '-'))
    await writeFile(file, await bytesOf(store, key))
    files.push(file)
  }
  return files
}

/** A table in a directory, and a flow that writes to it. */
export async function openTableLab(columns: ColumnTypes, options: IcebergOptions = {}) {
  const root = await mkdtemp(join(tmpdir(), 'millrace-iceberg-'))
  const folder = join(root, 'table')
  const session = await openSession({ threads: 1, memory: '300MB' })
  const executor = await session.executor(new AbortController().signal)
  const store = createDirectoryStore(folder)
  const sink: IcebergSink = iceberg(folder, options)
  let nowMs = 1_700_000_000_000
  let ids = 0
  // A table's own id must be a UUID.
  const newId = () => `00000000-0000-4000-8000-${String(++ids).padStart(12, '0')}`
  const openAs = (checkpointId: string, as: ColumnTypes = columns, by: IcebergSink = sink) =>
    icebergKind.open(by, {
      output: 'flow-1',
      columns: as,
      operation: options.key ? 'change' : 'append',
      checkpointId,
      pipeline: 'tested',
      newId,
      sleep: noSleep,
      nowMs: () => nowMs,
      openStore: async () => store,
      duckdb: async work => work({ folder: session.stage, executor }),
    })
  return {
    folder,
    store,
    executor,
    openAs,
    later: (ms: number) => (nowMs += ms),
    /** Stages and publishes the rows of a SELECT as an epoch. */
    async publish(port: SinkPort, epoch: number, sql: string, term = 1) {
      const file = join(session.stage, newId())
      const rows = icebergKind.rows?.(sink, columns, 'flow-1')
      const written = await executor.write(
        `SELECT ${rows?.items} FROM (${sql})`,
        file,
        Object.keys(columns).slice(0, 1),
      )
      const output = { term, epoch, operation: 'append', files: [written], inlineBytesMax: 0 } as const
      const staged = await port.stage?.(output)
      const receipt = JSON.parse(JSON.stringify(staged?.receipt ?? null)) as Json
      const files = staged?.files ?? []
      const none = () => {
        throw new Error('a table of Iceberg reads files')
      }
      const committed = { ...output, receipt, files, local: staged ? [] : [file], rows: none }
      return port.publish(committed, new AbortController().signal)
    },
    async close() {
      await session.close()
      await rm(root, { recursive: true })
    },
  }
}

/** Rows of the contract's epochs, in their order, as the files have them. */
export async function epochsIn(executor: Executor, files: readonly string[]): Promise<readonly VisibleEpoch[]> {
  if (files.length === 0) return []
  const seen: (VisibleEpoch & { readonly rows: string[] })[] = []
  for (const { k } of await executor.rows(`SELECT k FROM ${parquetRows(files)} ORDER BY k`)) {
    const epoch = Number(String(k).split(' ')[0])
    if (seen.at(-1)?.epoch !== epoch) seen.push({ epoch, rows: [] })
    seen.at(-1)?.rows.push(String(k))
  }
  return seen
}
