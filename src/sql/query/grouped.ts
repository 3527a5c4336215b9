import { aggregate } from '../../../operators/aggregate.ts'
import { derive } from '../../../operators/derive.ts'
import { groupBy } from '../../../operators/group-by.ts'
import { id } from '../../plan/sql.ts'
import type { Catalog } from '../catalog.ts'
import { type Rows, followed } from '../rows.ts'
import { sqlError } from '../sql-error.ts'
import { closingOf, isName, isToken, type Token } from '../tokens.ts'
import { type AggregateCallAt, aggregateCalls } from './aggregate-call.ts'
import { checkPredicate, columnTypeOf, type Replacement, treeOf } from './expression.ts'
import type { Input, OpenWindow } from './input.ts'
import type { Block } from './parts.ts'
import { columnOf, ownName, type Scope, scoped, scopeOf } from './scope.ts'
import type { Named } from './stars.ts'

/** Rows of a window that are grouped: what an aggregate gives, and how the expressions behind it name its columns. */
export interface Grouped {
  readonly rows: Rows
  readonly scope: Scope
  /** Parts of an expression that are columns of the results: calls of aggregates, expressions of GROUP BY. */
  replacementsOf(tokens: readonly Token[]): readonly Replacement[]
  /** The column of the results that tokens are as a whole; undefined where they are none. @param alias of the item */
  columnOf(tokens: readonly Token[], alias?: string): string | undefined
}

/** A group of GROUP BY: a column, or an expression that becomes one. */
interface Key {
  readonly column: string
  readonly tokens: readonly Token[]
  readonly isMade: boolean
}

interface Call {
  readonly name: string
  readonly found: AggregateCallAt
  readonly key: string
}

/** `GROUP BY window_start, window_end, zone` with its aggregates, as window, groupBy and aggregate. */
export async function grouped(catalog: Catalog, block: Block, input: Input, items: readonly Named[]): Promise<Grouped> {
  const { file } = catalog
  const window = input.window as OpenWindow
  const keys = await keysOf(catalog, block, input, items)
  const calls = callsOf(catalog, block, items)
  const prepared = await withMade(catalog, input, keys, calls)
  const at = block.groupBy?.at ?? block.at
  const windowed = followed(prepared.rows, file, window.at, () => window.function.make(window.arguments))
  const [first] = calls
  if (!first)
    throw sqlError(
      file,
      at,
      'a window gives what is aggregated of its rows; expected an aggregate in SELECT, such as count(*) AS rows.',
    )
  const names = keys.map(({ column }) => column)
  const groups = names.length === 0 ? windowed : followed(windowed, file, at, () => groupBy(...(names as never[])))
  const plans = Object.fromEntries(calls.map(call => [call.name, prepared.planOf(call)]))
  const rows = followed(groups, file, first.found.tokens[0]?.from ?? at, () => aggregate(plans as never))
  const scope = resultScope(input, rows)
  const replacementsOf = (tokens: readonly Token[]) => [
    ...aggregateCalls(file, tokens).map(({ from, to, tokens: own }): Replacement => {
      const found = calls.find(({ key }) => key === keyOf(own))
      return { from, to, sql: id(found?.name ?? '') }
    }),
    ...keys.flatMap(({ column, tokens: own, isMade }) =>
      isMade ? placesOf(own, tokens).map(place => ({ ...place, sql: id(column) })) : [],
    ),
  ]
  return {
    rows,
    scope,
    replacementsOf,
    columnOf(tokens, alias) {
      const alike = calls.filter(({ key }) => key === keyOf(tokens))
      const call = alike.find(({ name }) => name === alias) ?? alike[0]
      const key = keys.find(each => each.isMade && keyOf(each.tokens) === keyOf(tokens))
      return call?.name ?? key?.column ?? columnOf(file, tokens, scope)
    },
  }
}

/** Names of the input still name the groups: `trips.zone`. */
function resultScope(input: Input, rows: Rows): Scope {
  const own = scopeOf(rows.node.columns, undefined)
  const relations = new Map(
    [...input.scope.relations].map(([relation, columns]) => [
      relation,
      new Map([
        ...[...columns].filter(([, now]) => 'refused' in now || ownName(now.name, rows.node.columns) !== undefined),
        ...(['window_start', 'window_end'] as const).flatMap(name =>
          ownName(name, rows.node.columns) ? [[name, { name }] as const] : [],
        ),
      ]),
    ]),
  )
  return { ...own, relations, renamed: input.scope.renamed }
}

