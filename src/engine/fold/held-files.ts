import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { CheckpointStore, RowsSource } from '../../../checkpoints/checkpoint-store.ts'
import type { Part } from '../../../checkpoints/types.ts'
import type { Executor, WrittenFile } from '../../core/ports.ts'
import type { ColumnTypes } from '../../plan/relation.ts'
import type { Sink, SinkKind } from '../../plan/sink.ts'
import { id } from '../../plan/sql.ts'
import { withRows } from '../state/channels.ts'
import { heldOrder } from '../state/held.ts'
import { createWork, dropTables, sinkRows, writeFiles } from './work.ts'

export interface HeldFilesContext {
  readonly executor: Executor
  readonly checkpoint: Pick<CheckpointStore, 'load' | 'textOf'>
  /** Folder for files that DuckDB reads and writes. */
  readonly stage: string
  readonly newId: () => string
  readonly sinks: readonly SinkKind[]
}

/** A flow whose rows are held. */
export interface HeldFlow {
  readonly name: string
  readonly sink: Sink
  /** Name to SQL type. */
  readonly columns: ColumnTypes
}

/** Rows of an epoch that is not committed yet: a table that has them, numbered in their order. */
export interface FreshRows {
  readonly table: string
  readonly epoch: number
}

/**
 * Writes rows that wait as the files that their sink takes: the same rows, epoch after epoch, as if one epoch had given
 * them.
 *
 * @param parts of the flow's channel
 * @param fresh what comes after them
 */
export async function writeHeld(
  context: HeldFilesContext,
  { name, sink, columns }: HeldFlow,
  parts: readonly Part[],
  fresh?: FreshRows,
): Promise<readonly WrittenFile[]> {
  const { executor, checkpoint, stage, newId } = context
  const work = createWork(context)
  const local: string[] = []
  // A Parquet file of a channel does not keep every type as it was.
  const items = ownColumns(columns).map(column => `CAST(${id(column)} AS ${columns[column]}) AS ${id(column)}`)
  const write = (rows?: string) => {
    const queries = [
      ...(rows === undefined ? [] : [`SELECT ${[...heldOrder, ...items].join(', ')} FROM ${rows}`]),
      ...(fresh === undefined ? [] : [freshSql(fresh, items)]),
    ]
    const asked = sinkRows(sink, name, context.sinks, columns)
    return writeFiles(work, name, asked, queries.join(' UNION ALL '), heldOrder.join(', '))
  }
  try {
    const sources: RowsSource[] = []
    for (const part of parts) {
      const text = checkpoint.textOf(part)
      const file = join(stage, newId())
      if (text === undefined) {
        local.push(file)
        await checkpoint.load(part, file)
      }
      sources.push(text === undefined ? { file } : { text })
    }
    return sources.length === 0 ? await write() : await withRows(executor, sources, newId, write)
  } finally {
    for (const file of local) await rm(file, { force: true })
    await dropTables(executor, work.tables)
  }
}

/** The flow's columns that are not in the channel anyway: changes tell their epoch. */
export function ownColumns(columns: ColumnTypes): readonly string[] {
  return Object.keys(columns).filter(name => !heldOrder.some(own => own === name))
}

/** An epoch's rows as the channel has them. */
export function freshSql({ table, epoch }: FreshRows, items: readonly string[]): string {
  const [epochColumn, rowColumn] = heldOrder
  return `SELECT CAST(${epoch} AS BIGINT) AS ${epochColumn}, ${rowColumn}, ${items.join(', ')} FROM ${table}`
}
