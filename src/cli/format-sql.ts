import { format } from 'sql-formatter'

/**
 * SQL as a person reads it, a clause a line. What the formatter cannot take apart, such as syntax of a DuckDB that is
 * newer than it, is shown as it is: it is the same statement.
 */
export function formatSql(sql: string): string {
  try {
    return format(sql, { language: 'duckdb', tabWidth: 2, expressionWidth: 100 })
  } catch {
    return sql
  }
}
