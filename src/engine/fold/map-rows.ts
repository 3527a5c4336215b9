import { orderOf, ordinalColumn, ordinalsMax } from '../../plan/relation.ts'
import {
  type Chunk,
  chunkRowsMax,
  Misfit,
  readValues,
  shown,
  type Sink,
  valueWriter,
  type Vector,
  writeItems,
} from '../duckdb/chunks.ts'
import { called, type Column, isObject, type Pass, rowsOf, type Through } from './function-pass.ts'

/**
 * One row to any number of rows, which are numbered in `_ordinal`.
 *
 * @param hidden columns of the rows that it makes
 * @param isChained what it is given came of such a function itself: rows that one source row became are numbered on
 */
export function mapRows(
  pass: Pass,
  of: (row: unknown) => unknown,
  hidden: readonly string[],
  isChained: boolean,
): Through {
  const made = createMadeRows(pass, hidden)
  const isNewSource = isChained ? createSourceWatch(pass, hidden) : () => true
  return {
    pass(chunk, sink) {
      const rowOf = rowsOf(pass, chunk)
      // The function may change the row that it is given.
      const times = pass.time === undefined ? undefined : readTimes(pass, chunk, pass.time)
      const { rowCount } = chunk
      made.ride(
        hidden.map(name => (name === ordinalColumn && !isChained ? undefined : hiddenVector(pass, chunk, name))),
      )
      for (let row = 0; row < rowCount; row++) {
        const result = called(pass, of, rowOf(row), chunk, row)
        if (result === null) continue
        if (isNewSource(chunk, row)) made.restart()
        const was = times?.[row]
        if (Array.isArray(result)) for (const one of result) made.add(one, chunk, row, was)
        else made.add(result, chunk, row, was)
        if (made.count() >= chunkRowsMax) made.flush(sink)
      }
    },
    end: made.flush,
  }
}

/** Rows that a function made, until they are a chunk. */
interface MadeRows {
  /**
   * What comes now is made of this chunk's rows.
   *
   * @param hidden its hidden columns, in the order of those of the rows that are made; undefined for what is counted
   * anew
   */
  ride(hidden: readonly (Vector | undefined)[]): void
  /** Ordinals begin at 0 again. */
  restart(): void
  /** @param was the event time of the row of the chunk, where that must stay */
  add(result: unknown, chunk: Chunk, row: number, was: unknown): void
  count(): number
  flush(sink: Sink): void
}

function createMadeRows(pass: Pass, hidden: readonly string[]): MadeRows {
  const { outputs, fail, time } = pass
  const writers = outputs.map(({ type }) => valueWriter(type))
  const ordinalAt = hidden.indexOf(ordinalColumn)
  // Values for the table by column: hidden ones, then those of the function.
  const buffer: unknown[][] = [...hidden, ...outputs].map(() => [])
  let riding: readonly (Vector | undefined)[] = []
  let ordinal = 0
  const count = () => (buffer[ordinalAt] as unknown[]).length
  return {
    count,
    restart() {
      ordinal = 0
    },
    ride(vectors) {
      riding = vectors
    },
    add(result, chunk, row, was) {
      if (!isObject(result)) throw fail(chunk, row, `expected a row, an array of rows, or null; found ${shown(result)}`)
      if (ordinal >= ordinalsMax) throw fail(chunk, row, `expected at most ${ordinalsMax} rows for one, found more`)
      for (const [column, { name }] of outputs.entries()) {
        const given = Object.hasOwn(result, name) ? result[name] : undefined
        const value = name === time ? sameTime(pass, given, chunk, row, was) : given
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
    },
    flush(sink) {
      sink.append(count(), (column, vector, from, rows) => writeItems(vector, buffer[column] as never[], from, rows))
      for (const values of buffer) values.length = 0
    },
  }
}

/** The event time as it was read: a Date of the same millisecond stands for it. @throws where it is another one */
function sameTime({ time, fail }: Pass, given: unknown, chunk: Chunk, row: number, was: unknown): unknown {
  if (given === was) return was
  if (given instanceof Date && was instanceof Date && given.getTime() === was.getTime()) return was
  throw fail(
    chunk,
    row,
    `field '${time}': expected the event time of the row as it was, ${shown(was)}; found ${shown(given)}; ` +
      'give another time another name',
  )
}

/** Tells whether a row is of another source row than the one before it. */
function createSourceWatch(pass: Pass, hidden: readonly string[]): (chunk: Chunk, row: number) => boolean {
  const kept = orderOf({ hidden }).filter(name => name !== ordinalColumn)
  let before = ''
  return (chunk, row) => {
    const now = kept.map(name => String(hiddenVector(pass, chunk, name).getItem(row))).join()
    const isNew = now !== before
    before = now
    return isNew
  }
}

function hiddenVector({ hidden }: Pass, chunk: Chunk, name: string): Vector {
  return chunk.getColumnVector(hidden.indexOf(name))
}

function readTimes({ inputs, hidden }: Pass, chunk: Chunk, time: string): unknown[] {
  const at = inputs.findIndex(({ name }) => name === time)
  const { type } = inputs[at] as Column
  return readValues(chunk.getColumnVector(hidden.length + at), type, chunk.rowCount)
}
