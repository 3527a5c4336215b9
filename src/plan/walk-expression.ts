import { nearestName } from '../core/nearest.ts'
import {
  constantArguments,
  type FunctionRules,
  lambdaFunctions,
  listAggregateFunctions,
  listAggregates,
  namedArgumentFunctions,
  refusedFunctions,
} from './functions.ts'
import { isCallOfBounds, isCastOfBounds, withoutBounds } from './guard-bounds.ts'
import { createDistanceGuard, type DistanceGuard, isFarDistance } from './guard-distances.ts'
import { type CastGuards, createCastGuards, isZoned } from './guard-zones.ts'
import { bareFunction, isSame, withoutAlias } from './parse-expression.ts'
import { expressionDepthMax, guardDepth, Refusal, tooDeep } from './refusal.ts'
import { type Tree, zoned } from './trees.ts'

/** Lambda parameters in scope, innermost last: lower-case name -> name in the written SQL. */
type Lambdas = readonly ReadonlyMap<string, string>[]

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

/** What is put around parts of an expression of which DuckDB's answer would be no function of the row. */
export interface Guards {
  readonly cast: CastGuards
  readonly distance: DistanceGuard
}

export async function createGuards(parseGuard: (sql: string) => Promise<Tree>): Promise<Guards> {
  return { cast: await createCastGuards(parseGuard), distance: await createDistanceGuard(parseGuard) }
}

/** What the names of an expression mean. */
interface Scope {
  readonly rules: FunctionRules
  readonly guards: Guards
  /** By lower-case name. */
  readonly columns: ReadonlyMap<string, string>
  readonly alias: string
  /** Where a node stands in the user's text. */
  position(node: Tree): number | undefined
}

/** @throws Refusal for what is not allowed */
export function walkExpression(
  tree: Tree,
  { columns, ...rest }: Omit<Scope, 'columns'> & { readonly columns: readonly string[] },
): Tree {
  const scope = { ...rest, columns: new Map(columns.map(name => [name.toLowerCase(), name])) }
  return walk(scope, tree, [], 0)
}

function walk(scope: Scope, node: Tree, lambdas: Lambdas, depth: number): Tree {
  try {
    return visit(scope, node, lambdas, depth)
  } catch (error) {
    // The innermost node that stands in the text.
    if (error instanceof Refusal) error.position ??= scope.position(node)
    throw error
  }
}

function visit(scope: Scope, node: Tree, lambdas: Lambdas, depth: number): Tree {
  if (depth > expressionDepthMax) throw new Refusal(tooDeep)
  const walkOne = (child: unknown) => walk(scope, child as Tree, lambdas, depth + 1)
  const walkAll = (children: unknown) => (children as readonly Tree[]).map(walkOne)
  const { alias: name, ...unnamed } = node
  if (name !== '') throw new Refusal(`the name "${String(name)}" has no place here.`)

  switch (unnamed.class) {
    case 'COLUMN_REF': {
      const parts = only(unnamed, ['column_names']).column_names as readonly string[]
      return { ...node, column_names: resolve(scope, parts, lambdas) }
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
      return scope.guards.cast(node, walk(scope, child as Tree, lambdas, depth + guardDepth))
    }
    case 'LAMBDA': {
      // Not an argument of a lambda function: JSON extraction, which parses alike.
      const { lhs, expr } = only(unnamed, ['lhs', 'expr'])
      return { ...node, lhs: walkOne(lhs), expr: walkOne(expr) }
    }
    case 'FUNCTION':
      return call(scope, node, lambdas, depth)
    default:
      throw new Refusal(refusedClasses[String(unnamed.class)] ?? `${String(unnamed.class)} is not allowed.`)
  }
}

/** [alias, column, fields...]: two names can never be a SQL value function such as current_date. */
function resolve({ columns, alias }: Scope, parts: readonly string[], lambdas: Lambdas): readonly string[] {
  const [first = '', ...fields] = parts
  const lambda = lambdas.findLast(names => names.has(first.toLowerCase()))?.get(first.toLowerCase())
  if (lambda !== undefined) return [lambda, ...fields]
  const column = columns.get(first.toLowerCase())
  if (column !== undefined) return [alias, column, ...fields]

  const valueFunction = refusedFunctions.get(first.toLowerCase())
  if (valueFunction !== undefined) throw new Refusal(`${first} is not allowed: ${valueFunction}.`)
  const names = [...columns.values()]
  const near = nearestName(first, names)
  const hint = near === undefined ? '' : ` Did you mean "${near}"?`
  throw new Refusal(`there is no column "${first}".${hint} Columns here: ${names.join(', ') || 'none'}.`)
}

function call(scope: Scope, node: Tree, lambdas: Lambdas, depth: number): Tree {
  const { function_name, schema, children, filter, order_bys, distinct, ...rest } = node
  const name = function_name === 'count_star' ? 'count' : String(function_name).toLowerCase()
  const args = children as readonly Tree[]
  const { is_operator: _, ...plain } = bareFunction
  const { is_operator, ...bare } = rest
  // `a.upper()` parses as a call in schema "a" and DuckDB would chain it; so would a real schema be reached.
  if (schema !== '' && schema !== 'main') {
    throw new Refusal(`"${String(schema)}".${name}(...) is not allowed: write ${name}(...) with all its arguments.`)
  }
  const verdict = scope.rules(name, args.length)
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
      return lambda(scope, argument, lambdas, inside)
    }
    if (!isNamed) return walk(scope, argument, lambdas, inside)
    return { ...walk(scope, withoutAlias(argument), lambdas, inside), alias: argument.alias }
  })
  const called = { ...node, children: isCallOfBounds(name) ? walked.map(withoutBounds) : walked, is_operator }
  return isFar ? scope.guards.distance(called) : called
}

/**
 * Parameters get names of their own, `x` becomes `_x_1` at depth 1: no column, alias, macro parameter or SQL value
 * function can then take their place, and inner ones shadow outer ones as in the user's text.
 */
function lambda(scope: Scope, node: Tree, lambdas: Lambdas, depth: number): Tree {
  const { alias: _, ...unnamed } = node
  const { lhs, expr } = only(unnamed, ['lhs', 'expr'])
  const left = lhs as Tree
  const params = left.class === 'FUNCTION' && left.function_name === 'row' ? (left.children as readonly Tree[]) : [left]
  const names = new Map<string, string>()
  const renamed = params.map(param => {
    const [name, ...more] = (param.class === 'COLUMN_REF' ? param.column_names : []) as readonly string[]
    if (name === undefined || more.length > 0 || names.has(name.toLowerCase())) {
      throw new Refusal('the parameters of a lambda must be different plain names: lambda x, i: ...')
    }
    const written = `_${name.toLowerCase()}_${lambdas.length + 1}`
    names.set(name.toLowerCase(), written)
    return { ...param, column_names: [written] }
  })
  const body = walk(scope, expr as Tree, [...lambdas, names], depth + 1)
  return {
    ...node,
    lhs: params.length === 1 && params[0] === left ? renamed[0] : { ...left, children: renamed },
    expr: body,
  }
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
