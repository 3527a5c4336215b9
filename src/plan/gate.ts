import { MillraceError, errorMessage } from '../core/errors.ts'
import { nearestName } from '../core/nearest.ts'
import type { Json } from '../core/json.ts'
import type { Executor } from '../core/ports.ts'
import { canonicalTree, NoCanonicalForm } from './canonical.ts'
import {
  constantArguments,
  type FunctionEntry,
  type FunctionRules,
  functionEntriesSql,
  functionRules,
  lambdaFunctions,
  listAggregateFunctions,
  listAggregates,
  namedArgumentFunctions,
  refusedFunctions,
} from './functions.ts'
import { isCallOfBounds, isCastOfBounds, withoutBounds } from './guard-bounds.ts'
import { createDistanceGuard, type DistanceGuard, isFarDistance } from './guard-distances.ts'
import { type CastGuards, createCastGuards, isZoned } from './guard-zones.ts'
import { id, text } from './sql.ts'
import { type Tree, zoned } from './trees.ts'

/** Characters of one expression at most. */
export const expressionLengthMax = 10_000

/** Nesting of one expression at most. DuckDB's own limit is 1,000, which what is built around it must keep too. */
export const expressionDepthMax = 250

export interface CheckedExpression {
  /** Columns are qualified by the alias, so it runs inside `SELECT <sql> AS x FROM (<relation>) AS <alias>` only. */
  readonly sql: string
  /** DuckDB's name for its type. It need not be a column type: `derive` casts it, `where` wants BOOLEAN. */
  readonly type: string
}

export interface Gate {
  /**
   * Lets one user-written expression through when it is a function of the row (S19), else throws a `user` error that
   * names step, field and expression. It is evaluated once, over a row of NULLs: what fails there can never work, such
   * as the comparison of a number with 'abc'.
   *
   * @param columns name -> SQL type (without NOT NULL) of the columns in scope
   */
  expression(
    sql: string,
    columns: Readonly<Record<string, string>>,
    where: { readonly step: string; readonly field: string },
    alias: string,
  ): Promise<CheckedExpression>
  /**
   * The expression's canonical form (`canonicalTree`). Of text that this DuckDB does not parse, as an older one may have done,
   * it is the text itself: it equals only itself.
   *
   * @param columns names in scope
   */
  canonical(sql: string, columns: readonly string[]): Promise<Json>
}

/**
 * The gate for user SQL. DuckDB parses the text, this module walks the tree by a list of what is allowed (a node, key
 * or type that it does not know is refused), qualifies every column, and DuckDB writes the tree back as text. No text
 * of the user is ever part of a query except as a text literal.
 */
export function createGate(executor: Pick<Executor, 'run' | 'rows' | 'describe'>): Gate {
  let rules: FunctionRules | undefined
  let guards: Guards | undefined

  const check = async (
    sql: string,
    columns: Readonly<Record<string, string>>,
    alias: string,
  ): Promise<CheckedExpression> => {
    checkText(sql)
    const parsed = await parse(executor, sql, Object.keys(columns))
    rules ??= functionRules((await executor.rows(functionEntriesSql)) as unknown as FunctionEntry[])
    guards ??= await createGuards(guard => parse(executor, guard))
    const walk = createWalker(rules, guards, columns, alias, node => positionOf(node, sql))
    const written = await write(executor, walk(parsed, [], 0))
    const query = `SELECT (${written}) AS "value" FROM (${rowOfNulls(columns)}) AS ${id(alias)}`
    const bound = await executor.describe(query).catch((error: unknown) => {
      throw new Refusal(`DuckDB does not accept it: ${firstSentence(error)}`, { cause: error })
    })
    // Types fit, and still constants may not: they are cast only when the expression is evaluated.
    const failure = await failureOfEvery(executor, written, columns, alias)
    if (failure !== undefined) throw new Refusal(`it can never work: ${firstSentence(failure)}`, { cause: failure })
    return { sql: written, type: bound.value ?? '' }
  }

  return {
    async expression(sql, columns, where, alias) {
      try {
        return await check(sql, columns, alias)
      } catch (error) {
        // A RangeError is JavaScript's stack: the tree was too deep even to parse.
        const reason = error instanceof Refusal ? error.message : error instanceof RangeError ? tooDeep : undefined
        if (reason === undefined) throw error
        // Most fields begin with the step.
        const at = where.field.split(' ')[0] === where.step ? where.field : `${where.step}, ${where.field}`
        const position = error instanceof Refusal ? error.position : undefined
        const message = `${at}: ${reason} ${placeIn(sql, position)}`
        throw new MillraceError('user', 'expression', message, (error as Error).cause)
      }
    },
    async canonical(sql, columns) {
      try {
        checkText(sql)
        return canonicalTree(await parse(executor, sql), columns)
      } catch (error) {
        if (error instanceof Refusal || error instanceof NoCanonicalForm) return ['text', sql]
        throw error
      }
    },
  }
}

