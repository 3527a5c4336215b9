import { parseColumnType } from '../../src/core/types.ts'
import type { ColumnTypes } from '../../src/plan/relation.ts'
import type { SinkRows } from '../../src/plan/sink.ts'
import { id } from '../../src/plan/sql.ts'
import { resultColumns } from '../../src/plan/updates.ts'
import { checkChanges, checkColumns, isComparable, opSql, unlessRefused } from '../lake/keyed-rows.ts'
import { partitionsOf } from './partitions.ts'
import type { IcebergSettings } from './spec.ts'
import { type Column, unstorable } from './types.ts'

/** What the table has of a flow: of one that gives changes, the columns of results. */
export function tableColumns(columns: ColumnTypes): readonly Column[] {
  return resultColumns(Object.keys(columns)).map(name => ({
    name,
    type: parseColumnType(columns[name] as string, name),
  }))
}

/** Rows as they wait for their turn: Parquet, with what becomes of each where there is a key. */
export function waitingRows(
  { key, partitionBy }: IcebergSettings,
  columns: ColumnTypes,
  at: string,
  changesBy?: readonly string[],
): SinkRows {
  const own = tableColumns(columns)
  checkColumns(key, `${at}: iceberg: key`, own, type => !type.list && isComparable(type))
  if (changesBy) checkChanges(key, changesBy, `${at}: iceberg`)
  partitionsOf(partitionBy, own, `${at}: iceberg: partitionBy`)
  const items = own.map(column => item(column, own, `${at}: iceberg`))
  return { items: [...(key ? [opSql(Object.keys(columns))] : []), ...items].join(', '), form: { format: 'parquet' } }
}

function item({ name, type }: Column, all: readonly Column[], at: string): string {
  const refused = unstorable(id(name), type)
  if (!refused) return id(name)
  const names = all.map(column => column.name)
  const what = `${refused.what}, which Iceberg cannot keep`
  return `${unlessRefused(id(name), refused.sql, what, { at, column: name, names })} AS ${id(name)}`
}
