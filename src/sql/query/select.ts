import { where } from '../../../operators/where.ts'
import type { Catalog } from '../catalog.ts'
import { type Rows, followed } from '../rows.ts'
import { sqlError } from '../sql-error.ts'
import { isName, isToken, type Token } from '../tokens.ts'
import { aggregateCalls } from './aggregate-call.ts'
import { checkPredicate, type Expression } from './expression.ts'
import { type Grouped, grouped } from './grouped.ts'
import type { Input } from './input.ts'
import { joined } from './join.ts'
import type { Block, Clause } from './parts.ts'
import { madeColumn, type Output, project } from './project.ts'
import { inputOf, type QueryContext } from './relation.ts'
import { columnOf, ownName, scoped } from './scope.ts'
import { type Named, spread } from './stars.ts'
import { qualified, type RowNumber, rowNumberOf, topForm } from './top-of-window.ts'

/** The rows of one SELECT. */
export async function selected(context: QueryContext, block: Block): Promise<Rows> {
  const { catalog } = context
  let input = await inputOf(context, block.from.first)
  for (const join of block.from.joins) input = await joined(context, input, join)
  if (block.where) input = { ...input, rows: await kept(catalog, input, block.where) }
  const items = block.items.flatMap(item => spread(catalog, input, item))
  const isGrouped = await checkBounded(catalog, block, input, items)
  const results = isGrouped ? await grouped(catalog, block, input, items) : ungrouped(catalog, input)
  const rewrite = (tokens: readonly Token[]) =>
    scoped(catalog.file, tokens, results.scope, results.replacementsOf(tokens))
  const having = block.having && isGrouped ? await keptResults(catalog, results, block.having, rewrite) : results.rows
  const numbers = numbersOf(catalog, items)
  const top = block.qualify
    ? qualified(
        catalog,
        having,
        block.qualify,
        numbers,
        results.scope,
        tokens => results.columnOf(tokens) ?? namedItem(catalog, items, tokens, results),
      )
    : having
  if (!block.qualify && numbers.size > 0)
    throw sqlError(
      catalog.file,
      [...numbers.values()][0]?.at ?? block.at,
      `row_number() is not bounded; expected ${topForm}.`,
    )
  const outputs: Output[] = []
  for (const item of items) outputs.push(await outputOf(catalog, top, item, results, numbers, rewrite))
  return project(catalog, top, outputs, block.at)
}

async function kept(catalog: Catalog, input: Input, clause: Clause): Promise<Rows> {
  const { file } = catalog
  const { columns } = input.rows.node
  const window = input.window && clause.tokens.find(({ value }) => /^window_(start|end)$/i.test(value))
  if (window && ownName(window.value, columns) === undefined)
    throw sqlError(file, window.from, `WHERE comes before the window is made; expected ${window.value} in HAVING.`)
  const [call] = aggregateCalls(file, clause.tokens)
  if (call)
    throw sqlError(
      file,
      call.tokens[0]?.from ?? clause.at,
      'WHERE comes before rows are aggregated; expected aggregates in HAVING.',
    )
  const predicate = scoped(file, clause.tokens, input.scope)
  await checkPredicate(catalog, predicate, columns, 'WHERE')
  return followed(input.rows, file, predicate.from, () => where(predicate.sql as never))
}

