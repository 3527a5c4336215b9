import { configError } from '../core/errors.ts'
import type { Executor } from '../core/ports.ts'
import type { SourceSettings } from '../plan/source-settings.ts'
import type { Json } from '../core/json.ts'
import type { MiniBatchOptions } from '../plan/mini-batch-options.ts'
import { text } from '../plan/sql.ts'
import { type Listing, pulled, versionOf } from './admit.ts'
import { createLedgerTable, markOf, withEarlierSql } from './ledger.ts'
import type { Outcome } from './outcome.ts'
import type { ReadCheckpoint } from './read-checkpoint.ts'
import { differences, loadLedger } from './recover.ts'

export interface ReplayContext {
  /** The other checkpoint. */
  readonly other: ReadCheckpoint
  readonly source: string
  readonly executor: Executor
  readonly stage: string
  newId(): string
  readonly miniBatch: MiniBatchOptions
  /** The first entry that this run's own ledger does not hold. */
  readonly nextSeq: number
}

/** Refuses a ledger that was written by another source: its marks would be judged by other rules (S1). */
export function checkReplayable({ head, address }: ReadCheckpoint, settings: SourceSettings): void {
  const { flows } = head.manifest.engine.plan as { readonly flows: readonly (readonly { readonly options: Json }[])[] }
  const [first] = differences(flows[0]?.[0]?.options, settings as unknown as Json, `source ${settings.name}`)
  if (first !== undefined)
    throw configError('ledger', address, `a ledger that was written by the same source; ${first}`)
}

/**
 * Another checkpoint's ledger as a listing: the same object versions in the same order, with its outcomes, marks, ticks
 * and flushes (S1). So the answer is the same, however this run is cut.
 */
export async function replay(context: ReplayContext): Promise<Listing> {
  const { other, source, executor, stage, newId, nextSeq } = context
  await createLedgerTable(executor, 'replayed')
  await loadLedger({ checkpoint: other.checkpoint, manifest: other.head.manifest, stage, newId }, executor, 'replayed')
  const [foreign] = await executor.rows(`SELECT DISTINCT source FROM replayed WHERE source <> ${text(source)} LIMIT 1`)
  if (foreign)
    throw configError(
      'ledger',
      other.address,
      `a ledger of source ${source}; it holds entries of ${String(foreign.source)}`,
    )
  await executor.run(
    `CREATE TABLE admitted AS SELECT row_number() OVER (ORDER BY seq) AS n, * FROM (${withEarlierSql('replayed')}) WHERE seq >= ${nextSeq}`,
  )
  await executor.run('DROP TABLE replayed')
  const [totals] = await executor.rows(
    `SELECT count(*) FILTER ("is" = 'object') AS objects, CAST(coalesce(sum(size_bytes), 0) AS BIGINT) AS bytes FROM admitted`,
  )
  return {
    objects: Number(totals?.objects),
    bytes: Number(totals?.bytes),
    ignored: {},
    matched: Number(totals?.objects),
    leftOut: 0,
    withoutPeriod: null,
    next: pulled(executor, context.miniBatch, row =>
      row.is === 'object'
        ? {
            ...versionOf(row),
            is: 'object',
            overwrites: false,
            ...(row.earlier === null ? {} : { earlier: row.earlier as Outcome }),
            known: {
              outcome: row.outcome as Outcome,
              reason: row.reason as string | null,
              highMarkUs: row.high_mark_us as bigint | null,
            },
          }
        : markOf(row),
    ),
  }
}
