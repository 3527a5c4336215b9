import { join } from 'node:path'
import { jsonValue } from '../../connectors/json/values.ts'
import type { Executor, WrittenFile } from '../core/ports.ts'
import { parseColumnType } from '../core/types.ts'
import type { Relation } from '../plan/relation.ts'
import { id, text } from '../plan/sql.ts'
import type { Flow, Stage } from '../plan/stages.ts'
import type { SessionExecutor } from './duckdb/executor.ts'

/** What the execution of an epoch needs. */
export interface EpochContext {
  readonly flows: readonly Flow[]
  /** Each stage of the flows once, those before others first. */
  readonly stages: readonly Stage[]
  readonly executor: SessionExecutor
  /** Folder for files that DuckDB writes. */
  readonly stage: string
  readonly newId: () => string
}

/** Rows for a channel, in a local file that waits to be staged. */
export interface ChannelFile {
  readonly channel: string
  readonly written: WrittenFile
  readonly aliveToUs?: bigint
}

/** Rows of a flow, in a local file that waits to be staged. */
export interface OutputFile {
  readonly flow: Flow
  readonly written: WrittenFile
}

/** The tables and files of one epoch that are made on the way. */
export interface Work {
  readonly tables: string[]
  readonly channels: ChannelFile[]
  readonly outputs: OutputFile[]
  /** Late rows by sequence number, over all stages. */
  readonly late: Map<number, number>
  /** Makes a table of the query, of a name used once. */
  table(sql: string): Promise<string>
  write(sql: string, orderBy: readonly string[], format?: 'parquet' | 'json'): Promise<WrittenFile>
}

export function createWork({ executor, stage, newId }: EpochContext): Work {
  const tables: string[] = []
  return {
    tables,
    channels: [],
    outputs: [],
    late: new Map(),
    async table(sql) {
      const name = `work_${newId().replaceAll('-', '')}`
      tables.push(name)
      await executor.run(`CREATE TABLE ${name} AS ${sql}`)
      return name
    },
    write: (sql, orderBy, format) => executor.write(sql, join(stage, newId()), orderBy, format),
  }
}

export async function dropTables(executor: Executor, tables: readonly string[]): Promise<void> {
  for (const name of tables) await executor.run(`DROP TABLE IF EXISTS ${name}`)
}

/** Writes what a flow gives, in this order. */
export async function writeOutput(work: Work, flow: Flow, result: Relation, order: readonly string[]): Promise<void> {
  const format = formatOf(flow)
  const zone = flow.terminal.is === 'rows' ? undefined : flow.terminal.zone
  const by = order.map(name => `${id(name)} ASC NULLS LAST`).join(', ')
  const ordered = `SELECT ${outputItems(result, format, zone)} FROM (${result.sql}) ORDER BY ${by}`
  work.outputs.push({ flow, written: await work.write(ordered, [], format) })
}

/** Rows that are handed over wait as Parquet, which keeps their types. */
function formatOf({ terminal }: Flow): 'parquet' | 'json' {
  return terminal.is === 'rows' ? 'parquet' : terminal.format
}

/** What a flow's files hold: its columns; in JSON, which has no NaN and no infinities, those as text. */
function outputItems({ columns }: Relation, format: 'parquet' | 'json', zone: 'Z' | undefined): string {
  const item = (name: string, type: string) =>
    format === 'json' ? `${jsonValue(id(name), parseColumnType(type, name), zone)} AS ${id(name)}` : id(name)
  return Object.entries(columns)
    .map(([name, type]) => item(name, type))
    .join(', ')
}

/**
 * Writes the late rows of a stage (S8) and counts them by ledger entry.
 *
 * @param objectOf SQL rows (seq, object) that name the objects the rows come from
 */
export async function writeLate(
  { executor }: EpochContext,
  work: Work,
  stage: Stage,
  rows: Relation,
  order: readonly string[],
  objectOf: string,
): Promise<void> {
  const { late } = stage.step
  const found = await work.table(late.rows(rows))
  const counts = await executor.rows(`SELECT _seq, count(*) AS n FROM ${found} GROUP BY _seq`)
  if (counts.length === 0) return
  for (const { _seq, n } of counts) work.late.set(Number(_seq), (work.late.get(Number(_seq)) ?? 0) + Number(n))
  const relation = `SELECT o.object AS _object, l.*, ${text(late.reason)} AS _reason FROM ${found} AS l LEFT JOIN (${objectOf}) AS o ON o.seq = l._seq`
  work.channels.push({
    channel: `late-${stage.id}`,
    written: await work.write(relation, [...order, ...late.columns]),
  })
}
