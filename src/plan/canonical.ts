import type { Json } from '../core/json.ts'
import { lambdaFunctions } from './functions.ts'
import { id, text as quoted } from './sql.ts'
import { type Tree, zoned } from './trees.ts'

/**
 * The canonical form of an expression: DuckDB's tree of it as nested lists, `[what, ...parts]`, that are equal for all
 * ways to write the same.
 *
 *     amount > 1e5            ['>', ['column', 'amount'], ['constant', 'DOUBLE', '100000']]
 *     "AMOUNT"  >  100000.0   ['>', ['column', 'amount'], ['constant', 'DECIMAL(7,1)', '100000.0']]
 *
 * Blanks, comments, redundant parentheses and the case of words and names leave no trace in it. The type of a constant
 * does: it decides the arithmetic around it. An alias of a function is another function here; whoever takes up a
 * checkpoint is refused once too often rather than once too seldom.
 *
 * @param columns names in scope; one that is written in another case is the same
 * @throws NoCanonicalForm for a node that the gate does not let through
 */
export function canonicalTree(tree: Tree, columns: readonly string[]): Json {
  const names = new Map(columns.map(name => [name.toLowerCase(), name]))
  return walk(tree, { names, parameters: [] })
}

/** Such an expression is no part of any plan that the gate has seen. */
export class NoCanonicalForm extends Error {}

interface Scope {
  /** Columns: lower-case name to name. */
  readonly names: ReadonlyMap<string, string>
  /**
   * Parameters of lambdas around, outermost first, in lower case: what they are called does not matter, their place
   * does.
   */
  readonly parameters: readonly string[]
}

function walk(node: Tree, scope: Scope): Json {
  const all = (children: unknown) => (children as readonly Tree[]).map(child => walk(child, scope))
  const one = (child: unknown) => walk(child as Tree, scope)
  switch (node.class) {
    case 'COLUMN_REF':
      return name(node.column_names as readonly string[], scope)
    case 'CONSTANT':
      return constant(node.value as Tree)
    case 'OPERATOR':
      return [operatorName(node), ...all(node.children)]
    case 'CONJUNCTION':
      return [operatorName(node), ...flat(node).map(one)]
    case 'COMPARISON':
      return [operatorName(node), one(node.left), one(node.right)]
    case 'BETWEEN':
      return [operatorName(node), one(node.input), one(node.lower), one(node.upper)]
    case 'CASE': {
      const checks = node.case_checks as readonly Tree[]
      return ['case', ...checks.map(check => [one(check.when_expr), one(check.then_expr)]), one(node.else_expr)]
    }
    case 'CAST':
      return [node.try_cast === true ? 'try cast' : 'cast', typeName(node.cast_type as Tree), one(node.child)]
    case 'LAMBDA':
      // No argument of a lambda function: JSON extraction, which parses alike.
      return ['call', '->', one(node.lhs), one(node.expr)]
    case 'FUNCTION':
      return call(node, scope)
    default:
      throw new NoCanonicalForm(`${String(node.class)} has no canonical form`)
  }
}

/** `a AND (b AND c)` is `a AND b AND c`: each is as true as the other, and evaluated in the same order. */
function flat(node: Tree): readonly Tree[] {
  return (node.children as readonly Tree[]).flatMap(child =>
    child.class === 'CONJUNCTION' && child.type === node.type ? flat(child) : [child],
  )
}

const signs: Readonly<Record<string, string>> = {
  COMPARE_EQUAL: '=',
  COMPARE_NOTEQUAL: '<>',
  COMPARE_LESSTHAN: '<',
  COMPARE_GREATERTHAN: '>',
  COMPARE_LESSTHANOREQUALTO: '<=',
  COMPARE_GREATERTHANOREQUALTO: '>=',
}

/** '<>', 'is null', 'not in', 'distinct from'. */
function operatorName({ type }: Tree): string {
  const own = String(type)
  const words = own.replace(/^(OPERATOR|COMPARE|CONJUNCTION)_/, '')
  return signs[own] ?? words.toLowerCase().replaceAll('_', ' ')
}

function name(parts: readonly string[], { names, parameters }: Scope): Json {
  const [first = '', ...fields] = parts
  const place = parameters.lastIndexOf(first.toLowerCase())
  if (place >= 0) return ['parameter', place, ...fields]
  return ['column', names.get(first.toLowerCase()) ?? first, ...fields]
}

