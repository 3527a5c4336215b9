import type { RecordBatch } from 'apache-arrow'
import { errorMessage, MillraceError } from '../../core/errors.ts'
import { type ParsedType, parseColumnType } from '../../core/types.ts'
import { type PlanNode, planKey, sourceOf } from '../../plan/node.ts'
import { inputAlias, inputColumn, ordinalColumn, ordinalsMax, type Relation } from '../../plan/relation.ts'
import { id } from '../../plan/sql.ts'
import { applySteps, type BoundNode, hiddenAfter } from '../../plan/stages.ts'
import type { FunctionCall } from '../../plan/step.ts'
import { arrowWire } from '../duckdb/arrow-types.ts'
import {
  type Chunk,
  chunkRowsMax,
  copyItems,
  copyRange,
  Misfit,
  readValues,
  rowWire,
  shown,
  type Sink,
  valueWriter,
  type Vector,
  writeItems,
} from '../duckdb/chunks.ts'
import type { SessionExecutor } from '../duckdb/executor.ts'
import { returnedColumn } from '../duckdb/from-arrow.ts'
import { batchBuilder, type BatchPart } from '../duckdb/to-arrow.ts'

/** Where functions of TypeScript run. */
export interface FunctionRun {
  readonly executor: SessionExecutor
  /** Makes a table of the query; dropped with the epoch's other tables. */
  table(sql: string): Promise<string>
  /** The object of a sequence number, for errors about rows as read; absent behind a stage. */
  keyOf?(seq: number): string | undefined
  /** A window follows, so the event time must be handed on unchanged. */
  readonly isBeforeWindow?: boolean
  /** What each function of this epoch gave, by its plan: flows that share a function share its rows. */
  readonly given?: Map<string, Relation>
}

/**
 * As `applySteps`, with functions run: what is before one streams through it into a table, and what follows reads that.
 * Without functions nothing runs.
 */
export async function runSteps(run: FunctionRun, input: Relation, steps: readonly BoundNode[]): Promise<Relation> {
  let relation = input
  let from = 0
  for (const [index, { node }] of steps.entries()) {
    if (node.step.is !== 'function') continue
    const key = planKey(node)
    relation =
      run.given?.get(key) ??
      (await runFunction(run, applySteps(relation, steps.slice(from, index)), node, node.step.call))
    run.given?.set(key, relation)
    from = index + 1
  }
  return applySteps(relation, steps.slice(from))
}

interface Column {
  readonly name: string
  readonly type: ParsedType
  /** Its type outside of DuckDB. */
  readonly wire: string
}

function columnsOf(columns: Relation['columns'], wireOf: (type: ParsedType) => string): readonly Column[] {
  return Object.entries(columns).map(([name, text]) => {
    const type = parseColumnType(text, name)
    return { name, type, wire: wireOf(type) }
  })
}

/** One function over one epoch's rows. */
interface Pass {
  readonly op: string
  readonly hidden: readonly string[]
  readonly inputs: readonly Column[]
  readonly outputs: readonly Column[]
  /** The event time's name where it must stay. */
  readonly time: string | undefined
  /** An error about a row of a chunk. */
  fail(chunk: Chunk, row: number, what: string, cause?: unknown): MillraceError
}