/** Why an expression is refused, as whole sentences; the gate adds where. */
class Refusal extends Error {
  /** The character of the user's text, counted from 0, that is refused; undefined where it is all of it. */
  position: number | undefined
}

function rowOfNulls(columns: Readonly<Record<string, string>>): string {
  const items = Object.entries(columns).map(([name, type]) => `CAST(NULL AS ${type}) AS ${id(name)}`)
  return `SELECT ${items.join(', ')}`
}

/** One row of ones, days and lists of them: NULL where a type takes none of these. */
function rowOfValues(columns: Readonly<Record<string, string>>): string {
  const texts = ['1', '2001-01-01', '[1]', '[2001-01-01]', '00000000-0000-0000-0000-000000000001']
  const items = Object.entries(columns).map(
    ([name, type]) =>
      `coalesce(${texts.map(value => `TRY_CAST(${text(value)} AS ${type})`).join(', ')}) AS ${id(name)}`,
  )
  return `SELECT ${items.join(', ')}`
}

/**
 * Why an expression fails whatever the row is, as one over a row of NULLs does; undefined where it may work for some row.
 * What minds the NULLs themselves (the key of a map, of a JSON object) is asked again over a row of values.
 *
 * @param sql over the alias
 */
export async function failureOfEvery(
  executor: Pick<Executor, 'run'>,
  sql: string,
  columns: Readonly<Record<string, string>>,
  alias: string,
): Promise<unknown> {
  const failureOver = async (row: string): Promise<unknown> => {
    try {
      await executor.run(`SELECT (${sql}) AS "value" FROM (${row}) AS ${id(alias)}`)
      return undefined
    } catch (error) {
      return error
    }
  }
  const failure = await failureOver(rowOfNulls(columns))
  if (failure === undefined || !/\bNULL\b/i.test(firstSentence(failure))) return failure
  const other = await failureOver(rowOfValues(columns))
  return other !== undefined && firstSentence(other) === firstSentence(failure) ? failure : undefined
}

/** What has a guard around it is written several times, and what is nested in it that often again. */
const guardDepth = 50

const tooDeep =
  `it is nested more than ${expressionDepthMax} deep, where a cast to TIMESTAMPTZ counts as ${guardDepth}; ` +
  'split it over several derived columns.'

/** With the `u` flag a pair is one character, so this finds halves only: they have no UTF-8 form. */
const loneSurrogate = /\p{Surrogate}/u

function checkText(sql: string): void {
  if (typeof sql !== 'string' || sql.trim() === '') throw new Refusal('the expression is empty.')
  if (sql.length > expressionLengthMax) {
    throw new Refusal(`it has ${sql.length} characters; at most ${expressionLengthMax} are allowed.`)
  }
  if (sql.includes('\0') || loneSurrogate.test(sql))
    throw new Refusal('it holds a NUL character or half a surrogate pair.')
}

// ---- Parsing and writing: DuckDB does both. -------------------------------------------------------------------

/**
 * The tree of one expression. Inside brackets, not parentheses: then `a, b`, `a) + (b`, `a], [b` and `x AS y` cannot
 * pass for one expression, because the root is no longer a list constructor with one unnamed element.
 */
