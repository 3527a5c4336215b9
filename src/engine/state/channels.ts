import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { CheckpointStore, RowsSource } from '../../../checkpoints/checkpoint-store.ts'
import type { FileRef, Manifest } from '../../../checkpoints/types.ts'
import type { Executor } from '../../core/ports.ts'
import type { TextRows } from '../../core/text-rows.ts'
import { correctionsFolder } from '../../plan/sink.ts'
import { id, parquetRows, text } from '../../plan/sql.ts'

/** Where a channel's rows come from, and a local folder that DuckDB may read. */
export interface ChannelReader {
  readonly checkpoint: Pick<CheckpointStore, 'load' | 'textOf'>
  readonly manifest: Manifest
  readonly stage: string
  newId(): string
}

type RowsExecutor = Pick<Executor, 'run' | 'append'>

/** Rows that follow one another in a channel: some that rode in HEAD with the same columns, or files. */
type Run = { readonly texts: readonly TextRows[] } | { readonly files: readonly string[] }

function runsOf(sources: readonly RowsSource[]): readonly Run[] {
  const runs: ({ readonly texts: TextRows[] } | { readonly files: string[] })[] = []
  for (const source of sources) {
    const last = runs.at(-1)
    if ('file' in source) {
      if (last && 'files' in last) last.files.push(source.file)
      else runs.push({ files: [source.file] })
    } else if (last && 'texts' in last && haveSameColumns(last.texts[0] as TextRows, source.text))
      last.texts.push(source.text)
    else runs.push({ texts: [source.text] })
  }
  return runs
}

function haveSameColumns(a: TextRows, b: TextRows): boolean {
  return a.columns === b.columns || JSON.stringify(a.columns) === JSON.stringify(b.columns)
}

/**
 * Hands rows over as one relation to select from, in their order. A column that only some of them have is NULL in the
 * others.
 *
 * @param name of a table that is made on the way, used once
 */
export async function withRows<T>(
  executor: RowsExecutor,
  sources: readonly RowsSource[],
  name: () => string,
  use: (rows: string) => Promise<T>,
): Promise<T> {
  const tables: string[] = []
  const relations: string[] = []
  try {
    for (const run of runsOf(sources)) {
      if ('files' in run) relations.push(parquetRows(run.files))
      else {
        const table = `rows_${name().replaceAll('-', '')}`
        const columns = Object.entries((run.texts[0] as TextRows).columns).map(
          ([column, type]) => `${id(column)} ${type}`,
        )
        await executor.run(`CREATE TABLE ${table} (${columns.join(', ')})`)
        tables.push(table)
        const rows = run.texts.flatMap(found => found.rows)
        await executor.append(table, { columns: (run.texts[0] as TextRows).columns, rows })
        relations.push(table)
      }
    }
    const [first = '', ...others] = relations
    return await use(
      others.length === 0 ? first : `(${relations.map(rows => `SELECT * FROM ${rows}`).join(' UNION ALL BY NAME ')})`,
    )
  } finally {
    for (const table of tables) await executor.run(`DROP TABLE ${table}`)
  }
}

/**
 * Brings the rows of a channel here, verified (P10), and hands them over to select from, oldest first: each file by
 * itself, and together what rode in HEAD one after the other. They are gone afterwards.
 */
export async function eachPart(
  { checkpoint, manifest, stage, newId }: ChannelReader,
  executor: RowsExecutor,
  channel: string,
  use: (rows: string) => Promise<void>,
): Promise<void> {
  let texts: { readonly text: TextRows }[] = []
  const useTexts = async () => {
    if (texts.length > 0) await withRows(executor, texts, newId, use)
    texts = []
  }
  for (const part of manifest.channels[channel] ?? []) {
    const rows = checkpoint.textOf(part)
    const last = texts.at(-1)
    if (rows === undefined || (last && !haveSameColumns(last.text, rows))) await useTexts()
    if (rows !== undefined) {
      texts.push({ text: rows })
      continue
    }
    const file = join(stage, newId())
    try {
      await checkpoint.load(part, file)
      await use(parquetRows([file]))
    } finally {
      await rm(file, { force: true })
    }
  }
  await useTexts()
}

/** Rows of a channel as a table. @param name quoted @returns false where it has no file: there is no table then */
export async function loadTable(
  reader: ChannelReader,
  executor: RowsExecutor,
  channel: string,
  name: string,
): Promise<boolean> {
  let isMade = false
  await eachPart(reader, executor, channel, async rows => {
    await executor.run(
      // A pipeline that is written otherwise may have its columns in another order.
      isMade ? `INSERT INTO ${name} BY NAME SELECT * FROM ${rows}` : `CREATE TABLE ${name} AS SELECT * FROM ${rows}`,
    )
    isMade = true
  })
  return isMade
}

/**
 * A flow's published files, oldest first, from the checkpoint's own record of them; without those of corrections.
 *
 * @param after only those of later epochs
 */
export async function outputRefs(
  reader: ChannelReader,
  executor: Executor,
  flow: string,
  after = 0,
): Promise<readonly FileRef[]> {
  return (await publishedRefs(reader, executor, flow, after)).filter(({ name }) => !name.startsWith(correctionsFolder))
}

/** The files of a flow that tell what late rows changed of its results since they were given, oldest first. */
export async function correctionRefs(
  reader: ChannelReader,
  executor: Executor,
  flow: string,
): Promise<readonly FileRef[]> {
  return (await publishedRefs(reader, executor, flow, 0)).filter(({ name }) => name.startsWith(correctionsFolder))
}

async function publishedRefs(
  reader: ChannelReader,
  executor: Executor,
  flow: string,
  after: number,
): Promise<readonly FileRef[]> {
  const refs: FileRef[] = []
  await eachPart(reader, executor, 'outputs', async rows => {
    for (const row of await executor.rows(
      `SELECT * FROM ${rows} WHERE output = ${text(flow)} AND epoch > ${after} ORDER BY epoch`,
    ))
      refs.push({
        name: String(row.key),
        bytes: Number(row.bytes),
        rows: Number(row.rows),
        sha256: String(row.sha256),
      })
  })
  return refs
}