async function runFunction(run: FunctionRun, input: Relation, node: PlanNode, call: FunctionCall): Promise<Relation> {
  const wireOf = call.is === 'map-batches' ? arrowWire : rowWire
  const inputs = columnsOf(input.columns, wireOf)
  const outputs = columnsOf(node.columns, wireOf)
  const hidden = hiddenAfter(input, node.step)
  const { time } = sourceOf(node)
  const pass: Pass = {
    op: node.op,
    hidden: input.hidden,
    inputs,
    outputs,
    time: run.isBeforeWindow && Object.hasOwn(node.columns, time) ? time : undefined,
    fail: (chunk, row, what, cause) =>
      new MillraceError(
        'fatal',
        'function',
        `${node.op}: ${whereIs(run, input.hidden, inputs, chunk, row)}: ${what}. Nothing of its epoch was counted. Correct the function, or leave such rows out before it.`,
        cause,
      ),
  }
  const items = inputs.map(({ name, type, wire }) => {
    const column = inputColumn(name)
    return `${wire === type.sql ? column : `CAST(${column} AS ${wire})`} AS ${id(name)}`
  })
  const from = `FROM (${input.sql}) AS ${id(inputAlias)}`
  // Rows that one row became are numbered on by the next function, so it must see them in order.
  const isChained = call.is === 'map-rows' && input.hidden.includes(ordinalColumn)
  // Results of an aggregate come in any order, and an error should name the same one each time.
  const isOrdered = isChained || !input.hidden.includes('_seq')
  const order = isOrdered ? ` ORDER BY ${input.hidden.map(name => `${inputColumn(name)} NULLS LAST`).join(', ')}` : ''
  const query = `SELECT ${[...input.hidden.map(inputColumn), ...items].join(', ')} ${from}${order}`
  const shape = [
    ...hidden.map(name => (input.hidden.includes(name) ? inputColumn(name) : `CAST(0 AS BIGINT) AS ${name}`)),
    ...outputs.map(({ name, wire }) => `CAST(NULL AS ${wire}) AS ${id(name)}`),
  ]
  const table = await run.table(`SELECT ${shape.join(', ')} ${from} LIMIT 0`)
  const through =
    call.is === 'map-rows'
      ? mapRows(pass, call.of as (row: unknown) => unknown, hidden, isChained)
      : call.is === 'filter-rows'
        ? filterRows(pass, call.of as (row: unknown) => unknown)
        : await mapBatches(pass, call.of as (batch: RecordBatch) => unknown, input.columns)
  await run.executor.through(query, table, through.pass, through.end)
  const given = [
    ...hidden.map(id),
    ...outputs.map(({ name, type, wire }) =>
      wire === type.sql ? id(name) : `CAST(${id(name)} AS ${type.sql}) AS ${id(name)}`,
    ),
  ]
  return { sql: `SELECT ${given.join(', ')} FROM ${table}`, columns: node.columns, hidden }
}

interface Through {
  pass(chunk: Chunk, sink: Sink): void
  end(sink: Sink): void
}

/** `object 'trips/1.parquet', row 7`; after a window, where no object is, the row's own columns. */
function whereIs(
  run: FunctionRun,
  hidden: readonly string[],
  inputs: readonly Column[],
  chunk: Chunk,
  row: number,
): string {
  const item = (name: string) => chunk.getColumnVector(hidden.indexOf(name)).getItem(row)
  if (run.keyOf && hidden.includes('_seq') && hidden.includes('_row')) {
    const key = run.keyOf(Number(item('_seq')))
    return `${key === undefined ? `object number ${String(item('_seq'))}` : `object '${key}'`}, row ${String(item('_row'))}`
  }
  const values = inputs
    .slice(0, 5)
    .map(({ name }, column) => `${name} ${String(chunk.getColumnVector(hidden.length + column).getItem(row))}`)
  return `the row of ${values.join(', ')}`
}

function rowsOf({ hidden, inputs, fail }: Pass, chunk: Chunk): (row: number) => Record<string, unknown> {
  const columns = inputs.map(({ name, type }, column) => {
    try {
      return readValues(chunk.getColumnVector(hidden.length + column), type, chunk.rowCount)
    } catch (error) {
      if (!(error instanceof Misfit)) throw error
      throw fail(chunk, error.index ?? 0, `column '${name}' is ${error.message}; leave it out with select()`, error)
    }
  })
  return row => {
    const made: Record<string, unknown> = {}
    for (let column = 0; column < inputs.length; column++)
      made[(inputs[column] as Column).name] = (columns[column] as unknown[])[row]
    return made
  }
}

function called(pass: Pass, of: (row: unknown) => unknown, given: unknown, chunk: Chunk, row: number): unknown {
  try {
    return of(given)
  } catch (cause) {
    throw pass.fail(chunk, row, `the function threw ${thrown(cause)}`, cause)
  }
}