const isWindowColumn = (tokens: readonly Token[], name: string) =>
  tokens.at(-1)?.value.toLowerCase() === name &&
  (tokens.length === 1 || (tokens.length === 3 && isToken(tokens[1], '.')))

async function keysOf(catalog: Catalog, block: Block, input: Input, items: readonly Named[]): Promise<readonly Key[]> {
  const { file } = catalog
  const { function: window } = input.window as OpenWindow
  const isPlain = (item: Named) => aggregateCalls(file, item.tokens).length === 0
  const all =
    block.groupBy?.items === 'all'
      ? items.filter(item => isPlain(item)).map(({ tokens }) => tokens)
      : (block.groupBy?.items ?? [])
  const groups = all.map(tokens => meant(catalog, tokens, input, items))
  const [start, end] = ['window_start', 'window_end'].map(name =>
    groups.some(({ tokens }) => isWindowColumn(tokens, name)),
  )
  const isBounded = window.isEndless || (window.needsEnd ? end : start || end)
  if (!isBounded)
    throw sqlError(
      file,
      block.groupBy?.at ?? block.at,
      `results would be of all windows together, which never end: the bound is missing; expected GROUP BY ` +
        `window_start, window_end${groups.length > 0 ? ', ...' : ''}.`,
    )
  const own = groups.filter(
    ({ tokens }) => window.isEndless || !['window_start', 'window_end'].some(name => isWindowColumn(tokens, name)),
  )
  const keys: Key[] = []
  for (const { tokens, name } of own) {
    const column = columnOf(file, tokens, input.scope)
    if (column !== undefined) keys.push({ column, tokens, isMade: false })
    else keys.push({ column: name ?? `group_${keys.length + 1}`, tokens, isMade: true })
  }
  return keys
}

/** What GROUP BY means by an item: an expression of its own, one of SELECT by its place or its name. */
function meant(
  catalog: Catalog,
  tokens: readonly Token[],
  input: Input,
  items: readonly Named[],
): { tokens: readonly Token[]; name?: string } {
  const [token, ...others] = tokens
  const nameOf = (item: Named | undefined) => (item?.alias === undefined ? {} : { name: item.alias })
  if (others.length === 0 && token?.is === 'number') {
    const item = items[Number(token.text) - 1]
    if (!item)
      throw sqlError(
        catalog.file,
        token.from,
        `SELECT has no ${token.text}. item; expected a number from 1 to ${items.length}, or a column.`,
      )
    return { tokens: item.tokens, ...nameOf(item) }
  }
  const same = items.find(item => keyOf(item.tokens) === keyOf(tokens))
  if (same || columnOf(catalog.file, tokens, input.scope) !== undefined) return { tokens, ...nameOf(same) }
  const named =
    others.length === 0 ? items.find(({ alias }) => alias?.toLowerCase() === token?.value.toLowerCase()) : undefined
  return named ? { tokens: named.tokens, ...nameOf(named) } : { tokens }
}

/** Every call of an aggregate in the query once, those that are an item by its name. */
function callsOf({ file }: Catalog, block: Block, items: readonly Named[]): readonly Call[] {
  const calls = new Map<string, Call>()
  const others: AggregateCallAt[] = []
  for (const { tokens, alias } of items)
    for (const found of aggregateCalls(file, tokens)) {
      const key = keyOf(found.tokens)
      const isWhole = found.from === 0 && found.to === tokens.length
      if (isWhole && alias === undefined)
        throw sqlError(
          file,
          found.tokens[0]?.from ?? 0,
          `this column has no name; expected one behind it: ${found.tokens[0]?.text}(...) AS name.`,
        )
      // Two items that aggregate alike are two columns.
      if (isWhole) calls.set(`${key} ${alias}`, { name: alias as string, found, key })
      if (!isWhole) others.push(found)
    }
  for (const clause of [block.having, block.qualify]) others.push(...aggregateCalls(file, clause?.tokens ?? []))
  for (const found of others) {
    const key = keyOf(found.tokens)
    const isThere = [...calls.values()].some(call => call.key === key)
    if (!isThere) calls.set(key, { name: `aggregate_${calls.size + 1}`, found, key })
  }
  return [...calls.values()]
}

