import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createDirectoryStore } from '../../../connectors/directory/store.ts'
import { ducklakeKind } from '../../../connectors/ducklake/sink.ts'
import { ducklake, type DucklakeOptions } from '../../../connectors/ducklake/spec.ts'
import type { ObjectStore, WrittenFile } from '../../../src/core/ports.ts'
import type { SinkPort, WaitingFile } from '../../../src/core/sink-port.ts'
import type { SessionExecutor } from '../../../src/engine/duckdb/executor.ts'
import { openSession } from '../../../src/engine/duckdb/session.ts'
import type { ColumnTypes } from '../../../src/plan/relation.ts'
import type { SinkContext } from '../../../src/plan/sink.ts'
import { parquetRows } from '../../../src/plan/sql.ts'
import { counter, noSleep } from '../../checkpoints/fixtures.ts'

let processes = 0

export interface Opened extends Partial<DucklakeOptions> {
  readonly columns?: ColumnTypes
  readonly checkpointId?: string
  readonly output?: string
  readonly operation?: 'append' | 'change'
  readonly nowMs?: () => number
  /** Default: the one that is lent. */
  readonly duckdb?: SinkContext['duckdb']
}

/** DuckDB in the hands of a sink and of a test. */
export interface Lent {
  readonly executor: SessionExecutor
  readonly folder: string
}

/** The sink of a table, as a process opens it. */
export function openSink(store: ObjectStore, lent: Lent, opened: Opened = {}): Promise<SinkPort> {
  const {
    columns = { k: 'VARCHAR' },
    checkpointId = 'checkpoint-a',
    output = 'flow-1',
    operation,
    nowMs = () => 0,
    duckdb = async work => work(lent),
    ...more
  } = opened
  return ducklakeKind.open(ducklake('lake', { table: 'results', ...more }), {
    output,
    columns,
    operation: operation ?? 'append',
    checkpointId,
    pipeline: 'tested',
    newId: counter(`p${++processes}`),
    nowMs,
    sleep: noSleep,
    openStore: async () => store,
    duckdb,
  })
}

export interface Lake extends Lent {
  readonly store: ObjectStore
  /** The folder of the lake. */
  readonly root: string
  open(opened?: Opened): Promise<SinkPort>
  /** Rows as the sink's files of an epoch. @param sql a SELECT of the flow's columns */
  write(opened: Opened, sql: string): Promise<WrittenFile>
  /** Another connection to the same DuckDB, as another flow of a run has it. */
  another(): Promise<SessionExecutor>
  close(): Promise<void>
}

/** A lake in a directory, that lies below a folder which DuckDB of a test may use. */
export async function openLake(): Promise<Lake> {
  const root = await mkdtemp(join(tmpdir(), 'millrace-lake-'))
  const session = await openSession({ threads: 1, memory: '300MB' })
  const executor = await session.executor(new AbortController().signal)
  const lent = { executor, folder: session.stage }
  const store = createDirectoryStore(join(root, 'lake'))
  let files = 0
  return {
    ...lent,
    store,
    root: join(root, 'lake'),
    open: opened => openSink(store, lent, opened),
    write({ columns = { k: 'VARCHAR' }, key }, sql) {
      const sink = ducklake('lake', { table: 'results', ...(key && { key }) })
      const rows = ducklakeKind.rows?.(sink, columns, 'flow-1')
      if (!rows) throw new Error('the sink takes no rows')
      return executor.write(`SELECT ${rows.items} FROM (${sql})`, join(session.stage, `w${++files}`), [], rows.form)
    },
    another: () => session.executor(new AbortController().signal),
    async close() {
      await session.close()
      await rm(root, { recursive: true })
    },
  }
}

/** Stages and publishes an epoch, as the engine does: what it staged goes through JSON. */
export async function commitEpoch(
  port: SinkPort,
  executor: SessionExecutor,
  epoch: number,
  file: WrittenFile,
  term = 1,
): Promise<'published' | 'already'> {
  const output = { term, epoch, operation: 'append', files: [file], inlineBytesMax: 0 } as const
  const staged = port.stage && (await port.stage(output))
  const stored = JSON.parse(JSON.stringify(staged ?? { receipt: null, files: [] })) as {
    readonly receipt: null
    readonly files: readonly WaitingFile[]
  }
  const local = port.stage ? [] : [file.file]
  const rows = () => executor.stream(`SELECT * FROM ${parquetRows(local)}`)
  return port.publish({ ...output, ...stored, local, rows }, new AbortController().signal)
}
