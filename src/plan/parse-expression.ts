import type { Executor } from '../core/ports.ts'
import { Refusal } from './refusal.ts'
import { text } from './sql.ts'
import type { Tree } from './trees.ts'

/**
 * The tree of one expression. Inside brackets, not parentheses: then `a, b`, `a) + (b`, `a], [b` and `x AS y` cannot
 * pass for one expression, because the root is no longer a list constructor with one unnamed element.
 */
export async function parseExpression(
  executor: Pick<Executor, 'rows'>,
  sql: string,
  columns: readonly string[] = [],
): Promise<Tree> {
  const [row] = await executor.rows(`SELECT json_serialize_sql(${text(`${opening}${sql}\n]`)}) AS tree`)
  const json = String(row?.tree)
  // DuckDB writes 1e400 as Infinity, which is no JSON; a text 'Infinity' has quotes around it.
  if (/"value":-?(Infinity|NaN)[,}]/.test(json)) throw new Refusal('it holds a number beyond the range of DOUBLE.')
  const document = parseExactly(json)
  if (document.error === true) throw syntaxError(sql, document, await wordOfSql(executor, sql, columns))

  const one = 'it must be exactly one expression: no list of several, no alias, no second statement, no clause.'
  const statements = document.statements as readonly { readonly node: Tree }[]
  const node = statements.length === 1 ? statements[0]?.node : undefined
  const items = node?.select_list as readonly Tree[] | undefined
  const root = items?.length === 1 ? items[0] : undefined
  if (node === undefined || root === undefined || !isSame(node, { ...bareSelect, select_list: items })) {
    throw new Refusal(one)
  }
  const elements = root.children as readonly Tree[] | undefined
  const element = elements?.[0]
  const isList = isSame(root, { ...bareFunction, function_name: 'list_value', schema: 'main', children: elements })
  if (!isList || elements?.length !== 1 || element === undefined) throw new Refusal(one)
  return element
}

/** What stands before the user's text when it is parsed. */
const opening = 'SELECT ['

/** A column whose name stands in the text without quotes and is none without them: at, group, total amount. */
async function wordOfSql(
  executor: Pick<Executor, 'rows'>,
  sql: string,
  columns: readonly string[],
): Promise<string | undefined> {
  const bare = ` ${sql.replaceAll(/"[^"]*"|'[^']*'/g, ' ')} `.toLowerCase()
  for (const name of columns) {
    const at = bare.indexOf(name.toLowerCase())
    const isWord = at > 0 && !/\w/.test(`${bare[at - 1]}${bare[at + name.length]}`)
    if (!isWord) continue
    const [row] = await executor.rows(`SELECT json_serialize_sql(${text(`${opening}${name}\n]`)}) AS tree`)
    if ((JSON.parse(String(row?.tree)) as Tree).error === true) return name
  }
  return undefined
}

/** DuckDB's words without what it points at, which may be our own bracket. */
function syntaxError(sql: string, { error_message, position }: Tree, column: string | undefined): Refusal {
  const [what = ''] = String(error_message).split(' at or near ')
  const at = position === undefined ? undefined : Number(position) - opening.length
  const isAtEnd = at !== undefined && at >= [...sql.trimEnd()].length
  const hint =
    column === undefined ? '' : ` ${column} is a word of SQL: write the column in double quotes, "${column}".`
  const refusal = new Refusal(`it is no SQL expression: ${isAtEnd ? 'it ends too early' : what}.${hint}`)
  refusal.position = isAtEnd ? [...sql.trimEnd()].length : at
  return refusal
}

export async function writeExpression(executor: Pick<Executor, 'rows'>, tree: Tree): Promise<string> {
  const statement = {
    error: false,
    statements: [{ node: { ...bareSelect, select_list: [tree] }, named_param_map: [] }],
  }
  const json = JSON.stringify(statement)
  const [row] = await executor.rows(`SELECT json_deserialize_sql(${text(json)}::JSON) AS "sql"`)
  const written = String(row?.sql)
  if (!written.startsWith('SELECT ')) throw new Refusal('DuckDB cannot write it back as SQL.')
  return written.slice('SELECT '.length)
}

/** What `SELECT ...` without any clause is, apart from its list. */
const bareSelect: Tree = {
  type: 'SELECT_NODE',
  modifiers: [],
  cte_map: { map: [] },
  from_table: { type: 'EMPTY', alias: '', sample: null },
  where_clause: null,
  group_expressions: [],
  group_sets: [],
  aggregate_handling: 'STANDARD_HANDLING',
  having: null,
  sample: null,
  qualify: null,
}

/** What a scalar call is, apart from its name and arguments. */
export const bareFunction: Tree = {
  class: 'FUNCTION',
  type: 'FUNCTION',
  alias: '',
  filter: null,
  order_bys: { type: 'ORDER_MODIFIER', orders: [] },
  distinct: false,
  is_operator: false,
  export_state: false,
  catalog: '',
}

/** Where nodes stand in the text that was parsed, in bytes. */
const locations = new WeakMap<object, number>()

/**
 * Numbers keep their source text: JavaScript would round HUGEINT halves and large decimals. `query_location` goes
 * elsewhere: it can be 2^64 - 1, and positions in the user's text mean nothing in the written one.
 */
function parseExactly(json: string): Tree {
  return JSON.parse(json, function (this: object, key: string, value: unknown, context?: { source?: string }) {
    if (key === 'query_location') {
      locations.set(this, Number(value))
      return undefined
    }
    return typeof value === 'number' ? rawJson(context?.source ?? String(value)) : value
  } as (this: object, key: string, value: unknown) => unknown)
}

/** Ships in every Node that millrace supports; TypeScript's library does not have it yet. */
const rawJson = (JSON as unknown as { rawJSON(source: string): unknown }).rawJSON

export function isSame(a: unknown, b: unknown): boolean {
  if (a === b) return true
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return false
  const left = Object.entries(a)
  return left.length === Object.keys(b).length && left.every(([key, value]) => isSame(value, (b as Tree)[key]))
}

/** Nodes that DuckDB makes up by itself stand nowhere: they have the largest number there is. */
export function positionOf(node: Tree, sql: string): number | undefined {
  const bytes = (locations.get(node) ?? Number.POSITIVE_INFINITY) - opening.length
  const text = Buffer.from(sql)
  return bytes >= 0 && bytes < text.length ? [...text.subarray(0, bytes).toString()].length : undefined
}

/** The same node, at the same place. */
export function withoutAlias(node: Tree): Tree {
  const copy = { ...node, alias: '' }
  locations.set(copy, locations.get(node) ?? Number.POSITIVE_INFINITY)
  return copy
}
