import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { id } from '../../src/plan/sql.ts'
import { type Action, type AddFile, keyOf, type Snapshot } from './actions.ts'
import { removed } from './change.ts'
import { dataKey, putDataFile } from './data-file.ts'
import { fetchData } from './file-rows.ts'
import { cleanLog } from './log-files.ts'
import { fileColumns } from './rows.ts'
import { commitInfo, deleteUnnamed, type Target } from './target.ts'

const MiB = 1024 * 1024
/** Files up to these sizes are small; those of one size are written together when there are so many of them. */
const sizes: readonly number[] = [MiB / 4, 4 * MiB, 64 * MiB]
const together = 16
/** Bytes of a file that is written so, at most. */
const mergedBytesMax = 128 * MiB
/** Files that are deleted at once. */
const deletedMax = 1_000
/** Entries of the log stay so long, as other writers keep them. */
const logMs = 30 * 24 * 3_600_000

/** What is done beside the rows, after an epoch: the next one is computed meanwhile. */
export async function tidy(target: Target, term: number, epoch: number, signal: AbortSignal): Promise<void> {
  const { log, sink, store, context } = target
  const care = sink.access()
  const table = await log.read()
  if (!table) return
  if (care.compact) await compact(target, table, term, epoch, signal)
  await vacuum(target, table, care.retentionMs)
  if (await log.checkpoint()) await cleanLog(store, context.nowMs() - logMs)
}

/** Writes small files of one size together: with a factor of 16 between sizes a row is written four times at most. */
async function compact(
  target: Target,
  table: Snapshot,
  term: number,
  epoch: number,
  signal: AbortSignal,
): Promise<void> {
  const files = decideCompaction([...table.files.values()], table.metadata.partitionColumns)
  if (files.length === 0) return
  signal.throwIfAborted()
  const { sink, store, columns, context, log } = target
  const tried = table.version + 1
  const values = files[0]?.partitionValues ?? {}
  const [key, added] = await context.duckdb(async duckdb => {
    const here = files.map((_, index) => join(duckdb.folder, `small-${index}.parquet`))
    const to = join(duckdb.folder, 'together.parquet')
    try {
      const { rows, names } = await fetchData(target, table, duckdb, files, here)
      const own = fileColumns(sink, columns)
      const order = (sink.key ?? []).filter(name => names.includes(name))
      const written = await duckdb.executor.write(`SELECT ${names.map(id).join(', ')} FROM ${rows}`, to, order)
      const [first = ''] = files.flatMap(({ path }) => keyOf(path) ?? [])
      const name = dataKey(first.slice(0, first.lastIndexOf('/') + 1), epoch, term, context.newId())
      const file = { columns: own, partitionValues: values, key: sink.key }
      return [name, await putDataFile(store, duckdb.executor, written, name, file, context.sleep)] as const
    } finally {
      await Promise.all([...here, to].map(path => rm(path, { force: true })))
    }
  })
  const actions: readonly Action[] = [
    commitInfo(target, 'OPTIMIZE'),
    ...files.map(file => ({ remove: removed(target, file, false) })),
    { add: { ...added, modificationTime: context.nowMs(), dataChange: false } },
  ]
  // Where another writer was faster, small files are left for the next epoch.
  if (!(await log.commit(actions))) await deleteUnnamed(target, [key], tried)
}

/** The files that are to be written together; none where there are too few of any size. */
export function decideCompaction(files: readonly AddFile[], parts: readonly string[]): readonly AddFile[] {
  const groups = new Map<string, AddFile[]>()
  for (const file of files) {
    const size = sizes.findIndex(most => file.size < most)
    if (size < 0) continue
    const name = JSON.stringify([size, ...parts.map(part => file.partitionValues[part] ?? null)])
    const group = groups.get(name) ?? []
    group.push(file)
    groups.set(name, group)
  }
  const found = [...groups.values()].find(group => group.length >= together) ?? []
  let bytes = 0
  return found.slice(0, 4 * together).filter(({ size }) => (bytes += size) <= mergedBytesMax)
}

/** Deletes data files that no longer belong to the table, once nobody is to read its former versions with them. */
async function vacuum({ store, context }: Target, table: Snapshot, retentionMs: number): Promise<void> {
  const until = context.nowMs() - retentionMs
  const isOver = (at: number | undefined) => at !== undefined && at <= until
  const over = [...table.removed.values()].filter(({ deletionTimestamp }) => isOver(deletionTimestamp))
  if (over.length === 0) return
  const live = new Set([...table.files.keys()].map(keyOf))
  const some = over.slice(0, deletedMax)
  await store.delete(some.flatMap(({ path }) => keyOf(path) ?? []).filter(key => !live.has(key)))
  // The next checkpoint of the log says nothing of them.
  for (const { path } of some) table.removed.delete(path)
}