async function parse(executor: Pick<Executor, 'rows'>, sql: string, columns: readonly string[] = []): Promise<Tree> {
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

async function write(executor: Pick<Executor, 'rows'>, tree: Tree): Promise<string> {
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
const bareFunction: Tree = {
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

function isSame(a: unknown, b: unknown): boolean {
  if (a === b) return true
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return false
  const left = Object.entries(a)
  return left.length === Object.keys(b).length && left.every(([key, value]) => isSame(value, (b as Tree)[key]))
}

// ---- The walk. ------------------------------------------------------------------------------------------------

/** Lambda parameters in scope, innermost last: lower-case name -> name in the written SQL. */
type Lambdas = readonly ReadonlyMap<string, string>[]

type Walk = (node: Tree, lambdas: Lambdas, depth: number) => Tree

const operators: ReadonlySet<string> = new Set(
  `OPERATOR_NOT OPERATOR_IS_NULL OPERATOR_IS_NOT_NULL OPERATOR_COALESCE OPERATOR_TRY COMPARE_IN COMPARE_NOT_IN
   ARRAY_EXTRACT ARRAY_SLICE STRUCT_EXTRACT ARRAY_CONSTRUCTOR`.split(/\s+/),
)

/** Type names inside casts. UNBOUND stands for a name that the parser does not know: JSON and ENUM. */
const castTypes: ReadonlySet<string> = new Set([
  ...'BOOLEAN TINYINT SMALLINT INTEGER BIGINT HUGEINT UTINYINT USMALLINT UINTEGER UBIGINT UHUGEINT FLOAT DOUBLE'.split(
    ' ',
  ),
  ...'DECIMAL VARCHAR BLOB BIT UUID DATE TIME TIMESTAMP TIMESTAMP_S TIMESTAMP_MS TIMESTAMP_NS INTERVAL'.split(' '),
  ...'LIST ARRAY STRUCT MAP'.split(' '),
  zoned,
  'TIME WITH TIME ZONE',
])

const refusedClasses: Readonly<Record<string, string>> = {
  SUBQUERY:
    'subqueries, EXISTS and = ANY(...) are not allowed: an expression sees one row; use list_contains(...) for lists.',
  WINDOW: 'window functions (OVER) are not allowed: an expression sees one row.',
  STAR: '* and COLUMNS(...) are not allowed: name the columns.',
  PARAMETER: 'parameters (?, $1) are not allowed: write the value.',
  POSITIONAL_REFERENCE: '#1 is not allowed: name the column.',
  DEFAULT: 'DEFAULT is not allowed.',
  COLLATE: 'COLLATE is not allowed: compare lower(...) or strip_accents(...).',
}

/** Nodes that DuckDB makes up by itself stand nowhere: they have the largest number there is. */
function positionOf(node: Tree, sql: string): number | undefined {
  const bytes = (locations.get(node) ?? Number.POSITIVE_INFINITY) - opening.length
  const text = Buffer.from(sql)
  return bytes >= 0 && bytes < text.length ? [...text.subarray(0, bytes).toString()].length : undefined
}

/** What is put around parts of an expression of which DuckDB's answer would be no function of the row. */
interface Guards {
  readonly cast: CastGuards
  readonly distance: DistanceGuard
}

async function createGuards(parseGuard: (sql: string) => Promise<Tree>): Promise<Guards> {
  return { cast: await createCastGuards(parseGuard), distance: await createDistanceGuard(parseGuard) }
}

/** @param position of a node in the user's text */
function createWalker(
  rules: FunctionRules,
  guards: Guards,
  columns: Readonly<Record<string, string>>,
  alias: string,
  position: (node: Tree) => number | undefined,
): Walk {
  const names = Object.keys(columns)
  const canonical = new Map(names.map(name => [name.toLowerCase(), name]))

  const walk: Walk = (node, lambdas, depth) => {
    try {
      return visit(node, lambdas, depth)
    } catch (error) {
      // The innermost node that stands in the text.
      if (error instanceof Refusal) error.position ??= position(node)
      throw error
    }
  }

  const visit: Walk = (node, lambdas, depth) => {
    if (depth > expressionDepthMax) throw new Refusal(tooDeep)
    const walkOne = (child: unknown) => walk(child as Tree, lambdas, depth + 1)
    const walkAll = (children: unknown) => (children as readonly Tree[]).map(walkOne)
    const { alias: name, ...unnamed } = node
    if (name !== '') throw new Refusal(`the name "${String(name)}" has no place here.`)

    switch (unnamed.class) {
      case 'COLUMN_REF': {
        const parts = only(unnamed, ['column_names']).column_names as readonly string[]
        return { ...node, column_names: resolve(parts, lambdas) }
      }
      case 'CONSTANT':
        return constant(node, only(unnamed, ['value']).value as Tree)
      case 'OPERATOR':
        if (!operators.has(String(unnamed.type))) throw new Refusal(`${String(unnamed.type)} is not allowed.`)
        return { ...node, children: walkAll(only(unnamed, ['children']).children) }
      case 'CONJUNCTION':
        return { ...node, children: walkAll(only(unnamed, ['children']).children) }
      case 'COMPARISON': {
        const { left, right } = only(unnamed, ['left', 'right'])
        return { ...node, left: walkOne(left), right: walkOne(right) }
      }
      case 'BETWEEN': {
        const { input, lower, upper } = only(unnamed, ['input', 'lower', 'upper'])
        return { ...node, input: walkOne(input), lower: walkOne(lower), upper: walkOne(upper) }
      }
      case 'CASE': {
        const { case_checks, else_expr } = only(unnamed, ['case_checks', 'else_expr'])
        const checks = (case_checks as readonly Tree[]).map(check => ({
          when_expr: walkOne(check.when_expr),
          then_expr: walkOne(check.then_expr),
        }))
        return { ...node, case_checks: checks, else_expr: walkOne(else_expr) }
      }
      case 'CAST': {
        const { child, cast_type } = only(unnamed, ['child', 'cast_type', 'try_cast'])
        checkType(cast_type as Tree, depth)
        // A constant text is read by itself, in the zone that it names.
        const isAlone = (child as Tree).class === 'CONSTANT' && (cast_type as Tree).id === zoned
        if (isAlone || !isZoned(cast_type as Tree)) {
          const walked = walkOne(child)
          return { ...node, child: isCastOfBounds(cast_type as Tree) ? withoutBounds(walked) : walked }
        }
        return guards.cast(node, walk(child as Tree, lambdas, depth + guardDepth))
      }
      case 'LAMBDA': {
        // Not an argument of a lambda function: JSON extraction, which parses alike.
        const { lhs, expr } = only(unnamed, ['lhs', 'expr'])
        return { ...node, lhs: walkOne(lhs), expr: walkOne(expr) }
      }
      case 'FUNCTION':
        return call(node, lambdas, depth)
      default:
        throw new Refusal(refusedClasses[String(unnamed.class)] ?? `${String(unnamed.class)} is not allowed.`)
    }
  }

  /** [alias, column, fields...]: two names can never be a SQL value function such as current_date. */
  const resolve = (parts: readonly string[], lambdas: Lambdas): readonly string[] => {
    const [first = '', ...fields] = parts
    const lambda = lambdas.findLast(scope => scope.has(first.toLowerCase()))?.get(first.toLowerCase())
    if (lambda !== undefined) return [lambda, ...fields]
    const column = canonical.get(first.toLowerCase())
    if (column !== undefined) return [alias, column, ...fields]

    const valueFunction = refusedFunctions.get(first.toLowerCase())
    if (valueFunction !== undefined) throw new Refusal(`${first} is not allowed: ${valueFunction}.`)
    const near = nearestName(first, names)
    const hint = near === undefined ? '' : ` Did you mean "${near}"?`
    throw new Refusal(`there is no column "${first}".${hint} Columns here: ${names.join(', ') || 'none'}.`)
  }

  const call = (node: Tree, lambdas: Lambdas, depth: number): Tree => {
    const { function_name, schema, children, filter, order_bys, distinct, ...rest } = node
    const name = function_name === 'count_star' ? 'count' : String(function_name).toLowerCase()
    const args = children as readonly Tree[]
    const { is_operator: _, ...plain } = bareFunction
    const { is_operator, ...bare } = rest
    // `a.upper()` parses as a call in schema "a" and DuckDB would chain it; so would a real schema be reached.
    if (schema !== '' && schema !== 'main') {
      throw new Refusal(`"${String(schema)}".${name}(...) is not allowed: write ${name}(...) with all its arguments.`)
    }
    const verdict = rules(name, args.length)
    if (verdict !== 'allowed') throw new Refusal(`${name}(...) is not allowed: ${verdict.refused}.`)
    if (!isSame({ ...bare, filter, order_bys, distinct }, plain)) {
      throw new Refusal(`${name}(...) may not have DISTINCT, FILTER, ORDER BY or a catalog.`)
    }
    if (listAggregateFunctions.has(name)) checkListAggregate(name, args[1])
    checkConstants(name, args)

    const isNamed = namedArgumentFunctions.has(name)
    const isFar = isFarDistance(name, args)
    const inside = depth + (isFar ? guardDepth : 1)
    const walked = args.map((argument, position) => {
      if (position === 1 && argument.class === 'LAMBDA' && lambdaFunctions.has(name)) {
        return lambda(argument, lambdas, inside)
      }
      if (!isNamed) return walk(argument, lambdas, inside)
      return { ...walk(withoutAlias(argument), lambdas, inside), alias: argument.alias }
    })
    const called = { ...node, children: isCallOfBounds(name) ? walked.map(withoutBounds) : walked, is_operator }
    return isFar ? guards.distance(called) : called
  }

  /**
   * Parameters get names of their own, `x` becomes `_x_1` at depth 1: no column, alias, macro parameter or SQL value
   * function can then take their place, and inner ones shadow outer ones as in the user's text.
   */
  const lambda = (node: Tree, lambdas: Lambdas, depth: number): Tree => {
    const { alias: _, ...unnamed } = node
    const { lhs, expr } = only(unnamed, ['lhs', 'expr'])
    const left = lhs as Tree
    const params =
      left.class === 'FUNCTION' && left.function_name === 'row' ? (left.children as readonly Tree[]) : [left]
    const scope = new Map<string, string>()
    const renamed = params.map(param => {
      const [name, ...more] = (param.class === 'COLUMN_REF' ? param.column_names : []) as readonly string[]
      if (name === undefined || more.length > 0 || scope.has(name.toLowerCase())) {
        throw new Refusal('the parameters of a lambda must be different plain names: lambda x, i: ...')
      }
      const written = `_${name.toLowerCase()}_${lambdas.length + 1}`
      scope.set(name.toLowerCase(), written)
      return { ...param, column_names: [written] }
    })
    const body = walk(expr as Tree, [...lambdas, scope], depth + 1)
    return {
      ...node,
      lhs: params.length === 1 && params[0] === left ? renamed[0] : { ...left, children: renamed },
      expr: body,
    }
  }

  return walk
}

function withoutAlias(node: Tree): Tree {
  const copy = { ...node, alias: '' }
  locations.set(copy, locations.get(node) ?? Number.POSITIVE_INFINITY)
  return copy
}

/** The node's own keys must be exactly these: a key that a later DuckDB adds may carry meaning. */
function only(node: Tree, keys: readonly string[]): Tree {
  const stranger = Object.keys(node).find(key => key !== 'class' && key !== 'type' && !keys.includes(key))
  if (stranger !== undefined) throw new Refusal(`${String(node.class)} with ${stranger} is not allowed.`)
  return node
}

/**
 * DuckDB writes the DOUBLE 1e5 as `100000.0`, which reads as DECIMAL and changes the arithmetic around it. A cast from
 * text is exact and keeps the type.
 */
function constant(node: Tree, value: Tree): Tree {
  const type = value.type as Tree
  if (type.id !== 'DOUBLE' || value.is_null !== false) return node
  const digits = JSON.stringify(value.value)
  return {
    class: 'CAST',
    type: 'OPERATOR_CAST',
    alias: '',
    child: { ...node, value: { type: { id: 'VARCHAR', type_info: null }, is_null: false, value: digits } },
    cast_type: type,
    try_cast: false,
  }
}

function checkConstants(name: string, args: readonly Tree[]): void {
  const which = constantArguments.get(name)
  const constants = which === 'first' ? args.slice(0, 1) : which === 'others' ? args.slice(1) : []
  if (!constants.some(readsColumn)) return
  const where = which === 'first' ? 'as its first argument' : 'after its first argument'
  throw new Refusal(`${name}(...) takes no column ${where}, only a constant.`)
}

function readsColumn(tree: unknown): boolean {
  if (typeof tree !== 'object' || tree === null) return false
  return (tree as Tree).class === 'COLUMN_REF' || Object.values(tree).some(readsColumn)
}

function checkListAggregate(name: string, argument: Tree | undefined): void {
  const aggregate = argument?.class === 'CONSTANT' ? (argument.value as Tree).value : undefined
  if (typeof aggregate !== 'string' || !listAggregates.has(aggregate.toLowerCase())) {
    throw new Refusal(`${name}(list, aggregate) takes one of: ${[...listAggregates].join(', ')}.`)
  }
}

function checkType(type: Tree, depth: number): void {
  if (depth > expressionDepthMax) throw new Refusal(tooDeep)
  const info = (type.type_info ?? {}) as Tree
  if (type.id === 'UNBOUND') {
    const name = String(info.name)
    const isKnown = name.toLowerCase() === 'json' || name.toLowerCase() === 'enum'
    if (!isKnown || info.catalog !== '' || info.schema !== '') throw new Refusal(`there is no type ${name}.`)
    return
  }
  // An alias makes another type of a known one: GEOMETRY is a BLOB by that name.
  const alias = (info.alias ?? '') as string
  if (alias !== '') throw new Refusal(`a cast to ${alias} is not allowed.`)
  if (!castTypes.has(String(type.id))) throw new Refusal(`a cast to ${String(type.id)} is not allowed.`)
  if (info.child_type) checkType(info.child_type as Tree, depth + 1)
  for (const field of (info.child_types ?? []) as readonly { readonly second: Tree }[])
    checkType(field.second, depth + 1)
}

// ---- Messages. ------------------------------------------------------------------------------------------------

const excerptMax = 200

/** The user's text, and where in it the mistake is: characters and lines are counted from 1. */
function placeIn(sql: unknown, position: number | undefined): string {
  const characters = [...String(sql)]
  if (position === undefined) return `In: ${excerpt(characters, 0)}`
  const lines = characters.slice(0, position).join('').split('\n')
  const column = [...(lines.at(-1) ?? '')].length + 1
  const line = characters.includes('\n') ? `line ${lines.length}, ` : ''
  return `At ${line}character ${column} of: ${excerpt(characters, Math.max(0, position - excerptMax / 2))}`
}

function excerpt(characters: readonly string[], from: number): string {
  if (characters.length <= excerptMax) return characters.join('')
  const shown = characters.slice(from, from + excerptMax).join('')
  return `${from > 0 ? '...' : ''}${shown}${from + excerptMax < characters.length ? '...' : ''}`
}

/**
 * DuckDB adds the query and a caret below its sentence; the query is ours, not the user's. It names types as it holds
 * them, and LIKE as it calls it.
 */
export function firstSentence(error: unknown): string {
  const [sentence = ''] = errorMessage(error).split(/\n+LINE \d+: /)
  return sentence
    .trim()
    .replace(/^(?:Binder|Conversion|Invalid Input|Out of Range|Catalog|Parser|Not implemented) Error: /, '')
    .replaceAll(/\bU?INT(?:8|16|32|64|128)\b/g, name => sqlTypeOf[name] ?? name)
    .replaceAll(/'(!?)~~(\*?)\(/g, (_, not: string, any: string) => `'${not ? 'NOT ' : ''}${any ? 'I' : ''}LIKE(`)
    .replace(/(?<![.!?])$/, '.')
}

const sqlTypeOf: Readonly<Record<string, string>> = {
  INT8: 'TINYINT',
  INT16: 'SMALLINT',
  INT32: 'INTEGER',
  INT64: 'BIGINT',
  INT128: 'HUGEINT',
  UINT8: 'UTINYINT',
  UINT16: 'USMALLINT',
  UINT32: 'UINTEGER',
  UINT64: 'UBIGINT',
  UINT128: 'UHUGEINT',
}
