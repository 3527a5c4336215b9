import type { Catalog } from '../catalog.ts'
import { sqlError } from '../sql-error.ts'
import { isName, isToken, splitAt, type Token } from '../tokens.ts'
import type { Input } from './input.ts'
import type { Item } from './parts.ts'
import { needColumn } from './scope.ts'

/** What an item names, each column by itself: * is all of them, `* EXCLUDE (a) REPLACE (b + 1 AS b)` some of them. */
export interface Named {
  /** A column as it is. Absent: what the tokens say. */
  readonly column?: string
  readonly tokens: readonly Token[]
  readonly alias?: string
}

export function spread(catalog: Catalog, input: Input, item: Item): readonly Named[] {
  const { tokens } = item
  const isOfOne = isName(tokens[0]) && isToken(tokens[1], '.') && isToken(tokens[2], '*')
  if (!isToken(tokens[0], '*') && !isOfOne)
    return [{ tokens, ...(item.alias === undefined ? {} : { alias: item.alias }) }]
  const at = tokens[0]?.from ?? 0
  if (input.isJoined || (isOfOne && input.scope.relations.size > 1))
    throw sqlError(
      catalog.file,
      at,
      '* is not clear behind a join, whose columns come from both sides; expected their names.',
    )
  const rest = tokens.slice(isOfOne ? 3 : 1)
  const excluded = listBehind(catalog, rest, 'EXCLUDE').map(part =>
    needColumn(catalog.file, part, input.scope, 'a column behind EXCLUDE'),
  )
  const replaced = new Map(
    listBehind(catalog, rest, 'REPLACE').map(part => {
      const name = part.at(-1)
      if (!isToken(part.at(-2), 'AS') || !isName(name))
        throw sqlError(
          catalog.file,
          part[0]?.from ?? at,
          'expected an expression and the column that it replaces: REPLACE (fare / 100 AS fare).',
        )
      return [needColumn(catalog.file, [name], input.scope, 'a column behind REPLACE'), part.slice(0, -2)] as const
    }),
  )
  if (rest.length > 0 && excluded.length === 0 && replaced.size === 0)
    throw sqlError(
      catalog.file,
      rest[0]?.from ?? at,
      'expected EXCLUDE (columns) or REPLACE (expression AS column) behind *.',
    )
  return Object.keys(input.rows.node.columns)
    .filter(column => !excluded.includes(column))
    .map(column => {
      const other = replaced.get(column)
      return other ? { tokens: other, alias: column } : { column, tokens: tokens.slice(0, 1) }
    })
}

/** The parts of a list in brackets behind a word; of one name without them too. */
function listBehind(catalog: Catalog, tokens: readonly Token[], word: string): readonly (readonly Token[])[] {
  const at = tokens.findIndex(token => isToken(token, word))
  if (at < 0) return []
  const next = tokens[at + 1]
  if (next && isName(next)) return [[next]]
  if (!isToken(next, '(')) throw sqlError(catalog.file, tokens[at]?.from ?? 0, `expected ( and a list behind ${word}.`)
  let depth = 0
  const end = tokens.findIndex((token, index) => {
    if (index <= at) return false
    depth += isToken(token, '(') ? 1 : isToken(token, ')') ? -1 : 0
    return depth === 0
  })
  return splitAt(',', tokens.slice(at + 2, end < 0 ? undefined : end))
}
