import { configError } from '../../src/core/errors.ts'
import { parseColumnType } from '../../src/core/types.ts'
import type { ColumnTypes } from '../../src/plan/relation.ts'
import type { SinkRows } from '../../src/plan/sink.ts'
import { id, text } from '../../src/plan/sql.ts'
import { resultColumns } from '../../src/plan/updates.ts'
import { opColumn } from './changes.ts'
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

/** Of a value that is refused, so much of its row is shown. */
const shownMax = 300

/** Rows as they wait for their turn: Parquet, with what becomes of each where there is a key. */
export function waitingRows(
  { key, partitionBy }: IcebergSettings,
  columns: ColumnTypes,
  at: string,
  changesBy?: readonly string[],
): SinkRows {
  const own = tableColumns(columns)
  checkKey(key, own, at, changesBy)
  partitionsOf(partitionBy, own, `${at}: iceberg: partitionBy`)
  const op = Object.hasOwn(columns, opColumn) ? id(opColumn) : `'upsert' AS ${id(opColumn)}`
  const items = own.map(column => item(column, own, `${at}: iceberg`))
  return { items: [...(key ? [op] : []), ...items].join(', '), form: { format: 'parquet' } }
}

function item({ name, type }: Column, all: readonly Column[], at: string): string {
  const refused = unstorable(id(name), type)
  if (!refused) return id(name)
  // Before the commit: the pipeline can still be changed, which no committed row can.
  const row = `to_json(struct_pack(${all.map(column => `${id(column.name)} := ${id(column.name)}`).join(', ')}))`
  const message = `${at}: column '${name}' holds ${refused.what}, which Iceberg cannot keep, in the row `
  const refusal = `error(${text(message)} || left(${row}, ${shownMax}))`
  return `CASE WHEN ${refused.sql} THEN ${refusal} ELSE ${id(name)} END AS ${id(name)}`
}

function checkKey(
  key: readonly string[] | undefined,
  columns: readonly Column[],
  at: string,
  changesBy: readonly string[] | undefined,
): void {
  const names = columns.map(column => column.name)
  for (const name of key ?? []) {
    const column = columns.find(each => each.name === name)
    if (!column) throw configError(`${at}: iceberg: key`, name, `columns of the flow: ${names.join(', ')}`)
    if (column.type.list || column.type.name === 'JSON')
      throw configError(
        `${at}: iceberg: key`,
        name,
        `columns whose values can be told apart, which ${column.type.sql} is not`,
      )
  }
  if (!changesBy || (key && key.length === changesBy.length && changesBy.every(name => key.includes(name)))) return
  const expected = changesBy.map(name => `'${name}'`).join(', ')
  throw configError(`${at}: iceberg: key`, key, `[${expected}], which tell results apart, with emit: 'update'`)
}
