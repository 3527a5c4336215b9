import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { CommittedOutput } from '../../src/core/sink-port.ts'
import type { SinkDuckdb } from '../../src/plan/sink.ts'
import { id, text } from '../../src/plan/sql.ts'
import { filesThatMayHold, rowsWithKeys, rowsWithoutKeys } from '../lake/key-files.ts'
import { type Action, type AddFile, type Snapshot } from './actions.ts'
import { dataKey, putDataFile } from './data-file.ts'
import { fetchData } from './file-rows.ts'
import { keyBounds, upTo } from './key-bounds.ts'
import { opColumn, withChanges } from '../lake/keyed-rows.ts'
import { type Column, fileColumns, partitionFolder, partitionValues } from './rows.ts'
import type { Changes, Target } from './target.ts'

/** One epoch's changes on their way into the table. */
interface Change {
  readonly target: Target
  readonly table: Snapshot
  readonly term: number
  readonly epoch: number
  readonly key: readonly Column[]
  readonly duckdb: SinkDuckdb
  /** Names of what was put into the table. */
  readonly keys: string[]
  /** The last row of each key. */
  readonly changes: string
}

/**
 * Writes the files anew that hold keys of the changes, without their rows, and a file of the rows that are there now.
 * Nobody reads them before the log names them.
 */
export async function changeFiles(
  target: Target,
  table: Snapshot,
  { term, epoch, local }: CommittedOutput,
  signal: AbortSignal,
): Promise<Changes> {
  const { sink, columns, store, context } = target
  const key = (sink.key ?? []).map(name => columns.find(column => column.name === name) as Column)
  const keys: string[] = []
  try {
    const actions = await context.duckdb(duckdb =>
      withChanges(duckdb.executor, local, sink.key ?? [], async changes => {
        const change = { target, table, term, epoch, key, duckdb, keys, changes }
        const files = [...table.files.values()]
        const bounds = files.map(file => keyBounds(file, key))
        const found: Action[] = []
        for (const index of await filesThatMayHold(duckdb.executor, bounds, changes, key, upTo)) {
          signal.throwIfAborted()
          found.push(...(await withoutKeys(change, files[index] as AddFile)))
        }
        found.push(...(await upserted(change)))
        return found
      }),
    )
    return { actions, keys, operation: 'MERGE' }
  } catch (error) {
    // No entry has named them. What stays, because the store is away, goes at the next claim.
    await store.delete(keys).catch(() => {})
    throw error
  }
}

async function withoutKeys(change: Change, file: AddFile): Promise<readonly Action[]> {
  const { target, table, key, duckdb, changes } = change
  const { executor, folder } = duckdb
  const [from, to] = [join(folder, 'held.parquet'), join(folder, 'kept.parquet')]
  try {
    const held = await fetchData(target, table, duckdb, [file], [from])
    const [found] = await executor.rows(`SELECT count(*) AS rows FROM (${rowsWithKeys(held.rows, changes, key)})`)
    if (Number(found?.rows) === 0) return []
    const kept = `SELECT ${held.names.map(id).join(', ')} FROM (${rowsWithoutKeys(held.rows, changes, key)})`
    const added = await putRows(change, kept, to, file.partitionValues)
    return [{ remove: removed(target, file, true) }, ...added]
  } finally {
    await Promise.all([from, to].map(path => rm(path, { force: true })))
  }
}

/** The rows that are there now. */
async function upserted(change: Change): Promise<readonly Action[]> {
  const { target, duckdb, changes } = change
  const { sink, columns } = target
  const rows = `(SELECT * FROM ${changes} WHERE ${id(opColumn)} = 'upsert')`
  const names = fileColumns(sink, columns)
    .map(({ name }) => id(name))
    .join(', ')
  const to = join(duckdb.folder, 'upserted.parquet')
  const parts = (sink.partitionBy ?? []).map(name => columns.find(column => column.name === name) as Column)
  const texts = parts.map(({ name }) => `CAST(${id(name)} AS VARCHAR)`)
  const tuples =
    parts.length === 0 ? [{}] : await duckdb.executor.rows(`SELECT DISTINCT ${aliased(texts)} FROM ${rows}`)
  const added: Action[] = []
  for (const tuple of tuples) {
    const values = parts.map((_, index) => (tuple as Record<string, string | null>)[`v${index}`] ?? null)
    const isMine = texts.map((sql, index) => `${sql} IS NOT DISTINCT FROM ${literal(values[index] ?? null)}`)
    const where = isMine.length === 0 ? '' : ` WHERE ${isMine.join(' AND ')}`
    const folder = partitionFolder(parts, values, `${target.owner.flow}: delta: partitionBy`)
    added.push(...(await putRows(change, `SELECT ${names} FROM ${rows}${where}`, to, partitionValues(sink, folder))))
    await rm(to, { force: true })
  }
  return added
}

const aliased = (texts: readonly string[]) => texts.map((sql, index) => `${sql} AS v${index}`).join(', ')
const literal = (value: string | null) => (value === null ? 'NULL' : text(value))

/** Rows as a file of the table; none where there are none. */
async function putRows(
  { target, term, epoch, key, duckdb, keys }: Change,
  sql: string,
  to: string,
  values: AddFile['partitionValues'],
): Promise<readonly Action[]> {
  const { sink, store, columns, context } = target
  const own = fileColumns(sink, columns)
  const order = key.map(({ name }) => name).filter(name => own.some(column => column.name === name))
  const written = await duckdb.executor.write(sql, to, order)
  if (written.rows === 0) return []
  const parts = own.length === columns.length ? [] : columns.filter(({ name }) => sink.partitionBy?.includes(name))
  const inOrder = (sink.partitionBy ?? []).map(name => parts.find(column => column.name === name) as Column)
  const folder = partitionFolder(
    inOrder,
    inOrder.map(({ name }) => values[name] ?? null),
    `${target.owner.flow}: delta: partitionBy`,
  )
  const name = dataKey(folder, epoch, term, context.newId())
  keys.push(name)
  const file = { columns: own, partitionValues: values, key: sink.key }
  const added = await putDataFile(store, duckdb.executor, written, name, file, context.sleep)
  return [{ add: { ...added, modificationTime: context.nowMs(), dataChange: true } }]
}

/** What an entry says of a file that no longer belongs to the table. */
export function removed({ context }: Target, file: AddFile, dataChange: boolean): NonNullable<Action['remove']> {
  const { path, partitionValues: values, size } = file
  const deletionTimestamp = context.nowMs()
  return { path, deletionTimestamp, dataChange, extendedFileMetadata: true, partitionValues: values, size }
}
