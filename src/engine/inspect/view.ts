import { id } from '../../plan/sql.ts'

/** Name to SQL type. */
export type Columns = Readonly<Record<string, string>>

/** A view that `millrace sql` shows. */
export interface View {
  readonly name: string
  readonly columns: Columns
  readonly sql: string
}

/** What the engine stores as microseconds since 1970. */
const times: ReadonlySet<string> = new Set([
  '_watermark',
  '_window_start',
  '_window_end',
  '_start',
  '_pane',
  '_from_end',
  '_time',
  '_first',
  '_last',
])

/**
 * A view of a table with columns of ours, texts, before its own. A column of the user's rows that has the name of one
 * of ours is shown as `row_<name>`.
 *
 * @param own name to SQL
 */
export function labelled(name: string, own: Readonly<Record<string, string>>, columns: Columns, table: string): View {
  const taken = new Set(Object.keys(columns).map(column => column.toLowerCase()))
  const free = (column: string): string => (taken.has(column) ? free(`row_${column}`) : column)
  const items = Object.entries(own).map(([column, sql]) => ({ column, type: 'VARCHAR', sql }))
  for (const [column, type] of Object.entries(columns)) {
    const isOurs = Object.hasOwn(own, column.toLowerCase())
    const isTime = times.has(column) && type === 'BIGINT'
    items.push({
      column: isOurs ? free(column.toLowerCase()) : column,
      type: isTime ? 'TIMESTAMP' : type,
      sql: isTime ? `make_timestamp(${id(column)})` : id(column),
    })
  }
  return {
    name,
    columns: Object.fromEntries(items.map(({ column, type }) => [column, type])),
    sql: `SELECT ${items.map(({ column, sql }) => `${sql} AS ${id(column)}`).join(', ')} FROM ${table}`,
  }
}

/**
 * The rows of several views, by the names of their columns. A column that a view lacks is NULL in its rows; one that
 * has another type elsewhere is text.
 *
 * @param fixed columns that are there even without a view
 */
export function unionSql(fixed: Columns, views: readonly View[]): string {
  const columns = new Map(Object.entries(fixed).map(([column, type]) => [column.toLowerCase(), { column, type }]))
  for (const [column, type] of views.flatMap(view => Object.entries(view.columns))) {
    const known = columns.get(column.toLowerCase())
    if (known === undefined) columns.set(column.toLowerCase(), { column, type })
    else if (known.type !== type) columns.set(column.toLowerCase(), { ...known, type: 'VARCHAR' })
  }
  const items = (view?: View) => {
    const has = new Set(Object.keys(view?.columns ?? {}).map(column => column.toLowerCase()))
    return [...columns].map(
      ([key, { column, type }]) => `CAST(${has.has(key) ? id(column) : 'NULL'} AS ${type}) AS ${id(column)}`,
    )
  }
  if (views.length === 0) return `SELECT ${items().join(', ')} WHERE false`
  return views.map(view => `SELECT ${items(view).join(', ')} FROM ${id(view.name)}`).join(' UNION ALL ')
}
