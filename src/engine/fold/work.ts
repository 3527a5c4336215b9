import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { CheckpointStore } from '../../../checkpoints/checkpoint-store.ts'
import { inlineFileBytesMax } from '../../../checkpoints/decide.ts'
import type { FileRef, Manifest } from '../../../checkpoints/types.ts'
import { sinkOf } from '../../../connectors/registry.ts'
import { MillraceError } from '../../core/errors.ts'
import type { Executor, FileForm, SqlRow, WrittenFile } from '../../core/ports.ts'
import type { TextRows } from '../../core/text-rows.ts'
import { lateRelation, type LateTable } from '../../plan/aside.ts'
import { type ColumnTypes, orderOf, type Relation } from '../../plan/relation.ts'
import { correctionsFolder, type Sink, type SinkKind, type SinkPartitions, type SinkRows } from '../../plan/sink.ts'
import { id, text } from '../../plan/sql.ts'
import { type Flow, type LateInput, lateName, leafName, type Stage } from '../../plan/stages.ts'
import { withRows } from '../state/channels.ts'
import { heldRow } from '../state/held.ts'
import type { SessionExecutor } from '../duckdb/executor.ts'

/** What the execution of an epoch needs. */
export interface EpochContext {
  readonly flows: readonly Flow[]
  /** Each stage of the flows once, those before others first. */
  readonly stages: readonly Stage[]
  readonly executor: SessionExecutor
  /** Folder for files that DuckDB writes. */
  readonly stage: string
  readonly newId: () => string
  readonly sinks: readonly SinkKind[]
}

/**
 * Rows on their way into a channel: few ride in HEAD as text, others lie in a local file that waits to be staged (P3).
 */
export type KeptRows = { readonly text: TextRows } | { readonly written: WrittenFile }

/** Rows for a channel. */
export interface ChannelRows {
  readonly channel: string
  readonly kept: KeptRows
  readonly aliveToUs?: bigint
}

/** Rows of a flow, in a local file that waits to be staged. */
export interface OutputFile {
  readonly flow: Flow
  readonly written: WrittenFile
}

/** Rows of a flow that may wait for those of later epochs, numbered in their order, in a table of the epoch. */
export interface HeldTable {
  readonly flow: Flow
  readonly table: string
}

/** The local files of an epoch. */
export async function removeFiles(channels: readonly ChannelRows[], outputs: readonly OutputFile[]): Promise<void> {
  const kept = channels.flatMap(({ kept }) => ('written' in kept ? [kept.written] : []))
  for (const { file } of [...kept, ...outputs.map(({ written }) => written)]) await rm(file, { force: true })
}

/** The tables and files of one epoch that are made on the way. */
export interface Work {
  readonly sinks: readonly SinkKind[]
  readonly tables: string[]
  readonly channels: ChannelRows[]
  readonly outputs: OutputFile[]
  readonly held: HeldTable[]
  /** Late rows by sequence number, over all stages. */
  readonly late: Map<number, number>
  /** How many there are by why. */
  readonly lateReasons: Map<string, number>
  /** The same rows, by `lateName`. */
  readonly lateTables: Map<string, LateTable>
  /** Makes a table of the query, of a name used once. */
  table(sql: string): Promise<string>
  write(sql: string, orderBy: readonly string[], form?: FileForm): Promise<WrittenFile>
  rows(sql: string): Promise<readonly SqlRow[]>
  /** For a channel. @param rows how many the query has */
  keep(sql: string, orderBy: readonly string[], rows: number): Promise<KeptRows>
}

/**
 * So many rows are text at most. As text they cost some milliseconds less than as Parquet; more of them would fill
 * HEAD.
 */
const textRowsMax = 100

const isShort = ({ rows }: TextRows) => rows.length <= textRowsMax && JSON.stringify(rows).length <= inlineFileBytesMax

/** The rows as they are, or in a file where they are many. */
export async function keepText(
  {
    executor,
    stage,
    newId,
  }: Pick<EpochContext, 'stage' | 'newId'> & {
    readonly executor: Pick<Executor, 'run' | 'append' | 'write'>
  },
  text: TextRows,
): Promise<KeptRows> {
  if (isShort(text)) return { text }
  const write = (rows: string) => executor.write(`SELECT * FROM ${rows}`, join(stage, newId()), [])
  return { written: await withRows(executor, [{ text }], newId, write) }
}

