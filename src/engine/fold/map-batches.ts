import type { RecordBatch } from 'apache-arrow'
import type { Relation } from '../../plan/relation.ts'
import type { ArrowLibrary } from '../duckdb/arrow-types.ts'
import { type Chunk, copyRange, Misfit, shown, type Sink, type Vector } from '../duckdb/chunks.ts'
import { type ReturnedColumn, returnedColumn } from '../duckdb/from-arrow.ts'
import { batchBuilder, type BatchPart } from '../duckdb/to-arrow.ts'
import { type Column, isObject, type Pass, thrown, type Through } from './function-pass.ts'

/** Chunks in a RecordBatch: 16,384 rows at most. */
const batchChunks = 8

export async function mapBatches(
  pass: Pass,
  of: (batch: RecordBatch) => unknown,
  columns: Relation['columns'],
): Promise<Through> {
  // Only a plan with mapBatches pays for the library.
  const arrow = await import('apache-arrow')
  const build = batchBuilder(arrow, columns)
  let chunks: Chunk[] = []
  const flush = (sink: Sink) => {
    const [first] = chunks
    if (!first) return
    const given = givenOf(pass, build, chunks, first)
    const returned = returnedOf(pass, arrow, given, of)
    checkTime(pass, arrow, given, returned)
    append(pass, given, returned, sink)
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

/** A batch that a function is given, and the chunks that it is made of. */
interface Given {
  readonly chunks: readonly Chunk[]
  readonly first: Chunk
  readonly rows: number
  readonly batch: RecordBatch
}

function givenOf(
  { hidden, inputs }: Pass,
  build: (parts: readonly BatchPart[]) => RecordBatch,
  chunks: readonly Chunk[],
  first: Chunk,
): Given {
  const parts = chunks.map(
    (chunk): BatchPart => ({
      rows: chunk.rowCount,
      vectors: inputs.map((_, column) => chunk.getColumnVector(hidden.length + column)),
    }),
  )
  const rows = parts.reduce((sum, part) => sum + part.rows, 0)
  return { chunks, first, rows, batch: build(parts) }
}

/** The columns that the function returns for the batch. */
function returnedOf(
  pass: Pass,
  arrow: ArrowLibrary,
  given: Given,
  of: (batch: RecordBatch) => unknown,
): readonly ReturnedColumn[] {
  const { first, rows } = given
  let result: unknown
  try {
    result = of(given.batch)
  } catch (cause) {
    throw pass.fail(
      first,
      0,
      `in the batch of ${rows} rows that begins here the function threw ${thrown(cause)}`,
      cause,
    )
  }
  if (!isObject(result) || typeof result.getChild !== 'function' || typeof result.numRows !== 'number')
    throw pass.fail(first, 0, `expected a RecordBatch or Table for the batch that begins here; found ${shown(result)}`)
  if (result.numRows !== rows)
    throw pass.fail(
      first,
      0,
      `expected as many rows as the batch that begins here has, ${rows}; found ${result.numRows}. ` +
        'To drop rows use where() or filterRows(), to make more mapRows()',
    )
  return pass.outputs.map(({ name, type }) => {
    try {
      return returnedColumn(arrow, result as never, name, type)
    } catch (error) {
      throw misfitIn(pass, given, name, error)
    }
  })
}

/** Refuses another event time than a row had, where it must stay. */
function checkTime(pass: Pass, arrow: ArrowLibrary, given: Given, returned: readonly ReturnedColumn[]): void {
  const { outputs, time } = pass
  if (time === undefined) return
  const at = outputs.findIndex(({ name }) => name === time)
  const was = returnedColumn(arrow, given.batch, time, { ...(outputs[at] as Column).type, nullable: true })
  const is = returned[at] as ReturnedColumn
  if (is.isSameAs(was.data)) return
  for (let row = 0; row < given.rows; row++) {
    if (is.raw(row) === was.raw(row)) continue
    const misfit = new Misfit(
      `expected the event time of the row as it was, ${shown(was.raw(row))}; found ${shown(is.raw(row))}; ` +
        'give another time another name',
      row,
    )
    throw misfitIn(pass, given, time, misfit)
  }
}

/** Hidden columns as they were, and the returned ones. */
function append(pass: Pass, given: Given, returned: readonly ReturnedColumn[], sink: Sink): void {
  const { hidden, outputs } = pass
  let start = 0
  for (const chunk of given.chunks) {
    const { rowCount } = chunk
    const before = start
    sink.append(rowCount, (column, vector: Vector, from, count) => {
      const output = column - hidden.length
      if (output < 0) copyRange(chunk.getColumnVector(column), vector, from, count)
      else
        try {
          returned[output]?.write(vector, before + from, count)
        } catch (error) {
          throw misfitIn(pass, given, (outputs[output] as Column).name, error)
        }
    })
    start += rowCount
  }
}

/** An error of a column, told by the row of the chunk where it lies. */
function misfitIn(pass: Pass, { chunks, first }: Given, name: string, error: unknown): unknown {
  if (!(error instanceof Misfit)) return error
  let row = error.index ?? 0
  const chunk = chunks.find(({ rowCount }) => row < rowCount || ((row -= rowCount), false)) ?? first
  return pass.fail(chunk, row, `column '${name}': ${error.message}`, error)
}
