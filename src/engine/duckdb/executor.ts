import type { DuckDBConnection, DuckDBDataChunk, DuckDBResult, DuckDBResultReader, DuckDBValue } from '@duckdb/node-api'
import { sha256OfFile } from '../../../checkpoints/codec.ts'
import { errorMessage, isMillraceError, MillraceError } from '../../core/errors.ts'
import type { Executor, FileForm, SqlRow, WrittenFile } from '../../core/ports.ts'
import type { TextRows } from '../../core/text-rows.ts'
import { id, text } from '../../plan/sql.ts'
import { type Chunk, createSink, type Sink } from './chunks.ts'
import { readText, writeText } from './text-rows.ts'
import { plainValue } from './values.ts'

export interface SessionExecutor extends Executor {
  /**
   * Passes the query's rows, a chunk at a time and in the query's order, through `pass` into an empty table. The query
   * streams and the table spills where memory is short, so nothing of the size of an object is held.
   */
  through(
    query: string,
    table: string,
    pass: (chunk: Chunk, sink: Sink) => void,
    end: (sink: Sink) => void,
  ): Promise<void>
  /**
   * The query's rows in its order, a chunk at a time: the next is computed when it is asked for. On a connection of its
   * own, so other statements do not wait for it.
   */
  stream(query: string): AsyncGenerator<readonly SqlRow[]>
  /** After the statements under way. */
  close(): Promise<void>
}

/**
 * Runs SQL on one connection, one statement at a time; `signal` interrupts the statement that is running.
 *
 * @param connect a further connection: while one streams, another must write
 */
export function createExecutor(
  connection: DuckDBConnection,
  signal: AbortSignal,
  connect: () => Promise<DuckDBConnection>,
): SessionExecutor {
  const turns = createTurns(connection, signal)
  const { inTurn } = turns
  let writing: DuckDBConnection | undefined
  const streams = new Set<Promise<void>>()

  const rows = (sql: string): Promise<readonly SqlRow[]> =>
    inTurn(async () => plainRows(await connection.runAndReadAll(sql)))

  return {
    async close() {
      await Promise.all([turns.done(), ...streams])
      connection.closeSync()
      writing?.closeSync()
    },
    async run(sql) {
      await inTurn(() => connection.run(sql))
    },
    rows,
    async *stream(query) {
      const own = await connect()
      let end = () => {}
      const ended = new Promise<void>(resolve => (end = resolve))
      streams.add(ended)
      try {
        yield* streamRows(own, signal, query)
      } finally {
        own.closeSync()
        streams.delete(ended)
        end()
      }
    },
    through(query, table, pass, end) {
      return inTurn(async () => {
        writing ??= await connect()
        await passThrough({ reading: connection, writing, signal }, query, table, pass, end)
      })
    },
    async describe(sql) {
      const described = await rows(`DESCRIBE ${sql}`)
      return Object.fromEntries(described.map(row => [String(row.column_name), String(row.column_type)]))
    },
    textRows(sql, orderBy) {
      return inTurn(async () => readText(await connection.runAndReadAll(sql + ordered(orderBy))))
    },
    append(table, text) {
      return inTurn(() => appendText(connection, table, text))
    },
    async write(sql, file, orderBy, form = { format: 'parquet' }): Promise<WrittenFile> {
      const options = copyOptions(form)
      const [result] = await rows(`COPY (${sql}${ordered(orderBy)}) TO ${text(file)} (${options})`)
      return { file, rows: Number(result?.Count ?? 0), ...(await sha256OfFile(file)) }
    },
  }
}

interface Turns {
  inTurn<T>(work: () => Promise<T>): Promise<T>
  /** After the statements under way. */
  done(): Promise<unknown>
}

/** A DuckDB connection takes one query at a time: later callers wait their turn. */
function createTurns(connection: DuckDBConnection, signal: AbortSignal): Turns {
  let tail: Promise<unknown> = Promise.resolve()
  return {
    inTurn(work) {
      const turn = tail.then(async () => {
        if (signal.aborted) throw aborted(signal)
        const stopListening = interruptOnAbort(connection, signal)
        try {
          return await work()
        } catch (error) {
          throw signal.aborted ? aborted(signal) : withAdvice(error)
        } finally {
          stopListening()
        }
      })
      tail = turn.catch(() => {})
      return turn
    },
    done: () => tail,
  }
}

/** Interrupts what runs on the connection when the signal comes, until what is given back is called. */
function interruptOnAbort(connection: DuckDBConnection, signal: AbortSignal): () => void {
  const interrupt = () => connection.interrupt()
  signal.addEventListener('abort', interrupt, { once: true })
  return () => signal.removeEventListener('abort', interrupt)
}

