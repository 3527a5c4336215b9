import type { Executor } from '../../core/ports.ts'
import { text } from '../../plan/sql.ts'
import type { Tree } from '../../plan/trees.ts'
import { type SqlFile, sqlError } from '../sql-error.ts'
import { isToken, tokensOf } from '../tokens.ts'
import { type Block, isBlock, type Item, type Query, type Relation } from './parts.ts'

/**
 * The query as DuckDB's own parser takes it apart, beside ours: its syntax is DuckDB's, names of items come from there,
 * and where both see different parts the query is refused. Nothing is bound or run.
 *
 * @param from where its text begins
 */
export async function parsedQuery(
  executor: Pick<Executor, 'rows'>,
  file: SqlFile,
  query: Query,
  from: number,
  to: number,
): Promise<Query> {
  const sql = file.text.slice(from, to)
  const [row] = await executor.rows(`SELECT json_serialize_sql(${text(sql)}) AS tree`)
  const document = JSON.parse(String(row?.tree).replaceAll(/"value":-?(?:Infinity|NaN)(?=[,}])/g, '"value":0')) as Tree
  if (document.error === true) {
    const place = document.position === undefined ? 0 : [...sql].slice(0, Number(document.position)).join('').length
    const [what = ''] = String(document.error_message).split('\n')
    throw sqlError(file, from + place, `this is no query: ${what}.${await wordHint(executor, file, from + place)}`)
  }
  const statements = document.statements as readonly { readonly node: Tree }[]
  const [statement, ...others] = statements
  if (!statement || others.length > 0) throw sqlError(file, from, 'expected one query.')
  return queryBeside(file, query, statement.node)
}

/** Of a word of SQL in the place of a column, `at` and the like: how to write the column. */
async function wordHint(executor: Pick<Executor, 'rows'>, file: SqlFile, place: number): Promise<string> {
  const tokens = tokensOf(file)
  const index = tokens.findIndex(({ from }) => from >= place)
  for (const token of [tokens[index], tokens[index - 1]]) {
    if (token?.is !== 'word') continue
    const [row] = await executor.rows(`SELECT json_serialize_sql(${text(`SELECT ${token.text}`)}) AS tree`)
    if ((JSON.parse(String(row?.tree)) as Tree).error === true)
      return ` ${token.text} is a word of SQL: where it is a column, write it in double quotes, "${token.text}".`
  }
  return ''
}

function queryBeside(file: SqlFile, query: Query, node: Tree): Query {
  const differs = () =>
    sqlError(
      file,
      query.at,
      'DuckDB reads this query otherwise than it looks; expected it in simpler words, with each part in ' +
        'brackets of its own.',
    )
  const parts = namedOf(node)
  const unions = unionOf(node)
  const own = ownBlocks(query)
  if (parts.length !== query.named.length || unions.length !== own.length) throw differs()
  const blocks = own.map((block, index) => blockBeside(file, block, unions[index] as Tree, differs))
  const named = query.named.map(({ name, query: each }, index) => ({
    name,
    query: queryBeside(file, each, parts[index] as Tree),
  }))
  return { ...query, named, blocks }
}

/** The blocks of a union, those in brackets with its own: they are one union. */
function ownBlocks(query: Query): readonly (Block | Query)[] {
  return query.blocks.flatMap(part => (isBlock(part) || part.named.length > 0 ? [part] : ownBlocks(part)))
}

function namedOf(node: Tree): readonly Tree[] {
  const { map } = node.cte_map as {
    readonly map: readonly { readonly value: { readonly query: { readonly node: Tree } } }[]
  }
  return map.map(({ value }) => value.query.node)
}

function unionOf(node: Tree): readonly Tree[] {
  if (node.type !== 'SET_OPERATION_NODE') return [node]
  const sides = (node.children as readonly Tree[] | undefined) ?? [node.left as Tree, node.right as Tree]
  return sides.flatMap(side => (namedOf(side).length > 0 ? [side] : unionOf(side)))
}

function blockBeside(file: SqlFile, block: Block | Query, node: Tree, differs: () => Error): Block | Query {
  if (!isBlock(block)) return queryBeside(file, block, node)
  const list = (node.select_list ?? []) as readonly Tree[]
  const groups = node.group_expressions as readonly Tree[] | undefined
  const isAll = node.aggregate_handling === 'FORCE_AGGREGATES'
  const { groupBy } = block
  const fits =
    node.type === 'SELECT_NODE' &&
    list.length === block.items.length &&
    (node.where_clause !== null) === (block.where !== undefined) &&
    (node.having !== null) === (block.having !== undefined) &&
    (node.qualify !== null) === (block.qualify !== undefined) &&
    (node.modifiers as readonly Tree[]).length === 0 &&
    isAll === (groupBy?.items === 'all') &&
    (isAll || (groups?.length ?? 0) <= (groupBy?.items.length ?? 0))
  if (!fits) throw differs()
  const items = block.items.map((item, index) =>
    named(file, item, (list[index] as unknown as { readonly alias: string }).alias),
  )
  const sources = [block.from.first, ...block.from.joins.map(({ right }) => right)]
  const trees = sourcesOf(node.from_table as Tree)
  if (trees.length !== sources.length) throw differs()
  const [first, ...rights] = sources.map((each, index) => relationBeside(file, each, trees[index] as Tree, differs))
  const joins = block.from.joins.map((join, index) => ({ ...join, right: rights[index] as Relation }))
  return { ...block, items, from: { first: first as Relation, joins } }
}

/** The item without `AS name`, which DuckDB has found. */
function named(file: SqlFile, { tokens }: Item, alias: string): Item {
  if (alias === '') return { tokens }
  const last = tokens.at(-1)
  if (last?.value.toLowerCase() !== alias.toLowerCase() || tokens.length < 2)
    throw sqlError(file, tokens[0]?.from ?? 0, `expected the name behind the expression: ... AS ${alias}.`)
  const end = isToken(tokens.at(-2), 'AS') ? -2 : -1
  return { tokens: tokens.slice(0, end), alias: last.value }
}

function sourcesOf(table: Tree): readonly Tree[] {
  return table.type === 'JOIN' ? [...sourcesOf(table.left as Tree), ...sourcesOf(table.right as Tree)] : [table]
}

function relationBeside(file: SqlFile, relation: Relation, tree: Tree, differs: () => Error): Relation {
  if (relation.is === 'name') {
    if (tree.type !== 'BASE_TABLE' || tree.schema_name !== '' || tree.catalog_name !== '') throw differs()
    return relation
  }
  if (relation.is === 'query') {
    const inner = (tree.subquery as { readonly node: Tree } | undefined)?.node
    if (!inner) throw differs()
    return { ...relation, query: queryBeside(file, relation.query, inner) }
  }
  const call = (tree.type === 'TABLE_FUNCTION' ? tree.function : tree) as Tree
  const [first] = (call.children as readonly Tree[] | undefined) ?? []
  if (call.class !== 'FUNCTION' || !first) throw differs()
  return { ...relation, of: argumentBeside(file, relation.of, first, differs) }
}

/** The rows of a call are written as an expression. */
function argumentBeside(file: SqlFile, relation: Relation, tree: Tree, differs: () => Error): Relation {
  if (relation.is !== 'name') return relationBeside(file, relation, tree, differs)
  if (tree.class !== 'COLUMN_REF' || (tree.column_names as readonly string[]).length !== 1) throw differs()
  return relation
}