/** A query's rows for a channel. @param rows how many it has */
export async function keepRows(
  { executor, stage, newId }: LocalContext,
  sql: string,
  orderBy: readonly string[],
  rows: number,
): Promise<KeptRows> {
  const text = rows <= textRowsMax ? await executor.textRows(sql, orderBy) : undefined
  return text && isShort(text) ? { text } : { written: await executor.write(sql, join(stage, newId()), orderBy) }
}

/**
 * Makes rows of a channel durable, by themselves or with the manifest that names them.
 *
 * @param beside what they ride with
 */
export async function stageRows(
  checkpoint: Pick<CheckpointStore, 'stage' | 'stageText'>,
  channel: string,
  kept: KeptRows,
  beside: Manifest,
): Promise<FileRef> {
  if ('text' in kept) return checkpoint.stageText(channel, beside.epoch, kept.text)
  return checkpoint.stage(channel, kept.written.file, kept.written.rows, beside)
}

type LocalContext = Pick<EpochContext, 'stage' | 'newId'> & { readonly executor: Executor }

export function createWork({ executor, stage, newId, sinks }: LocalContext & Pick<EpochContext, 'sinks'>): Work {
  const tables: string[] = []
  return {
    sinks,
    tables,
    channels: [],
    outputs: [],
    held: [],
    late: new Map(),
    lateReasons: new Map(),
    lateTables: new Map(),
    async table(sql) {
      const name = `work_${newId().replaceAll('-', '')}`
      tables.push(name)
      await executor.run(`CREATE TABLE ${name} AS ${sql}`)
      return name
    },
    write: (sql, orderBy, form) => executor.write(sql, join(stage, newId()), orderBy, form),
    rows: sql => executor.rows(sql),
    keep: (sql, orderBy, rows) => keepRows({ executor, stage, newId }, sql, orderBy, rows),
  }
}

export async function dropTables(executor: Executor, tables: readonly string[]): Promise<void> {
  for (const name of tables) await executor.run(`DROP TABLE IF EXISTS ${name}`)
}

/** Writes what a flow gives, in this order: files, or a table of what may wait. */
export async function writeOutput(work: Work, flow: Flow, result: Relation, order: readonly string[]): Promise<void> {
  const { name, terminal } = flow
  const by = order.map(column => `${id(column)} ASC NULLS LAST`).join(', ')
  if (terminal.is === 'sink' && terminal.sink.hold) {
    const columns = Object.keys(result.columns).map(id).join(', ')
    // DuckDB's own rowid is hidden by a column of that name.
    const numbered = `SELECT row_number() OVER (ORDER BY ${by}) AS ${heldRow}, ${columns} FROM (${result.sql})`
    work.held.push({ flow, table: await work.table(numbered) })
    return
  }
  const asked =
    terminal.is === 'sink' ? sinkRows(terminal.sink, name, work.sinks, result.columns) : allColumns(result.columns)
  const files = await writeFiles(work, name, asked, result.sql, by)
  work.outputs.push(...files.map(written => ({ flow, written })))
}

/** Writes changes of results that a flow has given, in this order, beside these. */
export async function writeCorrections(
  work: Work,
  flow: Flow,
  changes: Relation,
  order: readonly string[],
): Promise<void> {
  const { name, terminal } = flow
  if (terminal.is !== 'sink') throw new Error(`unreachable: ${name} hands rows over, which nothing takes back`)
  const by = order.map(column => `${id(column)} ASC NULLS LAST`).join(', ')
  const asked = sinkRows(terminal.sink, name, work.sinks, changes.columns)
  const files = await writeFiles(work, name, asked, changes.sql, by)
  const placed = files.map(written => ({ ...written, folder: `${correctionsFolder}${written.folder ?? ''}` }))
  work.outputs.push(...placed.map(written => ({ flow, written })))
}

/** Writes rows as a sink asks for them. @param by the order of the rows, items of an ORDER BY */
export async function writeFiles(
  work: Pick<Work, 'table' | 'rows' | 'write'>,
  flow: string,
  { items, form, partitions }: SinkRows,
  sql: string,
  by: string,
): Promise<readonly WrittenFile[]> {
  if (partitions) return writePartitions(work, flow, { items, form, partitions }, sql, by)
  return [await work.write(`SELECT ${items} FROM (${sql}) ORDER BY ${by}`, [], form)]
}