function call(node: Tree, scope: Scope): Json {
  const own = String(node.function_name).toLowerCase()
  const { orders } = node.order_bys as { readonly orders: readonly Tree[] }
  const isPlain = node.distinct === false && node.filter === null && orders.length === 0 && node.catalog === ''
  if (!isPlain || (node.schema !== '' && node.schema !== 'main'))
    throw new NoCanonicalForm(`${own}(...) with more than its arguments has no canonical form`)
  const args = (node.children as readonly Tree[]).map((argument, place) => {
    const walked =
      place === 1 && argument.class === 'LAMBDA' && lambdaFunctions.has(own)
        ? lambda(argument, scope)
        : walk(argument, scope)
    // Of a struct: the name of the field.
    return argument.alias === '' ? walked : ['named', String(argument.alias), walked]
  })
  return ['call', own, ...args]
}

function lambda({ lhs, expr }: Tree, scope: Scope): Json {
  const left = lhs as Tree
  const parameters = left.class === 'FUNCTION' ? (left.children as readonly Tree[]) : [left]
  const own = parameters.map(parameter => String((parameter.column_names as readonly string[])[0]).toLowerCase())
  return ['lambda', own.length, walk(expr as Tree, { ...scope, parameters: [...scope.parameters, ...own] })]
}

/** A number as text, whatever holds it: JavaScript would round integers of 64 bits. */
function digits(value: unknown): string {
  if (typeof value === 'object' && value !== null && 'upper' in value && 'lower' in value)
    return String((BigInt(digits(value.upper)) << 64n) + BigInt(digits(value.lower)))
  return JSON.stringify(value)
}

function constant({ type, value, is_null }: Tree): Json {
  const own = type as Tree
  if (is_null !== false) return ['constant', typeName(own), null]
  if (typeof value === 'string') return ['constant', typeName(own), value]
  if (own.id === 'DOUBLE') {
    const number = Number(digits(value))
    return ['constant', 'DOUBLE', Object.is(number, -0) ? '-0' : String(number)]
  }
  const { scale } = (own.type_info ?? {}) as Tree
  return [
    'constant',
    typeName(own),
    own.id === 'DECIMAL' ? pointed(digits(value), Number(digits(scale))) : digits(value),
  ]
}

/** Decimal digits with their point: 1500 of scale 2 is 15.00. */
function pointed(unscaled: string, scale: number): string {
  if (scale === 0) return unscaled
  const sign = unscaled.startsWith('-') ? '-' : ''
  const all = unscaled.slice(sign.length).padStart(scale + 1, '0')
  return `${sign}${all.slice(0, -scale)}.${all.slice(-scale)}`
}

/** The type as one text: INTEGER for int4 and int, DECIMAL(18,3) for NUMERIC, BIGINT[] for a list. */
function typeName(type: Tree): string {
  const info = (type.type_info ?? {}) as Tree
  const child = () => typeName(info.child_type as Tree)
  const fields = () => info.child_types as readonly { readonly first: string; readonly second: Tree }[]
  switch (type.id) {
    case 'DECIMAL':
      return `DECIMAL(${digits(info.width)},${digits(info.scale)})`
    case 'LIST':
      return `${child()}[]`
    case 'ARRAY':
      return `${child()}[${digits(info.size)}]`
    case 'STRUCT':
      return `STRUCT(${fields()
        .map(({ first, second }) => `${id(first)} ${typeName(second)}`)
        .join(', ')})`
    case 'MAP':
      return `MAP(${typeName(info.child_type as Tree)})`
    case zoned:
      return 'TIMESTAMPTZ'
    case 'UNBOUND': {
      // A name that the parser does not know: JSON, and ENUM with its values.
      const values = (info.user_type_modifiers as readonly Tree[]).map(({ value }) => {
        if (typeof value !== 'string') throw new NoCanonicalForm(`${String(info.name)} of what is no text`)
        return quoted(value)
      })
      return `${String(info.name).toUpperCase()}${values.length > 0 ? `(${values.join(', ')})` : ''}`
    }
    default:
      return type.type_info === null || type.type_info === undefined
        ? String(type.id)
        : `${String(type.id)} ${JSON.stringify(type.type_info)}`
  }
}