const thrown = (cause: unknown): string =>
  (cause instanceof Error ? `${cause.name}: ${errorMessage(cause)}` : shown(cause)).replace(/\.$/, '')

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !(value instanceof Date) && !('then' in value)

function mapRows(pass: Pass, of: (row: unknown) => unknown, hidden: readonly string[], isChained: boolean): Through {
  const { outputs, inputs, fail, time } = pass
  const writers = outputs.map(({ type }) => valueWriter(type))
  const kept = hidden.filter(name => name !== ordinalColumn)
  const ordinalAt = hidden.indexOf(ordinalColumn)
  // Values for the table by column: hidden ones, then those of the function.
  const buffer: unknown[][] = [...hidden, ...outputs].map(() => [])
  /** The chunk's hidden columns. */
  let riding: readonly (Vector | undefined)[] = []
  let before = ''
  let ordinal = 0

  const flush = (sink: Sink) => {
    const rows = (buffer[ordinalAt] as unknown[]).length
    sink.append(rows, (column, vector, from, count) => writeItems(vector, buffer[column] as never[], from, count))
    for (const values of buffer) values.length = 0
  }
  /** The event time as it was read: a Date of the same millisecond stands for it. */
  const sameTime = (given: unknown, was: unknown): unknown =>
    given instanceof Date && was instanceof Date && given.getTime() === was.getTime() ? was : given
  return {
    pass(chunk, sink) {
      const rowOf = rowsOf(pass, chunk)
      // The function may change the row that it is given.
      const times = time === undefined ? undefined : readTime(chunk)
      const { rowCount } = chunk
      riding = hidden.map(name => (name === ordinalColumn && !isChained ? undefined : hiddenVector(chunk, name)))
      for (let row = 0; row < rowCount; row++) {
        const result = called(pass, of, rowOf(row), chunk, row)
        if (result === null) continue
        if (isChained) {
          const now = kept.map(name => String(hiddenVector(chunk, name).getItem(row))).join()
          if (now !== before) ordinal = 0
          before = now
        } else ordinal = 0
        if (Array.isArray(result)) for (const one of result) add(chunk, row, one, times?.[row])
        else add(chunk, row, result, times?.[row])
        if ((buffer[ordinalAt] as unknown[]).length >= chunkRowsMax) flush(sink)
      }
    },
    end: flush,
  }

  function hiddenVector(chunk: Chunk, name: string): Vector {
    return chunk.getColumnVector(pass.hidden.indexOf(name))
  }

  function readTime(chunk: Chunk): unknown[] {
    const at = inputs.findIndex(({ name }) => name === time)
    const { type } = inputs[at] as Column
    return readValues(chunk.getColumnVector(pass.hidden.length + at), type, chunk.rowCount)
  }

  function add(chunk: Chunk, row: number, result: unknown, was: unknown): void {
    if (!isObject(result)) throw fail(chunk, row, `expected a row, an array of rows, or null; found ${shown(result)}`)
    if (ordinal >= ordinalsMax) throw fail(chunk, row, `expected at most ${ordinalsMax} rows for one, found more`)
    for (const [column, { name }] of outputs.entries()) {
      let value = Object.hasOwn(result, name) ? result[name] : undefined
      if (name === time) {
        value = sameTime(value, was)
        if (value !== was)
          throw fail(
            chunk,
            row,
            `field '${name}': expected the event time of the row as it was, ${shown(was)}; found ${shown(value)}; give another time another name`,
          )
      }
      try {
        const at = hidden.length + column
        ;(buffer[at] as unknown[]).push((writers[column] as (value: unknown) => unknown)(value))
      } catch (error) {
        if (!(error instanceof Misfit)) throw error
        throw fail(chunk, row, `field '${name}': ${error.message}`, error)
      }
    }
    for (let column = 0; column < hidden.length; column++)
      (buffer[column] as unknown[]).push(column === ordinalAt ? BigInt(ordinal) : riding[column]?.getItem(row))
    ordinal++
  }
}

