import { configError, MillraceError } from '../src/core/errors.ts'
import { nearestName } from '../src/core/nearest.ts'
import { checkColumnName } from '../src/core/types.ts'
import type { ColumnTypes } from '../src/plan/relation.ts'

/** An error that names the step, the unknown column, the nearest name and what is in scope. */
export function unknownColumn(op: string, name: string, columns: ColumnTypes): MillraceError {
  const names = Object.keys(columns)
  const nearest = nearestName(name, names)
  return new MillraceError(
    'user',
    'unknown-column',
    `${op}: no column '${name}'${nearest === undefined ? '.' : `; did you mean '${nearest}'?`} Columns here: ` +
      `${names.join(', ')}.`,
  )
}

/** The type of a column that a step names. */
export function columnType(op: string, name: string, columns: ColumnTypes): string {
  const type = Object.hasOwn(columns, name) ? columns[name] : undefined
  if (type === undefined) throw unknownColumn(op, name, columns)
  return type
}

/** ' per a, b', as a person reads it; nothing where all rows are together. */
export function perTold(per: readonly string[]): string {
  return per.length === 0 ? '' : ` per ${per.join(', ')}`
}

/** Refuses what is no list of names in one call: `groupBy(['a', 'b'])` for `groupBy('a', 'b')`. */
export function checkNames(op: string, names: readonly unknown[]): void {
  const stranger = names.find(name => typeof name !== 'string')
  if (stranger !== undefined) throw configError(op, stranger, `names of columns, one after the other: ${op}('a', 'b')`)
}

/** Refuses a new column whose name is empty, hidden or differs from another in case only. */
export function checkNewName(op: string, name: string, others: readonly string[]): void {
  checkColumnName(name, op)
  const clash = others.find(other => other !== name && other.toLowerCase() === name.toLowerCase())
  if (clash !== undefined)
    throw configError(op, name, `a name that differs from '${clash}' in more than case, as SQL ignores case`)
}
