import { copyItems, shown } from '../duckdb/chunks.ts'
import { called, type Pass, rowsOf, type Through } from './function-pass.ts'

export function filterRows(pass: Pass, of: (row: unknown) => unknown): Through {
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