/** Adds a column for each expression that groups or aggregates: steps take columns. */
async function withMade(catalog: Catalog, input: Input, keys: readonly Key[], calls: readonly Call[]) {
  const { file } = catalog
  const { columns } = input.rows.node
  const made = new Map<string, { name: string; type: string; sql: string; at: number }>()
  const add = async (name: string, tokens: readonly Token[], what: string) => {
    const expression = scoped(file, tokens, input.scope)
    const type = await columnTypeOf(catalog, expression, columns, what)
    made.set(keyOf(tokens), { name, type, sql: expression.sql, at: expression.from })
  }
  for (const { column, tokens, isMade } of keys) if (isMade) await add(column, tokens, 'GROUP BY')
  const columnFor = async (tokens: readonly Token[], what: string) => {
    const own = columnOf(file, tokens, input.scope)
    if (own !== undefined) return own
    if (!made.has(keyOf(tokens))) await add(`argument_${made.size + 1}`, tokens, what)
    return made.get(keyOf(tokens))?.name as string
  }
  const plans = new Map<string, Readonly<Record<string, unknown>>>()
  for (const { key, found } of calls) {
    const names: Record<string, string> = {}
    for (const [option, tokens] of Object.entries(found.columns))
      names[option] = await columnFor(tokens, `${found.aggregate}(...)`)
    const filter = await filterOf(catalog, found, input)
    plans.set(key, {
      aggregate: found.aggregate,
      ...names,
      ...found.options,
      ...(filter === undefined ? {} : { filter }),
    })
  }
  const derived = [...made.values()]
  const [first] = derived
  const rows = first
    ? followed(input.rows, file, first.at, () =>
        derive(Object.fromEntries(derived.map(({ name, type, sql }) => [name, [type, sql]])) as never),
      )
    : input.rows
  return { rows, planOf: ({ key }: Call) => plans.get(key) }
}

async function filterOf(
  catalog: Catalog,
  { filter, present }: AggregateCallAt,
  { scope, rows }: Input,
): Promise<string | undefined> {
  const { columns } = rows.node
  const own = filter && scoped(catalog.file, filter, scope)
  if (own) await checkPredicate(catalog, own, columns, 'FILTER')
  const value = present && scoped(catalog.file, present, scope)
  if (!value) return own?.sql
  await treeOf(catalog, value, Object.keys(columns))
  const isName = present.length === 1
  const isThere = `${isName ? value.sql : `(${value.sql})`} IS NOT NULL`
  return own ? `(${own.sql}) AND ${isThere}` : isThere
}

/** Equal for tokens that are written alike, whatever their case and the blanks between. */
export function keyOf(tokens: readonly Token[]): string {
  return JSON.stringify(
    tokens.map(({ is, text, value }) =>
      is === 'word' || is === 'quoted' ? ['name', value.toLowerCase()] : [is, text],
    ),
  )
}

/** Where these tokens stand within others. */
function placesOf(
  part: readonly Token[],
  tokens: readonly Token[],
): readonly { readonly from: number; readonly to: number }[] {
  const wanted = keyOf(part)
  const places: { from: number; to: number }[] = []
  for (let from = 0; from + part.length <= tokens.length; from++) {
    const to = from + part.length
    if (keyOf(tokens.slice(from, to)) !== wanted || !isWhole(part, tokens[from - 1], tokens[to])) continue
    places.push({ from, to })
    from = to - 1
  }
  return places
}

/** Whether tokens mean the same between these as by themselves: `a + b` does not in `a + b * c`. */
function isWhole(part: readonly Token[], before: Token | undefined, behind: Token | undefined): boolean {
  const isBeside = (token: Token | undefined, signs: readonly string[]) =>
    token === undefined || signs.some(sign => isToken(token, sign))
  if (isBeside(before, ['(', '[', ',']) && isBeside(behind, [')', ']', ','])) return true
  return isName(part[0]) && isToken(part[1], '(') && closingOf(part, 1) === part.length - 1 && !isToken(before, '.')
}
