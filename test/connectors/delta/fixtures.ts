import { deltaKind } from '../../../connectors/delta/sink.ts'
import { delta, type DeltaOptions, type DeltaSink } from '../../../connectors/delta/spec.ts'
import type { ObjectStore, WrittenFile } from '../../../src/core/ports.ts'
import type { SinkPort } from '../../../src/core/sink-port.ts'
import type { SessionExecutor } from '../../../src/engine/duckdb/executor.ts'
import type { ColumnTypes } from '../../../src/plan/relation.ts'
import { counter, keysOf, noSleep } from '../../checkpoints/fixtures.ts'
import { type Calls, storeThrough } from '../../contracts/sink.ts'
import { join } from 'node:path'

export interface Lent {
  readonly executor: SessionExecutor
  readonly folder: string
}

export interface Opened {
  readonly columns?: ColumnTypes
  readonly checkpointId?: string
  readonly output?: string
  readonly operation?: 'append' | 'change'
  readonly calls?: Calls
  readonly nowMs?: () => number
}

let processes = 0

/** The sink of a process. */
export async function openSink(
  store: ObjectStore,
  lent: Lent,
  options: DeltaOptions = {},
  opened: Opened = {},
): Promise<SinkPort> {
  const { columns = { k: 'VARCHAR' }, checkpointId = 'checkpoint-a', output = 'flow-1', operation = 'append' } = opened
  const { calls = call => call(), nowMs = () => 1_700_000_000_000 } = opened
  return deltaKind.open(delta('out', options as DeltaOptions<never>), {
    output,
    columns,
    operation,
    checkpointId,
    pipeline: 'tested',
    newId: counter(`p${++processes}`),
    sleep: noSleep,
    nowMs,
    openStore: async () => storeThrough(store, calls),
    duckdb: work => work(lent),
  })
}

let files = 0

/** Rows as the engine hands them to the sink. @param sql a SELECT of all columns */
export async function writeRows(
  { executor, folder }: Lent,
  sink: DeltaSink,
  columns: ColumnTypes,
  sql: string,
): Promise<readonly WrittenFile[]> {
  const { items, form, partitions } = deltaKind.rows?.(sink, columns, 'flow-1') ?? { items: '*' }
  const to = () => join(folder, `rows-${++files}`)
  if (!partitions) return [await executor.write(`SELECT ${items} FROM (${sql})`, to(), [], form)]
  const texts = partitions.texts.map((text, index) => `${text} AS v${index}`).join(', ')
  const tuples = await executor.rows(`SELECT DISTINCT ${texts} FROM (${sql}) ORDER BY ALL`)
  const written: WrittenFile[] = []
  for (const tuple of tuples) {
    const values = partitions.texts.map((_, index) => tuple[`v${index}`] as string | null)
    const isMine = partitions.texts.map(
      (text, index) =>
        `${text} IS NOT DISTINCT FROM ${values[index] === null ? 'NULL' : `'${values[index]?.replaceAll("'", "''")}'`}`,
    )
    const file = await executor.write(`SELECT ${items} FROM (${sql}) WHERE ${isMine.join(' AND ')}`, to(), [], form)
    written.push({ ...file, folder: partitions.folder(values) })
  }
  return written
}

const never = new AbortController().signal

/** Stages, commits and publishes an epoch of rows. */
export async function publish(
  port: SinkPort,
  epoch: number,
  written: readonly WrittenFile[],
  term = 1,
  operation: 'append' | 'change' = 'append',
): Promise<'published' | 'already'> {
  const staged = await port.stage?.({ term, epoch, operation, files: written, inlineBytesMax: 0 })
  const { receipt, files: waiting } = JSON.parse(JSON.stringify(staged ?? { receipt: null, files: [] })) as NonNullable<
    typeof staged
  >
  const local = staged ? [] : written.map(({ file }) => file)
  const rows = () => {
    throw new Error('rows() was asked for')
  }
  return port.publish({ term, epoch, operation, receipt, files: waiting, local, rows }, never)
}

interface LogLine {
  readonly add?: {
    readonly path: string
    readonly dataChange: boolean
    readonly stats?: string
    readonly partitionValues: Record<string, unknown>
  }
  readonly remove?: { readonly path: string; readonly dataChange: boolean }
  readonly [action: string]: unknown
}

/** The entries of a table's log, by another reader than the sink's. */
export async function entriesOf(store: ObjectStore): Promise<readonly (readonly LogLine[])[]> {
  const keys = (await keysOf(store, '_delta_log/')).filter(key => key.endsWith('.json')).toSorted()
  const bodies = await Promise.all(keys.map(key => store.get(key)))
  return bodies.map(found => {
    if (typeof found === 'string') throw new Error(`an entry is ${found}`)
    const lines = Buffer.from(found.body).toString().trimEnd().split('\n')
    return lines.map(line => JSON.parse(line) as LogLine)
  })
}

/** The keys of a table's data files, in the order in which they came. */
export function filesIn(entries: readonly (readonly LogLine[])[]): readonly string[] {
  const files = new Set<string>()
  for (const { add, remove } of entries.flat()) {
    if (add) files.add(decodeURIComponent(add.path))
    if (remove) files.delete(decodeURIComponent(remove.path))
  }
  return [...files]
}
