import { configError } from '../../src/core/errors.ts'
import { type ParsedType, parseColumnType } from '../../src/core/types.ts'
import type { ColumnTypes } from '../../src/plan/relation.ts'
import type { SinkRows } from '../../src/plan/sink.ts'
import { id } from '../../src/plan/sql.ts'
import { resultColumns } from '../../src/plan/updates.ts'
import { folderOf, valuesOf } from '../files/partitions.ts'
import { checkChanges, checkColumns, opSql, unlessRefused } from '../lake/keyed-rows.ts'
import type { DeltaSink } from './spec.ts'
import { storedType, unstorable } from './types.ts'

/** A column of the table. */
export interface Column {
  readonly name: string
  readonly type: ParsedType
  /** Its type of DuckDB in data files. */
  readonly sql: string
}

/** What the table has of a flow: of one that gives changes, the columns of results. */
export function tableColumns(columns: ColumnTypes): readonly Column[] {
  return resultColumns(Object.keys(columns)).map(name => {
    const type = parseColumnType(columns[name] as string, name)
    return { name, type, sql: storedType(type) }
  })
}

/** The columns of data files: values of a partition are told by the log. */
export function fileColumns({ partitionBy = [] }: Pick<DeltaSink, 'partitionBy'>, columns: readonly Column[]) {
  return columns.filter(({ name }) => !partitionBy.includes(name))
}

/** Rows as Parquet; with a key they wait with what becomes of them, else as the table's own files. */
export function deltaRows(sink: DeltaSink, columns: ColumnTypes, at: string, changesBy?: readonly string[]): SinkRows {
  const own = tableColumns(columns)
  const { key, partitionBy } = sink
  checkNames(own, at)
  checkColumns(key, `${at}: delta: key`, own)
  const which = 'of text, whole numbers, DECIMAL, BOOLEAN or dates'
  checkColumns(partitionBy, `${at}: delta: partitionBy`, own, isPartition, which)
  if (changesBy) checkChanges(key, changesBy, `${at}: delta`)
  if (partitionBy && partitionBy.length === own.length)
    throw configError(`${at}: delta: partitionBy`, partitionBy, 'at least one column that stays in the files')
  const item = (column: Column) => `${checked(column, own, sink, at)} AS ${id(column.name)}`
  const form = { format: 'parquet' } as const
  if (key) {
    return { items: [opSql(Object.keys(columns)), ...own.map(item)].join(', '), form }
  }
  const items = fileColumns(sink, own).map(item).join(', ')
  if (!partitionBy) return { items, form }
  const parts = partitionsOf(sink, own)
  return {
    items,
    form,
    partitions: {
      texts: parts.map(column => `CAST(${checked(column, own, sink, at)} AS VARCHAR)`),
      folder: values => partitionFolder(parts, values, `${at}: delta: partitionBy`),
    },
  }
}

function partitionsOf({ partitionBy = [] }: Pick<DeltaSink, 'partitionBy'>, columns: readonly Column[]) {
  return partitionBy.map(name => columns.find(column => column.name === name) as Column)
}

/** `zone=74/day=2024-03-31/` */
export function partitionFolder(columns: readonly Column[], values: readonly (string | null)[], at: string): string {
  const parts = columns.map(({ name }) => ({ name, sql: '', type: undefined }))
  return folderOf(parts, values, at)
}

/** The values that a folder stands for, as the log tells them. */
export function partitionValues(
  { partitionBy = [] }: Pick<DeltaSink, 'partitionBy'>,
  folder: string,
): Readonly<Record<string, string | null>> {
  const values = valuesOf(folder)
  return Object.fromEntries(partitionBy.map((name, index) => [name, values[index] ?? null]))
}

/** The value, or an error. */
function checked(column: Column, all: readonly Column[], { partitionBy = [] }: DeltaSink, at: string): string {
  const { name, type, sql } = column
  const value = sql === type.sql ? id(name) : `CAST(${id(name)} AS ${sql})`
  const isText = ['VARCHAR', 'JSON'].includes(type.name)
  const empty = partitionBy.includes(name) && isText ? `${id(name)} = ''` : undefined
  const refused = empty ?? unstorable(id(name), type)
  if (refused === undefined) return value
  const what = empty
    ? 'an empty text, which Delta Lake takes for NULL in a column of partitionBy'
    : 'infinity, which Delta Lake cannot keep'
  const names = all.map(each => each.name)
  return unlessRefused(value, refused, what, { at: `${at}: delta`, column: name, names })
}

const partitionTypes = /^(VARCHAR|BOOLEAN|U?BIGINT|TINYINT|SMALLINT|INTEGER|DECIMAL|DATE|UUID)$/
const isPartition = ({ name, list }: ParsedType) => !list && partitionTypes.test(name)

/** Without a mapping of columns, which readers know less well, Parquet's names are those of the table. */
function checkNames(columns: readonly Column[], at: string): void {
  const odd = columns.find(({ name }) => /[ ,;{}()\n\t=]/.test(name))
  if (odd)
    throw configError(`${at}: delta`, odd.name, 'column names without spaces and ,;{}()= in them: use rename or select')
}
