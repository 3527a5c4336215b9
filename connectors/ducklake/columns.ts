import { type ParsedType, parseColumnType } from '../../src/core/types.ts'
import type { ColumnTypes } from '../../src/plan/relation.ts'
import { id } from '../../src/plan/sql.ts'
import { resultColumns } from '../../src/plan/updates.ts'

/** A column of a table, or a part of one that is nested, by its number in the table and in its files. */
export interface LakeColumn {
  readonly number: number
  readonly name: string
  /** As DuckLake writes it: 'int64', 'list'. */
  readonly type: string
  readonly isNullable: boolean
  /** Number of the column that it is a part of. */
  readonly parent: number | undefined
  /** Of what is no part of another and holds one value. */
  readonly scalar: ParsedType | undefined
}

/** The row, whatever file it lies in: what takes the place of a row has its id. */
export const rowIdColumn = '_ducklake_internal_row_id'
/** The snapshot that a row came with; of a file of deletes, the one that it went with. */
export const snapshotColumn = '_ducklake_internal_snapshot_id'
/** Numbers of columns of data files that DuckLake gives a meaning to. */
export const internalColumns = { [rowIdColumn]: 2_147_483_540, [snapshotColumn]: 2_147_483_539 } as const

/** Every type of a flow has one in DuckLake that holds the same values. */
const names: Readonly<Record<string, string>> = {
  BOOLEAN: 'boolean',
  TINYINT: 'int8',
  SMALLINT: 'int16',
  INTEGER: 'int32',
  BIGINT: 'int64',
  UBIGINT: 'uint64',
  FLOAT: 'float32',
  DOUBLE: 'float64',
  VARCHAR: 'varchar',
  UUID: 'uuid',
  BLOB: 'blob',
  DATE: 'date',
  TIMESTAMP: 'timestamp',
  TIMESTAMPTZ: 'timestamptz',
  JSON: 'json',
}

function typeName({ name, precision, scale }: ParsedType): string {
  return name === 'DECIMAL' ? `decimal(${precision},${scale})` : (names[name] as string)
}

/** The columns of a flow that a table holds: of one that gives changes, those of results. */
export function tableColumns(columns: ColumnTypes): readonly { readonly name: string; readonly type: ParsedType }[] {
  return resultColumns(Object.keys(columns)).map(name => ({
    name,
    type: parseColumnType(columns[name] as string, name),
  }))
}

/** As `CREATE TABLE` of DuckLake numbers them: a column, then its parts. */
export function lakeColumns(columns: ColumnTypes): readonly LakeColumn[] {
  const made: LakeColumn[] = []
  const add = (name: string, type: string, isNullable: boolean, parent?: number, scalar?: ParsedType): number => {
    const number = made.length + 1
    made.push({ number, name, type, isNullable, parent, scalar })
    return number
  }
  for (const { name, type } of tableColumns(columns)) {
    if (!type.list) {
      add(name, typeName(type), type.nullable, undefined, type)
      continue
    }
    const parent = add(name, 'list', type.nullable)
    if (type.value === undefined) {
      add('element', typeName(type), true, parent)
      continue
    }
    const element = add('element', 'struct', true, parent)
    add('value', typeName(type.value), true, element)
    add('count', 'int64', true, element)
  }
  return made
}

/** The numbers as DuckDB's COPY takes them. @param more further columns of a file */
export function fieldIds(columns: readonly LakeColumn[], more: Readonly<Record<string, number>> = {}): string {
  const entry = ({ number, name }: LakeColumn): string => {
    const parts = columns.filter(({ parent }) => parent === number)
    if (parts.length === 0) return `${id(name)}: ${number}`
    return `${id(name)}: {__duckdb_field_id: ${number}, ${parts.map(entry).join(', ')}}`
  }
  const own = columns.filter(({ parent }) => parent === undefined).map(entry)
  return `{${[...own, ...Object.entries(more).map(([name, number]) => `${id(name)}: ${number}`)].join(', ')}}`
}
