import type { Json } from '../../core/json.ts'
import { visible } from '../../core/visible.ts'
import type { DeclaredColumn } from '../../plan/declared-column.ts'
import { findColumn, leavesOf, type OwnColumn } from '../../plan/find-column.ts'

/** What one object has, as far as it is told. */
export interface ObjectColumns {
  /** Its columns that nobody declared; of JSON those of its first rows. */
  readonly undeclared: readonly string[]
  /** Of JSON: declared fields with a value in one of its rows, and those of which it is asked. */
  readonly withValues: readonly string[]
  readonly asked: readonly string[]
}

/** A declared field of JSON: the last object with a value of it, and what came since. */
export interface FieldSeen {
  readonly last: string
  /** The first object after that. */
  readonly since: string | null
  readonly objects: number
  readonly rows: number
}

/** What the objects of a checkpoint's ledger have had: so that what is new or gone is told by later runs too. */
export interface ColumnsSeen {
  readonly undeclared: readonly string[]
  readonly fields: Readonly<Record<string, FieldSeen>>
}

/** A column that nobody declared, and the first object that has it. */
export interface NewColumn {
  readonly column: string
  readonly object: string
}

/** A declared field of JSON that later objects do not have. */
export interface GoneField extends FieldSeen {
  readonly column: string
  readonly since: string
}

/** Names that are remembered; objects whose keys are data have no end of them, and are told of no more. */
export const namesMax = 1_000
/** Rows of JSON that are looked at for fields that nobody declared, of what is read together. */
export const rowsLookedAt = 1_000

/** The columns of an object that are not declared, a struct by its fields. */
export function undeclaredColumns(own: readonly OwnColumn[], declared: readonly DeclaredColumn[]): readonly string[] {
  const read = declared.flatMap(({ from }) => {
    const found = findColumn(from, own)
    return found.is === 'found' ? [found.at] : []
  })
  const isRead = (at: readonly number[]) => read.some(path => path.every((step, depth) => at[depth] === step))
  return leavesOf(own).flatMap(({ name, at }) => (isRead(at) ? [] : [name]))
}

/** An object that was read, as far as its columns are told. */
export interface ObjectSeen {
  readonly version: { readonly key: string }
  readonly rows: number
  readonly quarantinedRows: number
  readonly columns?: ObjectColumns
}

/** What is known after these objects, in ledger order, and which columns are new. The first object of all has none. */
export function seeColumns(
  before: ColumnsSeen | null,
  objects: readonly ObjectSeen[],
): { readonly seen: ColumnsSeen | null; readonly found: readonly NewColumn[] } {
  let undeclared: Set<string> | undefined = before ? new Set(before.undeclared) : undefined
  const fields = new Map(Object.entries(before?.fields ?? {}))
  const found: NewColumn[] = []
  for (const { version, columns, rows, quarantinedRows } of objects) {
    if (!columns || rows === quarantinedRows) continue
    const { key } = version
    if (undeclared === undefined) undeclared = new Set(columns.undeclared.slice(0, namesMax))
    for (const column of columns.undeclared) {
      if (undeclared.has(column) || undeclared.size >= namesMax) continue
      undeclared.add(column)
      found.push({ column, object: key })
    }
    for (const field of columns.asked) {
      const was = fields.get(field)
      if (columns.withValues.includes(field)) fields.set(field, { last: key, since: null, objects: 0, rows: 0 })
      // A value of a row that was set aside is not looked for.
      else if (was && quarantinedRows === 0)
        fields.set(field, { ...was, since: was.since ?? key, objects: was.objects + 1, rows: was.rows + rows })
    }
  }
  if (undeclared === undefined) return { seen: before, found }
  return { seen: { undeclared: [...undeclared], fields: Object.fromEntries(fields) }, found }
}

/** Fields that had values once, and none in the last objects. */
export function goneFields(seen: ColumnsSeen | null): readonly GoneField[] {
  return Object.entries(seen?.fields ?? {}).flatMap(([column, field]) =>
    field.since === null ? [] : [{ ...field, column, since: field.since }],
  )
}

export function columnsSeenJson({ undeclared, fields }: ColumnsSeen): Json {
  return { undeclared, fields: Object.fromEntries(Object.entries(fields).map(([name, field]) => [name, { ...field }])) }
}

const namedMax = 20

/** Columns with the first object of each, the first twenty. */
export function newColumnsList(found: readonly NewColumn[]): string {
  const named = found.slice(0, namedMax).map(({ column, object }) => `'${visible(column)}' in '${object}'`)
  return `${named.join(', ')}${found.length > namedMax ? ` and ${found.length - namedMax} more` : ''}`
}

export function newColumnsText(source: string, found: readonly NewColumn[]): string {
  return (
    `source ${source} does not declare ${newColumnsList(found)}, which no object before had. ` +
    'Declare what is wanted, with DEFAULT for those before.'
  )
}

export function goneFieldText(source: string, { column, last, since, objects, rows }: GoneField): string {
  const of = objects === 1 ? `'${since}' has none` : `the ${objects} objects from '${since}' on have none`
  return (
    `field '${column}' of source ${source} had values up to '${last}', and ${of} in ${rows} ` +
    `row${rows === 1 ? '' : 's'}: it is NULL there. Was it renamed?`
  )
}
