import { errorMessage, isMillraceError, MillraceError } from '../../core/errors.ts'
import { parseColumnType } from '../../core/types.ts'
import { parseExpression } from '../../plan/parse-expression.ts'
import { Refusal } from '../../plan/refusal.ts'
import type { ColumnTypes } from '../../plan/relation.ts'
import type { Tree } from '../../plan/trees.ts'
import type { Catalog } from '../catalog.ts'
import { siteOf, type SqlFile, sqlError } from '../sql-error.ts'
import { depthAfter, isToken, type Token } from '../tokens.ts'

/** An expression as a step takes it, and where its parts stand in the user's text. */
export interface Expression {
  readonly sql: string
  /** Where it begins. */
  readonly from: number
  /** Where what stands there in `sql`, in UTF-16 units, stands in the user's text. */
  placeOf(offset: number): number
}

/** A part of an expression that is written otherwise for its step. */
export interface Replacement {
  /** Tokens of the expression, the first one and the one behind the last. */
  readonly from: number
  readonly to: number
  readonly sql: string
}

/** The text of tokens with some of them replaced; what is left stands as the user wrote it. */
export function expressionOf(
  file: SqlFile,
  tokens: readonly Token[],
  replacements: readonly Replacement[] = [],
): Expression {
  const segments: { readonly at: number; readonly place: number; readonly isOwn: boolean }[] = []
  let sql = ''
  const add = (text: string, place: number, isOwn: boolean) => {
    segments.push({ at: sql.length, place, isOwn })
    sql += text
  }
  let index = 0
  for (const { from, to, sql: other } of replacements.toSorted((a, b) => a.from - b.from)) {
    addOwn(index, from)
    const [first, before] = [tokens[from], tokens[from - 1]]
    if (before && first && first.from > before.to) add(' ', before.to, false)
    add(other, first?.from ?? 0, false)
    index = to
    const [last, next] = [tokens[to - 1], tokens[to]]
    if (next && last && next.from > last.to) add(' ', last.to, false)
  }
  addOwn(index, tokens.length)
  function addOwn(from: number, to: number) {
    const [first, last] = [tokens[from], tokens[to - 1]]
    if (first && last && from < to) add(file.text.slice(first.from, last.to), first.from, true)
  }
  return {
    sql,
    from: tokens[0]?.from ?? 0,
    placeOf(offset) {
      const segment = segments.findLast(({ at }) => at <= offset)
      return segment === undefined ? 0 : segment.place + (segment.isOwn ? offset - segment.at : 0)
    },
  }
}

/** The expression's tree. @throws MillraceError `user` at the place that is wrong */
export async function treeOf(catalog: Catalog, expression: Expression, columns: readonly string[]): Promise<Tree> {
  try {
    return await parseExpression(catalog.executor, expression.sql, columns)
  } catch (error) {
    throw atPlace(catalog.file, expression, error, 'this')
  }
}

/** The type of an expression that has gone through the gate. @param what it is for, for messages: 'WHERE' */
export async function typeOf(
  catalog: Catalog,
  expression: Expression,
  columns: ColumnTypes,
  what: string,
): Promise<string> {
  const types = Object.fromEntries(
    Object.entries(columns).map(([name, type]) => [name, type.replace(/ NOT NULL$/, '')]),
  )
  try {
    return (await catalog.gate.checked(expression.sql, types, '_in')).type
  } catch (error) {
    throw atPlace(catalog.file, expression, error, what)
  }
}

/** @throws MillraceError `user` for what is no predicate */
export async function checkPredicate(
  catalog: Catalog,
  expression: Expression,
  columns: ColumnTypes,
  what: string,
): Promise<void> {
  const type = await typeOf(catalog, expression, columns, what)
  if (type !== 'BOOLEAN')
    throw sqlError(
      catalog.file,
      expression.from,
      `${what} has the type ${type}; expected a BOOLEAN, such as a comparison.`,
    )
}

/** The type that a column of this expression gets; of one that no column can have, what to write. */
export async function columnTypeOf(
  catalog: Catalog,
  expression: Expression,
  columns: ColumnTypes,
  what: string,
): Promise<string> {
  const found = await typeOf(catalog, expression, columns, what)
  const type = found === 'TIMESTAMP WITH TIME ZONE' ? 'TIMESTAMPTZ' : found
  try {
    return parseColumnType(type, what).sql
  } catch (error) {
    if (!isMillraceError(error)) throw error
    const hint = /DECIMAL/.test(type) || type === 'HUGEINT' ? 'DECIMAL(38,0)' : 'VARCHAR'
    throw sqlError(
      catalog.file,
      expression.from,
      `${what} has the type ${type}, which no column has; expected a cast, such as CAST(... AS ${hint}).`,
    )
  }
}

function atPlace(file: SqlFile, expression: Expression, error: unknown, what: string): unknown {
  if (isMillraceError(error))
    return error.at
      ? error
      : new MillraceError(error.kind, error.code, error.message, error.cause, siteOf(file, expression.from))
  const isDeep = error instanceof RangeError
  if (!(error instanceof Refusal) && !isDeep) return error
  const characters = error instanceof Refusal ? error.position : undefined
  const offset = characters === undefined ? 0 : [...expression.sql].slice(0, characters).join('').length
  const place = expression.placeOf(Math.min(offset, Math.max(0, expression.sql.length - 1)))
  return sqlError(
    file,
    place,
    `${what}: ${isDeep ? 'it is nested too deep; split it over several queries.' : errorMessage(error)}`,
    error,
  )
}

/** What is cast where an expression is a cast as a whole: CAST(x AS T) and x::T. */
export async function castOf(
  catalog: Catalog,
  tokens: readonly Token[],
  tree: Tree,
  rewrite: (part: readonly Token[]) => Expression,
): Promise<Expression | undefined> {
  if (tree.class !== 'CAST' || tree.try_cast === true) return undefined
  for (const inner of castForms(tokens)) {
    if (inner.length === 0) continue
    const expression = rewrite(inner)
    const found = await parseExpression(catalog.executor, expression.sql).catch(() => undefined)
    if (found && JSON.stringify(found) === JSON.stringify(tree.child)) return expression
  }
  return undefined
}

function castForms(tokens: readonly Token[]): readonly (readonly Token[])[] {
  const forms: (readonly Token[])[] = []
  let depth = 0
  for (const [index, token] of tokens.entries()) {
    depth = depthAfter(depth, token)
    if (depth === 1 && isToken(token, 'AS') && isToken(tokens[0], 'CAST') && isToken(tokens.at(-1), ')'))
      forms.push(tokens.slice(2, index))
    if (depth === 0 && isToken(token, '::')) forms.push(tokens.slice(0, index))
  }
  return forms.toReversed()
}