/** More files than these in one epoch are a mistake in what parts them. */
const partitionsMax = 100_000

/**
 * One file after the other, so that however many there are, one is open. The rows lie in a table that spills, together
 * by partition: each file reads its own part of it.
 */
async function writePartitions(
  work: Pick<Work, 'table' | 'rows' | 'write'>,
  flow: string,
  { items, form, partitions }: SinkRows & { readonly partitions: SinkPartitions },
  sql: string,
  by: string,
): Promise<readonly WrittenFile[]> {
  const texts = partitions.texts.map((value, index) => `${value} AS _partition${index}`)
  const keys = texts.map((_, index) => `_partition${index}`)
  const table = await work.table(`SELECT ${texts.join(', ')}, * FROM (${sql}) ORDER BY ${keys.join(', ')}, ${by}`)
  const found = await work.rows(`SELECT ${keys.join(', ')} FROM ${table} GROUP BY ALL ORDER BY ALL`)
  if (found.length > partitionsMax)
    throw new MillraceError(
      'user',
      'partitions',
      `${flow}: one epoch has rows for ${found.length} folders; expected at most ${partitionsMax}. ` +
        'Part by fewer columns, or put fewer objects into an epoch.',
    )
  const files: WrittenFile[] = []
  for (const row of found) {
    const values = keys.map(key => row[key] as string | null)
    const own = keys.map((key, at) =>
      values[at] === null ? `${key} IS NULL` : `${key} = ${text(values[at] as string)}`,
    )
    const rows = `SELECT ${items} FROM ${table} WHERE ${own.join(' AND ')} ORDER BY ${by}`
    const written = await work.write(rows, [], form)
    files.push({ ...written, folder: partitions.folder(values) })
  }
  return files
}

/** How rows lie in files: as their sink asks. */
export function sinkRows(sink: Sink, flow: string, sinks: readonly SinkKind[], columns: ColumnTypes): SinkRows {
  return sinkOf(sink, flow, sinks).rows?.(sink, columns, flow) ?? allColumns(columns)
}

/** Rows that are handed over wait as Parquet, which keeps their types. */
function allColumns(columns: ColumnTypes): SinkRows {
  return { items: Object.keys(columns).map(id).join(', '), form: { format: 'parquet' } }
}

/** Where the late rows of a stage lie. @param port of the input, where it has several */
export function lateChannel({ id: stage }: Pick<Stage, 'id'>, port?: string): string {
  return ['late', stage, ...(port === undefined ? [] : [port])].join('-')
}

/**
 * Writes the late rows of a stage (S8) and counts them by ledger entry.
 *
 * @param index of the stage's input that the rows are of
 * @param objectOf SQL rows (seq, object) that name the objects the rows come from
 */
export async function writeLate(
  { executor }: EpochContext,
  work: Work,
  stage: Stage,
  index: number,
  rows: Relation,
  objectOf: string,
): Promise<void> {
  const { late, ports = [] } = stage.step
  const found = await work.table(late.rows(rows))
  const counts = await executor.rows(`SELECT _seq, count(*) AS n FROM ${found} GROUP BY _seq`)
  if (counts.length === 0) return
  for (const { _seq, n } of counts) work.late.set(Number(_seq), (work.late.get(Number(_seq)) ?? 0) + Number(n))
  work.lateTables.set(lateName(stage, index), {
    table: found,
    order: orderOf(rows),
    windows: late.columns,
    objects: objectOf,
  })
  const all = counts.reduce((sum, { n }) => sum + Number(n), 0)
  work.lateReasons.set(late.reason, (work.lateReasons.get(late.reason) ?? 0) + all)
  const relation =
    `SELECT o.object AS _object, l.*, ${text(late.reason)} AS _reason FROM ${found} AS l ` +
    `LEFT JOIN (${objectOf}) AS o ON o.seq = l._seq`
  work.channels.push({
    channel: lateChannel(stage, ports[index]),
    kept: await work.keep(relation, [...orderOf(rows), ...late.columns], all),
  })
}

/** Those rows as a flow begins with them; undefined where there are none. */
export function lateRows({ lateTables }: Pick<Work, 'lateTables'>, from: LateInput): Relation | undefined {
  const found = lateTables.get(leafName(from))
  return found && lateRelation(from.node, found)
}