function filterRows(pass: Pass, of: (row: unknown) => unknown): Through {
  return {
    pass(chunk, sink) {
      const rowOf = rowsOf(pass, chunk)
      const kept: number[] = []
      const { rowCount } = chunk
      for (let row = 0; row < rowCount; row++) {
        const result = called(pass, of, rowOf(row), chunk, row)
        if (typeof result !== 'boolean') throw pass.fail(chunk, row, `expected true or false; found ${shown(result)}`)
        if (result) kept.push(row)
      }
      sink.append(kept.length, (column, vector, from, count) =>
        copyItems(chunk.getColumnVector(column), vector, kept.slice(from, from + count)),
      )
    },
    end() {},
  }
}

/** Chunks in a RecordBatch: 16,384 rows at most. */
const batchChunks = 8

async function mapBatches(
  pass: Pass,
  of: (batch: RecordBatch) => unknown,
  columns: Relation['columns'],
): Promise<Through> {
  const { hidden, inputs, outputs, fail, time } = pass
  // Only a plan with mapBatches pays for the library.
  const arrow = await import('apache-arrow')
  const build = batchBuilder(arrow, columns)
  let chunks: Chunk[] = []

  const flush = (sink: Sink) => {
    const [first] = chunks
    if (!first) return
    const parts = chunks.map(
      (chunk): BatchPart => ({
        rows: chunk.rowCount,
        vectors: inputs.map((_, column) => chunk.getColumnVector(hidden.length + column)),
      }),
    )
    const rows = parts.reduce((sum, part) => sum + part.rows, 0)
    const batch = build(parts)
    let result: unknown
    try {
      result = of(batch)
    } catch (cause) {
      throw fail(first, 0, `in the batch of ${rows} rows that begins here the function threw ${thrown(cause)}`, cause)
    }
    if (!isObject(result) || typeof result.getChild !== 'function' || typeof result.numRows !== 'number')
      throw fail(first, 0, `expected a RecordBatch or Table for the batch that begins here; found ${shown(result)}`)
    if (result.numRows !== rows)
      throw fail(
        first,
        0,
        `expected as many rows as the batch that begins here has, ${rows}; found ${result.numRows}. To drop rows use where() or filterRows(), to make more mapRows()`,
      )
    const misfit = (name: string, error: unknown) => {
      if (!(error instanceof Misfit)) return error
      let row = error.index ?? 0
      const chunk = chunks.find(({ rowCount }) => row < rowCount || ((row -= rowCount), false)) ?? first
      return fail(chunk, row, `column '${name}': ${error.message}`, error)
    }
    const returned = outputs.map(({ name, type }) => {
      try {
        return returnedColumn(arrow, result as never, name, type)
      } catch (error) {
        throw misfit(name, error)
      }
    })
    const timeAt = outputs.findIndex(({ name }) => name === time)
    if (time !== undefined) {
      const was = returnedColumn(arrow, batch, time, { ...(outputs[timeAt] as Column).type, nullable: true })
      const isHandedOn = returned[timeAt]?.isSameAs(was.data) ?? false
      for (let row = 0; row < rows && !isHandedOn; row++)
        if (returned[timeAt]?.raw(row) !== was.raw(row))
          throw misfit(
            time,
            new Misfit(
              `expected the event time of the row as it was, ${shown(was.raw(row))}; found ${shown(returned[timeAt]?.raw(row))}; give another time another name`,
              row,
            ),
          )
    }
    let start = 0
    for (const chunk of chunks) {
      const { rowCount } = chunk
      sink.append(rowCount, (column, vector: Vector, from, count) => {
        const output = column - hidden.length
        if (output < 0) copyRange(chunk.getColumnVector(column), vector, from, count)
        else
          try {
            returned[output]?.write(vector, start + from, count)
          } catch (error) {
            throw misfit((outputs[output] as Column).name, error)
          }
      })
      start += rowCount
    }
    chunks = []
  }

  return {
    pass(chunk, sink) {
      chunks.push(chunk)
      if (chunks.length === batchChunks) flush(sink)
    },
    end: flush,
  }
}
