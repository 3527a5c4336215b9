import { topN, type TopNOrder } from '../../../operators/top-n.ts'
import type { Catalog } from '../catalog.ts'
import { createReader } from '../reader.ts'
import { type Rows, followed } from '../rows.ts'
import { sqlError } from '../sql-error.ts'
import { isName, isToken, splitAt, type Token } from '../tokens.ts'
import type { Clause } from './parts.ts'
import { needColumn, type Scope } from './scope.ts'

export const topForm = 'QUALIFY row_number() OVER (PARTITION BY window_start ORDER BY trips DESC) <= 10'

/** `row_number() OVER (...)`, whose number a topN gives as `rank`. */
export interface RowNumber {
  readonly over: readonly Token[]
  readonly at: number
}

/** The row number that these tokens are; undefined where they are something else. */
export function rowNumberOf(catalog: Catalog, tokens: readonly Token[]): RowNumber | undefined {
  const [name, open, close, over] = tokens
  if (!isToken(name, 'ROW_NUMBER') || !isToken(open, '(') || !isToken(close, ')')) return undefined
  const at = name?.from ?? 0
  if (!isToken(over, 'OVER') || !isToken(tokens[4], '(') || !isToken(tokens.at(-1), ')'))
    throw sqlError(catalog.file, at, `expected row_number() OVER (...), as in ${topForm}.`)
  return { over: tokens.slice(5, -1), at }
}

/**
 * QUALIFY as a topN.
 *
 * @param numbers items that are row numbers, by the lower-case name that they have
 * @param columnOf a column that tokens of ORDER BY or PARTITION BY name
 */
export function qualified(
  catalog: Catalog,
  rows: Rows,
  qualify: Clause,
  numbers: ReadonlyMap<string, RowNumber>,
  scope: Scope,
  columnOf: (tokens: readonly Token[]) => string | undefined,
): Rows {
  const { file } = catalog
  const bad = (at: number, what: string) => sqlError(file, at, `${what}; expected ${topForm}.`)
  const at = qualify.tokens[0]?.from ?? qualify.at
  const [number, sign] = [qualify.tokens.at(-1), qualify.tokens.at(-2)]
  const left = qualify.tokens.slice(0, -2)
  const isBound = number?.is === 'number' && /^\d{1,15}$/.test(number.text)
  if (!isBound || !(isToken(sign, '<=') || isToken(sign, '<') || isToken(sign, '=')))
    throw bad(at, 'QUALIFY takes a row number and how far it may go')
  const n = Number(number.text) - (isToken(sign, '<') ? 1 : 0)
  if (n < 1 || (isToken(sign, '=') && n !== 1)) throw bad(number.from, 'this leaves no first rows of a window')
  const alone = left.length === 1 && isName(left[0]) ? numbers.get(left[0].value.toLowerCase()) : undefined
  const found = alone ?? rowNumberOf(catalog, left)
  if (!found) throw bad(at, 'QUALIFY takes row_number() alone')
  const other = [...numbers.values()].find(each => textOf(each.over) !== textOf(found.over))
  if (other) throw bad(other.at, 'there is one row number in a query')
  const { per, by } = readOver(catalog, found, scope, columnOf)
  return followed(rows, file, found.at, () =>
    topN(n, { by: by as never, ...(per.length === 0 ? {} : { per: per as never }) }),
  )
}

function readOver(
  catalog: Catalog,
  { over, at }: RowNumber,
  scope: Scope,
  columnOf: (tokens: readonly Token[]) => string | undefined,
) {
  const { file } = catalog
  const end = { is: 'end', text: ')', value: ')', from: over.at(-1)?.to ?? at, to: at } as const
  const reader = createReader(file, over, end)
  reader.expect('PARTITION', `PARTITION BY window_start, as in ${topForm}`)
  reader.expect('BY')
  const named = (tokens: readonly Token[], what: string) => columnOf(tokens) ?? needColumn(file, tokens, scope, what)
  const groups = splitAt(
    ',',
    reader.until(token => isToken(token, 'ORDER')),
  ).map(part => named(part, 'a column behind PARTITION BY'))
  if (!groups.includes('window_start') && !groups.includes('window_end'))
    throw sqlError(
      file,
      at,
      `the first rows of all time would change for ever: the bound is missing; expected PARTITION BY ` +
        `window_start, as in ${topForm}.`,
    )
  reader.expect('ORDER', `ORDER BY, as in ${topForm}`)
  reader.expect('BY')
  const by = splitAt(
    ',',
    reader.until(() => false),
  ).map(part => orderOf(catalog, part, named))
  return { per: groups.filter(name => name !== 'window_start' && name !== 'window_end'), by }
}

function orderOf(
  catalog: Catalog,
  tokens: readonly Token[],
  named: (part: readonly Token[], what: string) => string,
): TopNOrder {
  let part = tokens
  if (isToken(part.at(-2), 'NULLS')) {
    if (!isToken(part.at(-1), 'LAST'))
      throw sqlError(catalog.file, part.at(-1)?.from ?? 0, 'NULL comes last here; expected NULLS LAST, or nothing.')
    part = part.slice(0, -2)
  }
  const direction = isToken(part.at(-1), 'DESC') ? 'desc' : isToken(part.at(-1), 'ASC') ? 'asc' : undefined
  const column = named(direction ? part.slice(0, -1) : part, 'a column behind ORDER BY')
  return direction === 'desc' ? [column, 'desc'] : column
}

function textOf(tokens: readonly Token[]): string {
  return tokens.map(({ text }) => text.toLowerCase()).join(' ')
}
