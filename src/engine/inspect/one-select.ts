import { MillraceError } from '../../core/errors.ts'
import type { Executor } from '../../core/ports.ts'
import { text } from '../../plan/sql.ts'

/**
 * Table functions that only look at their arguments, at tables or at the catalog. Others of DuckDB's list files, switch
 * logging and profiling to a file, or run a text as SQL.
 */
const tableFunctions: ReadonlySet<string> = new Set([
  'range',
  'generate_series',
  'repeat',
  'unnest',
  'json_each',
  'json_tree',
  'histogram',
  'histogram_values',
  'duckdb_columns',
  'duckdb_tables',
  'duckdb_views',
  'duckdb_functions',
  'duckdb_types',
])

/**
 * Lets a text through that is exactly one SELECT by DuckDB's own parser, in any of its forms: FROM first, WITH, VALUES,
 * DESCRIBE, SUMMARIZE, SHOW TABLES. What it may reach is the session's to say; this keeps out what does not even read.
 *
 * @throws MillraceError `user` that says what was found
 */
export async function checkOneSelect(executor: Pick<Executor, 'rows'>, sql: string): Promise<void> {
  if (sql.includes('\0')) throw refusal('it holds a NUL character.')
  const [row] = await executor.rows(`SELECT json_serialize_sql(${text(sql)}) AS tree`)
  // DuckDB writes 1e400 as Infinity, which is no JSON; a text 'Infinity' has quotes around it.
  const json = String(row?.tree).replaceAll(/"value":-?(Infinity|NaN)(?=[,}])/g, '"value":null')
  const document = JSON.parse(json) as { error: boolean; error_message?: string; statements?: readonly unknown[] }
  if (document.error)
    throw refusal(
      document.error_message?.startsWith('Only SELECT')
        ? 'found another statement.'
        : `DuckDB: ${document.error_message?.split('\n')[0]}.`,
    )
  const count = document.statements?.length ?? 0
  if (count !== 1) throw refusal(count === 0 ? 'found no statement.' : `found ${count} statements.`)
  const unknown = calledTables(document.statements).find(name => !tableFunctions.has(name))
  if (unknown !== undefined)
    throw refusal(
      `it calls the table function '${unknown}'; those that may stand in a query of a checkpoint are ` +
        `${[...tableFunctions].join(', ')}. A file is named beside the query: --with NAME=FILE.`,
    )
}

function refusal(found: string): MillraceError {
  return new MillraceError(
    'user',
    'sql',
    `The query: expected one SELECT; ${found} It can read ledger, epochs, late, quarantine, state, outputs and ` +
      'output; SHOW TABLES lists all.',
  )
}

/** Names of the table functions anywhere in a tree. A loop and no recursion: a tree may be as deep as it likes. */
function calledTables(tree: unknown): readonly string[] {
  const names: string[] = []
  for (const open = [tree]; open.length > 0; ) {
    const node = open.pop()
    if (typeof node !== 'object' || node === null) continue
    const { type, function: called } = node as { type?: unknown; function?: { function_name?: unknown } }
    if (type === 'TABLE_FUNCTION') names.push(String(called?.function_name).toLowerCase())
    for (const child of Object.values(node)) open.push(child)
  }
  return names
}
