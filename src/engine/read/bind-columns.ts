import { errorMessage } from '../../core/errors.ts'
import type { DeclaredColumn } from '../../plan/declared-column.ts'
import { findColumn, leavesOf, type OwnColumn } from '../../plan/find-column.ts'
import type { ScannedColumn } from '../../plan/format.ts'
import type { Fact } from '../../plan/object-facts.ts'
import { type FetchContext, isBadObject } from './marked-object.ts'
import { columnText, factColumn, missingColumn, type ReadColumn, readColumn, typedName } from './read-column.ts'
import { isRescued, rescued } from './rescue.ts'

/** The declared columns as they are read of objects of one shape. */
export interface BoundColumns {
  /** With the column of what did not fit, where that is kept. */
  readonly good: readonly ReadColumn[]
  /** SQL of the rows with all that `good` refers to. @param from as a format's `scan` takes it */
  scan(from: string): string
}

/**
 * How the declared columns are read of these rows, or why they cannot be.
 *
 * @param isProven whether rows come as the format's `readProven` gives them, with `_broken`, which is what `scan` takes
 */
export async function bindColumns(
  context: FetchContext,
  file: string,
  declared: readonly DeclaredColumn[],
  own: readonly OwnColumn[],
  facts: readonly ReadonlyMap<string, Fact>[],
  isProven = false,
): Promise<BoundColumns | { readonly impossible: string }> {
  const { format, settings } = context
  const scanned: ScannedColumn[] = []
  for (const column of declared.filter(({ fact }) => fact === undefined)) {
    const found = locate(column, own)
    if ('impossible' in found) return found
    if ('at' in found) scanned.push({ ...column, at: found.at })
  }
  const described = isProven
    ? { types: scanned.map(({ type }) => type.sql) }
    : await typesOf(context, file, scanned, own)
  if ('impossible' in described) return described
  const physical = new Map(scanned.map(({ name }, index) => [name, described.types?.[index] ?? 'VARCHAR']))
  const read: ReadColumn[] = []
  for (const [index, column] of declared.entries()) {
    const type = physical.get(column.name)
    const one =
      column.fact !== undefined
        ? factColumn(column, facts)
        : type === undefined
          ? missingColumn(column)
          : readColumn(column, typedName(index), format, type, isRescued(column, settings))
    if ('impossible' in one) return one
    read.push(one)
  }
  // One level below what reads them: DuckDB plans and computes a value again for every place where it is written out.
  const casts = read.flatMap(({ value, cast }) => (cast === null ? [] : [`${cast} AS ${value}`]))
  const { good, flags } = rescued(read, settings)
  const withColumns = (rows: string, columns: readonly string[]) =>
    columns.length === 0 ? rows : `SELECT *, ${columns.join(', ')} FROM (${rows})`
  return {
    good,
    scan: from => withColumns(withColumns(isProven ? from : format.scan(from, scanned, own), casts), flags),
  }
}

/** Where an object has a declared column, that a default stands for it, or why it has none. */
function locate(
  { name, from, type, ifMissing }: DeclaredColumn,
  own: readonly OwnColumn[],
): { readonly at: readonly number[] } | { readonly isMissing: true } | { readonly impossible: string } {
  const found = findColumn(from, own)
  if (found.is === 'missing' && ifMissing !== undefined) return { isMissing: true }
  const column = columnText({ name, from })
  if (found.is === 'missing')
    return { impossible: `${column} is missing; expected ${type.sql}, the object has ${columnList(own)}` }
  if (found.is === 'ambiguous')
    return {
      impossible:
        `${column} is ambiguous: the object has ${found.names.join(', ')}; expected one of that very name, or ` +
        'only one when case is ignored',
    }
  const twins = columnAt(found.at, own)?.twins
  // DuckDB would write the second by a name that it makes up.
  if (type.name === 'JSON' && twins)
    return {
      impossible:
        `${column} cannot be read as JSON: its fields ${twins.join(' and ')} have one name when case is ` +
        `ignored; declare fields by their path, such as '${from}.${twins[0]}'`,
    }
  return found
}

/** DuckDB's types of the columns; undefined where all are text. */
async function typesOf(
  { executor, format }: FetchContext,
  file: string,
  columns: readonly ScannedColumn[],
  own: readonly OwnColumn[],
): Promise<{ readonly types: readonly string[] | undefined } | { readonly impossible: string }> {
  if (!format.types || columns.length === 0) return { types: undefined }
  try {
    return { types: Object.values(await executor.describe(format.types(file, columns, own))) }
  } catch (error) {
    const [line = ''] = errorMessage(error).split('\n')
    // A schema that no writer makes may be one tree to DuckDB and another to us.
    if (!line.startsWith('Binder Error: ') || isBadObject(error)) throw error
    return { impossible: `its schema cannot be understood: ${line.slice('Binder Error: '.length)}` }
  }
}

function columnAt([index = 0, ...inner]: readonly number[], own: readonly OwnColumn[]): OwnColumn | undefined {
  const column = own[index]
  return inner.length === 0 ? column : columnAt(inner, column?.fields ?? [])
}

/** Columns for messages, a struct by its fields; cut to a length that can be read. */
function columnList(own: readonly OwnColumn[]): string {
  const list = leavesOf(own)
    .map(({ name }) => name)
    .join(', ')
  return list.length <= 2000 ? list : `${list.slice(0, 2000)}...`
}
