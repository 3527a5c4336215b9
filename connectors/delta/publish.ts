import { attemptsMax, pauseMs } from '../../checkpoints/retry.ts'
import { atOnce } from '../../src/core/at-once.ts'
import { MillraceError } from '../../src/core/errors.ts'
import type { Json } from '../../src/core/json.ts'
import type { CommittedOutput, EpochOutput, StagedOutput } from '../../src/core/sink-port.ts'
import { keyOf, type Snapshot } from './actions.ts'
import { changeFiles } from './change.ts'
import { dataKey, type NewFile, putDataFile } from './data-file.ts'
import { epochApp, epochOf } from './owner.ts'
import { fileColumns, partitionValues } from './rows.ts'
import { type Changes, commitInfo, deleteUnnamed, type Target, writable } from './target.ts'
import { tidy } from './tidy.ts'

/** Files of one epoch that are on their way at once. */
const atOnceMax = 8

/** Puts an epoch's files into the table under their own names: the entry that names them is put after the commit. */
export async function stageFiles(target: Target, { term, epoch, files }: EpochOutput): Promise<StagedOutput> {
  const { sink, store, columns, context } = target
  const own = fileColumns(sink, columns)
  const added = await atOnce(atOnceMax, files, written =>
    context.duckdb(({ executor }) => {
      const folder = written.folder ?? ''
      const key = dataKey(folder, epoch, term, context.newId())
      const file = { columns: own, partitionValues: partitionValues(sink, folder) }
      return putDataFile(store, executor, written, key, file, context.sleep)
    }),
  )
  const names = added.map(({ path }) => keyOf(path) as string)
  const waiting = files.map(({ rows, bytes, sha256 }, index) => ({ name: names[index] as string, rows, bytes, sha256 }))
  return { receipt: added as unknown as Json, files: waiting, names }
}

/** Puts the entry of a committed epoch: its files and its number at once. */
export async function publishEpoch(
  target: Target,
  committed: CommittedOutput,
  signal: AbortSignal,
): Promise<'published' | 'already'> {
  const { log, owner, context } = target
  const { term, epoch } = committed
  for (let attempt = 0; attempt < attemptsMax; attempt++) {
    signal.throwIfAborted()
    const table = await writable(target, term)
    if (epochOf(table) >= epoch) return 'already'
    const tried = table.version + 1
    const { actions, keys, operation } = await changesOf(target, table, committed, signal)
    const txn = { appId: epochApp(owner), version: epoch }
    if (await log.commit([commitInfo(target, operation, { millrace: { epoch, term } }), { txn }, ...actions])) {
      await tidy(target, term, epoch, signal)
      return 'published'
    }
    await deleteUnnamed(target, keys, tried)
    await context.sleep(pauseMs(attempt))
  }
  throw new MillraceError(
    'retry',
    'delta-busy',
    `${owner.address}: others were faster ${attemptsMax} times, or the store did not say what it did.`,
  )
}

async function changesOf(
  target: Target,
  table: Snapshot,
  committed: CommittedOutput,
  signal: AbortSignal,
): Promise<Changes> {
  if (target.sink.key) return changeFiles(target, table, committed, signal)
  const modificationTime = target.context.nowMs()
  const added = committed.receipt as unknown as readonly NewFile[]
  return {
    actions: added.map(file => ({ add: { ...file, modificationTime, dataChange: true } })),
    // They are the epoch's, whoever publishes it.
    keys: [],
    operation: 'WRITE',
  }
}
