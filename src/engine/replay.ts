import type { CheckpointStore } from '../../checkpoints/checkpoint-store.ts'
import { configError } from '../core/errors.ts'
import type { Executor } from '../core/ports.ts'
import type { MiniBatchOptions } from '../plan/mini-batch-options.ts'
import { text } from '../plan/sql.ts'
import { type Listing, pulled, versionOf } from './admit.ts'
import { createLedgerTable } from './ledger.ts'
import { loadLedger } from './recover.ts'

export interface ReplayContext {
  /** The other checkpoint, which is only read. */
  readonly checkpoint: Pick<CheckpointStore, 'load' | 'readHead'>
  readonly address: string
  readonly source: string
  readonly executor: Executor
  readonly stage: string
  newId(): string
  readonly miniBatch: MiniBatchOptions
  /** The first entry that this run's own ledger does not hold. */
  readonly nextSeq: number
}

/**
 * Another checkpoint's ledger as a listing: the same object versions in the same order, with its outcomes, marks, ticks
 * and flushes (S1). So the answer is the same, however this run is cut.
 */
export async function replay(context: ReplayContext): Promise<Listing> {
  const { checkpoint, address, source, executor, stage, newId, nextSeq } = context
  const head = await checkpoint.readHead()
  if (!head) throw configError('ledger', address, 'the folder of a checkpoint; it holds none')
  await createLedgerTable(executor, 'replayed')
  await loadLedger({ checkpoint, manifest: head.manifest, stage, newId }, executor, 'replayed')
  const [other] = await executor.rows(`SELECT DISTINCT source FROM replayed WHERE source <> ${text(source)} LIMIT 1`)
  if (other)
    throw configError('ledger', address, `a ledger of source ${source}; it holds entries of ${String(other.source)}`)
  await executor.run(
    `CREATE TABLE admitted AS SELECT row_number() OVER (ORDER BY seq) AS n, * FROM replayed WHERE seq >= ${nextSeq}`,
  )
  await executor.run('DROP TABLE replayed')
  const [totals] = await executor.rows(
    `SELECT count(*) FILTER ("is" = 'object') AS objects, CAST(coalesce(sum(size_bytes), 0) AS BIGINT) AS bytes FROM admitted`,
  )
  return {
    objects: Number(totals?.objects),
    bytes: Number(totals?.bytes),
    ignored: 0,
    leftOut: 0,
    next: pulled(executor, context.miniBatch, row =>
      row.is === 'object'
        ? {
            ...versionOf(row),
            is: 'object',
            overwrites: false,
            known: {
              outcome: row.outcome as 'read' | 'quarantined' | 'skipped',
              reason: row.reason as string | null,
              highMarkUs: row.high_mark_us as bigint | null,
            },
          }
        : { is: row.is as 'tick' | 'flush', watermarkUs: row.watermark_us as bigint, sizeBytes: 0 },
    ),
  }
}
