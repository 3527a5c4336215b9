import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { CheckpointStore } from '../../checkpoints/checkpoint-store.ts'
import type { FileRef, Manifest } from '../../checkpoints/types.ts'
import type { Executor } from '../core/ports.ts'
import { text } from '../plan/sql.ts'

/**
 * Rows of Parquet files here. A column that only some of them have is NULL in the others. A folder `name=value` of their
 * path gives no column: DuckDB would take it for a partition.
 */
export function parquetRows(files: readonly string[]): string {
  return `read_parquet([${files.map(text).join(', ')}], union_by_name = true, hive_partitioning = false)`
}

/** Where a channel's files come from, and a local folder that DuckDB may read. */
export interface ChannelReader {
  readonly checkpoint: Pick<CheckpointStore, 'load'>
  readonly manifest: Manifest
  readonly stage: string
  newId(): string
}

/**
 * Brings each file of a channel here, verified (P10), and hands it over as rows to select from, oldest first. The
 * file is gone afterwards.
 */
export async function eachPart(
  { checkpoint, manifest, stage, newId }: ChannelReader,
  channel: string,
  use: (rows: string) => Promise<void>,
): Promise<void> {
  for (const part of manifest.channels[channel] ?? []) {
    const file = join(stage, newId())
    try {
      await checkpoint.load(part, file)
      await use(parquetRows([file]))
    } finally {
      await rm(file, { force: true })
    }
  }
}

/** Rows of a channel as a table. @param name quoted @returns false where it has no file: there is no table then */
export async function loadTable(
  reader: ChannelReader,
  executor: Pick<Executor, 'run'>,
  channel: string,
  name: string,
): Promise<boolean> {
  let isMade = false
  await eachPart(reader, channel, async rows => {
    await executor.run(
      isMade ? `INSERT INTO ${name} SELECT * FROM ${rows}` : `CREATE TABLE ${name} AS SELECT * FROM ${rows}`,
    )
    isMade = true
  })
  return isMade
}

/** A flow's published files, oldest first, from the checkpoint's own record of them. */
export async function outputRefs(
  reader: ChannelReader,
  executor: Pick<Executor, 'rows'>,
  flow: string,
): Promise<readonly FileRef[]> {
  const refs: FileRef[] = []
  await eachPart(reader, 'outputs', async rows => {
    for (const row of await executor.rows(`SELECT * FROM ${rows} WHERE output = ${text(flow)} ORDER BY epoch`))
      refs.push({
        name: String(row.key),
        bytes: Number(row.bytes),
        rows: Number(row.rows),
        sha256: String(row.sha256),
      })
  })
  return refs
}
