import { configError } from '../../src/core/errors.ts'
import { parseColumnType, type ParsedType } from '../../src/core/types.ts'
import type { ColumnTypes } from '../../src/plan/relation.ts'
import type { SinkRows } from '../../src/plan/sink.ts'
import { id } from '../../src/plan/sql.ts'
import { resultColumns } from '../../src/plan/updates.ts'
import { checkChanges, opSql, unlessRefused } from '../lake/keyed-rows.ts'
import type { PostgresSink } from './spec.ts'
import { copyText, isComparable, unstorable } from './types.ts'

/** A column of the table. */
export interface Column {
  readonly name: string
  readonly type: ParsedType
}

/** What the table has of a flow: of one that gives changes, the columns of results. */
export function tableColumns(columns: ColumnTypes): readonly Column[] {
  return resultColumns(Object.keys(columns)).map(name => ({
    name,
    type: parseColumnType(columns[name] as string, name),
  }))
}

/**
 * Whether rows go through a table of their own before they go into theirs: to meet those of their key, or because the
 * lines of a file would have one column, where `\.` alone is the end of a COPY.
 */
export function isThroughTable({ key }: Pick<PostgresSink, 'key'>, columns: readonly Column[]): boolean {
  return key !== undefined || columns.length === 1
}

/** Rows as COPY reads them: CSV with a header; NULL is an empty field, an empty text is `""`. */
export function copyRows(
  sink: PostgresSink,
  columns: ColumnTypes,
  at: string,
  changesBy?: readonly string[],
): SinkRows {
  const own = tableColumns(columns)
  checkKey(sink, own, at)
  if (changesBy) checkChanges(sink.key, changesBy, `${at}: postgres`)
  const items = own.map(column => copyItem(column, own, `${at}: postgres`))
  return {
    items: [...(isThroughTable(sink, own) ? [opSql(Object.keys(columns))] : []), ...items].join(', '),
    form: { format: 'csv', compression: 'zstd' },
  }
}

function copyItem({ name, type }: Column, all: readonly Column[], at: string): string {
  const value = copyText(id(name), type)
  const refused = unstorable(id(name), type)
  if (!refused) return `${value} AS ${id(name)}`
  const names = all.map(column => column.name)
  const what = `${refused.what}, which PostgreSQL cannot keep`
  return `${unlessRefused(value, refused.sql, what, { at, column: name, names })} AS ${id(name)}`
}

function checkKey({ key = [] }: PostgresSink, columns: readonly Column[], at: string): void {
  for (const name of key) {
    const column = columns.find(each => each.name === name)
    if (!column) {
      const names = columns.map(each => each.name).join(', ')
      throw configError(`${at}: postgres: key`, name, `columns of the flow: ${names}`)
    }
    if (!isComparable(column.type))
      throw configError(
        `${at}: postgres: key`,
        name,
        `columns whose values can be told apart, which ${column.type.sql} is not`,
      )
  }
}
