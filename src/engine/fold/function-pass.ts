import { errorMessage, type MillraceError } from '../../core/errors.ts'
import type { ParsedType } from '../../core/types.ts'
import { type Chunk, Misfit, readValues, shown, type Sink } from '../duckdb/chunks.ts'

/** A visible column of a function's rows. */
export interface Column {
  readonly name: string
  readonly type: ParsedType
  /** Its type outside of DuckDB. */
  readonly wire: string
}

/** One function over one epoch's rows. */
export interface Pass {
  readonly op: string
  readonly hidden: readonly string[]
  readonly inputs: readonly Column[]
  readonly outputs: readonly Column[]
  /** The event time's name where it must stay. */
  readonly time: string | undefined
  /** An error about a row of a chunk. */
  fail(chunk: Chunk, row: number, what: string, cause?: unknown): MillraceError
}

/** What a function does with the rows that pass through it. */
export interface Through {
  pass(chunk: Chunk, sink: Sink): void
  end(sink: Sink): void
}

/** The rows of a chunk as a function is given them. */
export function rowsOf({ hidden, inputs, fail }: Pass, chunk: Chunk): (row: number) => Record<string, unknown> {
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

/** What the function makes of a row. */
export function called(pass: Pass, of: (row: unknown) => unknown, given: unknown, chunk: Chunk, row: number): unknown {
  try {
    return of(given)
  } catch (cause) {
    throw pass.fail(chunk, row, `the function threw ${thrown(cause)}`, cause)
  }
}

export const thrown = (cause: unknown): string =>
  (cause instanceof Error ? `${cause.name}: ${errorMessage(cause)}` : shown(cause)).replace(/\.$/, '')

export const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !(value instanceof Date) && !('then' in value)