async function* streamRows(
  connection: DuckDBConnection,
  signal: AbortSignal,
  query: string,
): AsyncGenerator<readonly SqlRow[]> {
  const stopListening = interruptOnAbort(connection, signal)
  try {
    if (signal.aborted) throw aborted(signal)
    const result = await connection.stream(query)
    const names = result.deduplicatedColumnNames()
    for await (const chunk of chunksOf(result, signal)) yield rowsOf(names, chunk.getRows(), 'invalid-date')
  } catch (error) {
    throw signal.aborted ? aborted(signal) : withAdvice(error)
  } finally {
    stopListening()
  }
}

async function passThrough(
  on: { readonly reading: DuckDBConnection; readonly writing: DuckDBConnection; readonly signal: AbortSignal },
  query: string,
  table: string,
  pass: (chunk: Chunk, sink: Sink) => void,
  end: (sink: Sink) => void,
): Promise<void> {
  const appender = await on.writing.createAppender(table)
  try {
    const sink = createSink(appender)
    for await (const chunk of chunksOf(await on.reading.stream(query), on.signal)) pass(chunk, sink)
    end(sink)
  } catch (error) {
    // What is buffered belongs to a table that the caller drops, and the first error says why.
    try {
      appender.clear()
      appender.closeSync()
    } catch {}
    throw error
  }
  appender.closeSync()
}

/** A result's chunks in their order, each computed when it is asked for. */
async function* chunksOf(result: DuckDBResult, signal: AbortSignal): AsyncGenerator<DuckDBDataChunk> {
  for (;;) {
    const chunk = await result.fetchChunk()
    if (signal.aborted) throw aborted(signal)
    if (chunk === null || chunk.rowCount === 0) return
    yield chunk
  }
}

async function appendText(connection: DuckDBConnection, table: string, text: TextRows): Promise<void> {
  const appender = await connection.createAppender(table)
  const types = Array.from({ length: appender.columnCount }, (_, column) => appender.columnType(column))
  writeText(text, types, createSink(appender))
  appender.closeSync()
}

function copyOptions({
  format,
  compression = format === 'parquet' ? 'zstd' : 'none',
  rowGroupRows,
  fieldIds,
}: FileForm): string {
  if (format !== 'parquet')
    return `FORMAT ${format}${format === 'csv' ? ', HEADER true' : ''}, COMPRESSION ${compression}`
  const rows = rowGroupRows === undefined ? '' : `, ROW_GROUP_SIZE ${rowGroupRows}`
  const ids = fieldIds === undefined ? '' : `, FIELD_IDS ${fieldIds}`
  return `FORMAT parquet, COMPRESSION ${compression === 'none' ? 'uncompressed' : compression}${rows}${ids}`
}

function ordered(by: readonly string[]): string {
  return by.length > 0 ? ` ORDER BY ${by.map(name => `${id(name)} ASC NULLS LAST`).join(', ')}` : ''
}

/** A result as rows of plain values. Of several columns of one name all but the first have a number behind it. */
export function plainRows(reader: DuckDBResultReader): readonly SqlRow[] {
  return rowsOf(reader.deduplicatedColumnNames(), reader.getRows(), 'text')
}

function rowsOf(
  names: readonly string[],
  rows: readonly (readonly DuckDBValue[])[],
  beyondDate: 'text' | 'invalid-date',
): readonly SqlRow[] {
  return rows.map(row =>
    Object.fromEntries(names.map((name, index) => [name, plainValue(row[index] as DuckDBValue, beyondDate)])),
  )
}

/** Errors that are about this machine and not about data say what to change. */
function withAdvice(error: unknown): unknown {
  const message = errorMessage(error)
  if (/Too many open files/.test(message))
    return new MillraceError(
      'fatal',
      'resources',
      `DuckDB: ${message.split('\n')[0]}. Raise the limit of open files (ulimit -n), or put fewer objects ` +
        'into an epoch.',
      error,
    )
  if (!/^Out of Memory Error|No space left on device/.test(message)) return error
  const advice = 'Give it more memory (--memory), or a folder with more room to spill into (--spill).'
  return new MillraceError('fatal', 'resources', `DuckDB: ${message.split('\n')[0]} ${advice}`, error)
}

/** Why the run stops: the reason given with the abort, such as a lost checkpoint, or the user's wish. */
export function aborted(signal: AbortSignal): MillraceError {
  if (isMillraceError(signal.reason)) return signal.reason
  return new MillraceError(
    'fatal',
    'aborted',
    'The run was stopped; the next start continues from the last commit.',
    signal.reason,
  )
}
