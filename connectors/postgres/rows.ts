import { configError } from '../../src/core/errors.ts'
import { parseColumnType, type ParsedType } from '../../src/core/types.ts'
import type { ColumnTypes } from '../../src/plan/relation.ts'
import type { SinkRows } from '../../src/plan/sink.ts'
import { id, text } from '../../src/plan/sql.ts'
import { resultColumns } from '../../src/plan/updates.ts'
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

/** What becomes of a row: the first column of rows that go through a table. */
export const opColumn = '_op'

/** Of a value that is refused, so much of its row is shown. */
const shownMax = 300

/** Rows as COPY reads them: CSV with a header; NULL is an empty field, an empty text is `""`. */
export function copyRows(
  sink: PostgresSink,
  columns: ColumnTypes,
  at: string,
  changesBy?: readonly string[],
): SinkRows {
  const own = tableColumns(columns)
  checkKey(sink, own, at)
  if (changesBy) checkChanges(sink, changesBy, at)
  const op = Object.hasOwn(columns, opColumn) ? id(opColumn) : `'upsert' AS ${id(opColumn)}`
  const items = own.map(column => copyItem(column, own, `${at}: postgres`))
  return {
    items: [...(isThroughTable(sink, own) ? [op] : []), ...items].join(', '),
    form: { format: 'csv', compression: 'zstd' },
  }
}

function copyItem({ name, type }: Column, all: readonly Column[], at: string): string {
  const value = copyText(id(name), type)
  const refused = unstorable(id(name), type)
  if (!refused) return `${value} AS ${id(name)}`
  // Before the commit: the pipeline can still be changed, which no committed row can.
  const row = `to_json(struct_pack(${all.map(column => `${id(column.name)} := ${id(column.name)}`).join(', ')}))`
  const message = `${at}: column '${name}' holds ${refused.what}, which PostgreSQL cannot keep, in the row `
  const refusal = `error(${text(message)} || left(${row}, ${shownMax}))`
  return `CASE WHEN ${refused.sql} THEN ${refusal} ELSE ${value} END AS ${id(name)}`
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

/** A row of another key than that of the changes would stay when its result is gone. */
function checkChanges({ key }: PostgresSink, changesBy: readonly string[], at: string): void {
  if (key && key.length === changesBy.length && changesBy.every(name => key.includes(name))) return
  const expected = changesBy.map(name => `'${name}'`).join(', ')
  throw configError(`${at}: postgres: key`, key, `[${expected}], which tell results apart, with emit: 'update'`)
}
