import { attemptsMax, pauseMs } from '../../checkpoints/retry.ts'
import { MillraceError } from '../../src/core/errors.ts'
import type { Action, Metadata } from './actions.ts'
import { fence, markOf, termApp } from './owner.ts'
import { fieldOf, fieldsOf, protocolOf, schemaString } from './schema.ts'
import { commitInfo, type Judged, judge, type Target } from './target.ts'

/** Makes the table where it is missing, and takes it for the term: by an entry, so that lower terms find it. */
export async function own(target: Target, isNewCheckpoint: boolean, term: number): Promise<void> {
  const { log, owner, context } = target
  for (let attempt = 0; attempt < attemptsMax; attempt++) {
    const judged = await judge(target, isNewCheckpoint)
    if (judged.table) fence(owner, judged.table, term)
    const changed = metadataOf(target, judged)
    if (judged.table?.txns.get(termApp(owner)) === term && !changed) return
    const taken: readonly Action[] = [{ txn: { appId: termApp(owner), version: term } }]
    const made: readonly Action[] = judged.table ? [] : [{ protocol: protocolOf(target.columns) }]
    const metadata: readonly Action[] = changed ? [{ metaData: changed }] : []
    const operation = judged.table ? 'SET TBLPROPERTIES' : 'CREATE TABLE'
    const info = commitInfo(target, operation, { millrace: { term } })
    if (await log.commit([info, ...made, ...metadata, ...taken])) return
    await context.sleep(pauseMs(attempt))
  }
  throw new MillraceError(
    'retry',
    'delta-busy',
    `${owner.address}: others were faster ${attemptsMax} times, or the store did not say what it did.`,
  )
}

/** Undefined where the table has what it needs. */
function metadataOf({ sink, owner, columns, context }: Target, judged: Judged): Metadata | undefined {
  const { table, isTaken, fields } = judged
  if (!table) {
    const hours = Math.round(sink.access().retentionMs / 3_600_000)
    return {
      id: context.newId(),
      format: { provider: 'parquet', options: {} },
      schemaString: schemaString(columns.map(fieldOf)),
      partitionColumns: sink.partitionBy ?? [],
      configuration: { ...markOf(owner), 'delta.deletedFileRetentionDuration': `interval ${hours} hours` },
      createdTime: context.nowMs(),
    }
  }
  const isWider = (fields?.length ?? 0) > fieldsOf(table.metadata, owner.address).length
  if (isTaken && !isWider) return undefined
  return {
    ...table.metadata,
    ...(fields && isWider && { schemaString: schemaString(fields) }),
    configuration: { ...table.metadata.configuration, ...markOf(owner) },
  }
}
