import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { CheckpointStore } from '../../checkpoints/checkpoint-store.ts'
import type { Manifest } from '../../checkpoints/types.ts'
import { text } from '../plan/sql.ts'

/** Where a channel's files come from, and a local folder that DuckDB may read. */
export interface ChannelReader {
  readonly checkpoint: Pick<CheckpointStore, 'load'>
  readonly manifest: Manifest
  readonly stage: string
  newId(): string
}

/**
 * Brings each file of a channel here, verified (P10), and hands it over as `read_parquet('...')`, oldest first. The
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
      await use(`read_parquet(${text(file)})`)
    } finally {
      await rm(file, { force: true })
    }
  }
}
