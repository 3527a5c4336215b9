import { nearestName } from '../../core/nearest.ts'
import type { ColumnTypes } from '../../plan/relation.ts'
import { id } from '../../plan/sql.ts'
import { type SqlFile, sqlError } from '../sql-error.ts'
import { isName, isToken, type Token } from '../tokens.ts'
import { type Expression, expressionOf, type Replacement } from './expression.ts'

/** What names of columns mean in a query. */
export interface Scope {
  readonly columns: ColumnTypes
  /** By the lower-case name of a relation: lower-case column to the column's name now, or why it has none. */
  readonly relations: ReadonlyMap<string, ReadonlyMap<string, ColumnNow>>
  /** Columns that have another name now, or none, by what they were called. */
  readonly renamed: ReadonlyMap<string, ColumnNow>
}

export type ColumnNow = { readonly name: string } | { readonly refused: string }

/** The names of one relation. @param name its alias, or its own name */
export function scopeOf(columns: ColumnTypes, name: string | undefined): Scope {
  const own = new Map(Object.keys(columns).map(column => [column.toLowerCase(), { name: column }]))
  return { columns, relations: new Map(name === undefined ? [] : [[name.toLowerCase(), own]]), renamed: new Map() }
}

/** The column that tokens name, `zone` or `trips.zone`; undefined where they are no name of a column. */
export function columnOf(file: SqlFile, tokens: readonly Token[], scope: Scope): string | undefined {
  const [first, dot, second, ...others] = tokens
  if (others.length > 0 || !isName(first)) return undefined
  if (dot === undefined)
    return nowOf(file, first, scope.renamed.get(first.value.toLowerCase())) ?? ownName(first.value, scope.columns)
  const relation = scope.relations.get(first.value.toLowerCase())
  if (!relation || !isToken(dot, '.') || !isName(second)) return undefined
  return nowOf(file, second, relation.get(second.value.toLowerCase()))
}

/**
 * As `columnOf`.
 *
 * @param what is asked for: 'a column of the key'
 * @throws MillraceError `user` where there is no such column
 */
export function needColumn(file: SqlFile, tokens: readonly Token[], scope: Scope, what: string): string {
  const found = columnOf(file, tokens, scope)
  if (found !== undefined) return found
  const token = tokens.at(-1)
  const names = Object.keys(scope.columns)
  const written = tokens.map(({ text }) => text).join('')
  const near = nearestName(token?.value ?? '', names)
  throw sqlError(
    file,
    tokens[0]?.from ?? 0,
    `expected ${what}, found ` +
      `${written === '' ? 'nothing' : written}.${near === undefined ? '' : ` Did you mean ${near}?`} Columns ` +
      `here: ${names.join(', ')}.`,
  )
}

export function ownName(name: string, columns: ColumnTypes): string | undefined {
  return Object.keys(columns).find(column => column.toLowerCase() === name.toLowerCase())
}

function nowOf(file: SqlFile, token: Token, now: ColumnNow | undefined): string | undefined {
  if (now === undefined) return undefined
  if ('refused' in now) throw sqlError(file, token.from, now.refused)
  return now.name
}

/** An expression with the names that its step knows: `trips.zone` is `"zone"` there. */
export function scoped(
  file: SqlFile,
  tokens: readonly Token[],
  scope: Scope,
  more: readonly Replacement[] = [],
): Expression {
  const replacements = [...more]
  for (const [index, token] of tokens.entries()) {
    if (!isName(token) || isToken(tokens[index - 1], '.') || more.some(({ from, to }) => from <= index && index < to))
      continue
    const isQualified = isToken(tokens[index + 1], '.') && isName(tokens[index + 2])
    const now = isQualified
      ? scope.relations.get(token.value.toLowerCase())?.get(tokens[index + 2]?.value.toLowerCase() ?? '')
      : isToken(tokens[index + 1], '(')
        ? undefined
        : scope.renamed.get(token.value.toLowerCase())
    const name = nowOf(file, isQualified ? (tokens[index + 2] as Token) : token, now)
    if (name !== undefined) replacements.push({ from: index, to: index + (isQualified ? 3 : 1), sql: id(name) })
    else if (
      isQualified &&
      scope.relations.has(token.value.toLowerCase()) &&
      ownName(token.value, scope.columns) === undefined
    )
      needColumn(file, tokens.slice(index, index + 3), scope, `a column of ${token.value}`)
  }
  return expressionOf(file, tokens, replacements)
}
