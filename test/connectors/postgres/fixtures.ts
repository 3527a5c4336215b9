import { join } from 'node:path'
import { postgres, type PostgresOptions, type PostgresSink } from '../../../connectors/postgres/spec.ts'
import { copyRows } from '../../../connectors/postgres/rows.ts'
import { openPostgres } from '../../../connectors/postgres/sink.ts'
import type { SinkPort } from '../../../src/core/sink-port.ts'
import { openSession } from '../../../src/engine/duckdb/session.ts'
import type { ColumnTypes } from '../../../src/plan/relation.ts'
import type { Calls } from '../../contracts/sink.ts'
import type { Server } from '../../servers/server.ts'
import { psql } from '../../servers/postgres.ts'

let schemas = 0

/** A new schema. */
export async function newSchema(server: Server): Promise<string> {
  const schema = `s${++schemas}`
  await psql(server, `CREATE SCHEMA ${schema}`)
  return schema
}

export interface Opened {
  readonly columns?: ColumnTypes
  readonly checkpointId?: string
  readonly output?: string
  readonly operation?: 'append' | 'change'
  readonly calls?: Calls
}

export function openSink(sink: PostgresSink, opened: Opened = {}): Promise<SinkPort> {
  const { columns = { k: 'VARCHAR' }, checkpointId = 'checkpoint-a', output = 'flow-1', operation = 'append' } = opened
  return openPostgres(sink, { output, columns, operation, checkpointId, pipeline: 'tested' }, opened.calls)
}

export function sinkOf(server: Server, schema: string, more: Partial<PostgresOptions> = {}): PostgresSink {
  return postgres({ url: server.endpoint, schema, table: 'results', ...more })
}

/** Rows of DuckDB as the sink's file of an epoch. */
export interface Writer {
  /** @param sql a SELECT of all columns, in the order of its first one */
  write(sink: PostgresSink, columns: ColumnTypes, sql: string): Promise<string>
  close(): Promise<void>
}

export async function openWriter(): Promise<Writer> {
  const session = await openSession({ threads: 1, memory: '300MB' })
  const executor = await session.executor(new AbortController().signal)
  let files = 0
  return {
    async write(sink, columns, sql) {
      const { items, form } = copyRows(sink, columns, 'flow-1')
      const { file } = await executor.write(
        `SELECT ${items} FROM (${sql})`,
        join(session.stage, `f${++files}`),
        [],
        form,
      )
      return file
    },
    close: () => session.close(),
  }
}

/** Publishes an epoch's file. */
export function publish(port: SinkPort, epoch: number, file: string, term = 1): Promise<'published' | 'already'> {
  const output = { term, epoch, operation: 'append', receipt: null, files: [], local: [file] } as const
  return port.publish({ ...output, rows: () => fail() }, new AbortController().signal)
}

function fail(): never {
  throw new Error('rows() was asked for')
}