/** Whether rows are grouped. @throws MillraceError `user` that says which bound is missing of what has no end */
async function checkBounded({ file }: Catalog, block: Block, input: Input, items: readonly Named[]): Promise<boolean> {
  const call = items.flatMap(({ tokens }) => aggregateCalls(file, tokens))[0]
  const form = "FROM TUMBLE(trips, INTERVAL '1 hour') ... GROUP BY window_start, window_end"
  if (input.window) {
    if (block.groupBy || call || block.having) return true
    throw sqlError(
      file,
      input.window.at,
      `rows of windows are grouped or joined with those of the same window; expected GROUP BY window_start, ` +
        `window_end, or no ${input.window.function.name}.`,
    )
  }
  if (block.groupBy)
    throw sqlError(
      file,
      block.groupBy.at,
      `GROUP BY over all rows of a stream has no end: the bound is missing. Put a window around the rows: ${form}.`,
    )
  if (call)
    throw sqlError(
      file,
      call.tokens[0]?.from ?? block.at,
      `${call.tokens[0]?.text}(...) over all rows of a stream has no end: the bound is missing. Put a window ` +
        `around the rows: ${form}.`,
    )
  if (block.having) throw sqlError(file, block.having.at, 'HAVING is about groups; expected WHERE.')
  return false
}

/** Rows that are not grouped, as if they were results. */
function ungrouped({ file }: Catalog, { rows, scope }: Input): Grouped {
  return { rows, scope, replacementsOf: () => [], columnOf: tokens => columnOf(file, tokens, scope) }
}

async function keptResults(
  catalog: Catalog,
  { rows }: Grouped,
  clause: Clause,
  rewrite: (tokens: readonly Token[]) => Expression,
): Promise<Rows> {
  const predicate = rewrite(clause.tokens)
  await checkPredicate(catalog, predicate, rows.node.columns, 'HAVING')
  return followed(rows, catalog.file, predicate.from, () => where(predicate.sql as never))
}

function numbersOf(catalog: Catalog, items: readonly Named[]): ReadonlyMap<string, RowNumber> {
  const found = new Map<string, RowNumber>()
  for (const { tokens, alias, column } of items) {
    const number = column === undefined ? rowNumberOf(catalog, tokens) : undefined
    if (number && alias === undefined)
      throw sqlError(catalog.file, number.at, 'this column has no name; expected row_number() OVER (...) AS rank.')
    if (number && alias !== undefined) found.set(alias.toLowerCase(), number)
  }
  return found
}

/** The column of an item of SELECT by its name there, where it is a column as it is. */
function namedItem(
  { file }: Catalog,
  items: readonly Named[],
  tokens: readonly Token[],
  results: Grouped,
): string | undefined {
  const [token, ...others] = tokens
  if (others.length > 0 || !isName(token)) return undefined
  const item = items.find(({ alias }) => alias?.toLowerCase() === token.value.toLowerCase())
  return item && (results.columnOf(item.tokens) ?? columnOf(file, item.tokens, results.scope))
}

async function outputOf(
  catalog: Catalog,
  rows: Rows,
  item: Named,
  results: Grouped,
  numbers: ReadonlyMap<string, RowNumber>,
  rewrite: (tokens: readonly Token[]) => Expression,
): Promise<Output> {
  const { tokens, alias } = item
  const at = tokens[0]?.from ?? 0
  if (alias !== undefined && numbers.has(alias.toLowerCase())) return { is: 'column', from: 'rank', name: alias, at }
  const column = item.column ?? results.columnOf(tokens, alias)
  if (column !== undefined) return { is: 'column', from: column, name: alias ?? nameOf(tokens, column), at }
  if (
    alias === undefined &&
    isName(tokens[0]) &&
    (tokens.length === 1 || (tokens.length === 3 && isToken(tokens[1], '.')))
  )
    rewrite(tokens)
  const name = alias ?? undefined
  if (name === undefined) {
    // A column that is not there is told as such, and not as one without a name.
    await madeColumn(catalog, rows, 'SELECT', tokens, rewrite)
    throw sqlError(catalog.file, at, 'this column has no name; expected one behind it: ... AS name.')
  }
  return madeColumn(catalog, rows, name, tokens, rewrite)
}

/** A right key of a join is called as SQL calls it. */
function nameOf(tokens: readonly Token[], column: string): string {
  const written = tokens.at(-1)
  return written !== undefined &&
    isName(written) &&
    written.value.toLowerCase() !== column.toLowerCase() &&
    tokens.length <= 3
    ? written.value
    : column
}
