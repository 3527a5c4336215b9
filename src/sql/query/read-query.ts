import type { Reader } from '../reader.ts'
import { sqlError } from '../sql-error.ts'
import { isToken, splitAt, type Token } from '../tokens.ts'
import type { Block, Clause, Item, Query } from './parts.ts'
import { isClause } from './clauses.ts'
import { readFrom } from './read-from.ts'

/** Reads a query up to the end of the tokens. */
export function readQuery(reader: Reader): Query {
  const at = reader.peek().from
  const named: { name: Token; query: Query }[] = []
  if (reader.take('WITH')) {
    if (reader.isAt('RECURSIVE')) reader.fail('no RECURSIVE: a query goes over its rows once')
    do {
      const name = reader.name('the name of a query, as in WITH hourly AS (SELECT ...)')
      reader.expect('AS', `AS and a query in brackets behind ${name.value}`)
      const { tokens, end } = reader.inside('( and a query')
      named.push({ name, query: queryOf(reader, tokens, end) })
    } while (reader.take(','))
  }
  const blocks = [readBlock(reader)]
  while (reader.isAt('UNION')) {
    if (!reader.take('UNION', 'ALL', 'BY', 'NAME'))
      reader.fail('UNION ALL BY NAME: columns go by their names, and equal rows stay')
    blocks.push(readBlock(reader))
  }
  refuseRest(reader)
  return { named, blocks, at }
}

/** A query of tokens in brackets. */
function queryOf(reader: Reader, tokens: readonly Token[], end: Token): Query {
  return readQuery(reader.within(tokens, end))
}

/** What SQL has and a stream cannot: which bound is missing, or what to write. */
function refuseRest(reader: Reader): void {
  const token = reader.peek()
  if (token.is === 'end') return
  const { file } = reader
  const top =
    'of each window the first rows are QUALIFY row_number() OVER (PARTITION BY window_start ORDER BY trips DESC) <= 10'
  if (reader.isAt('ORDER', 'BY'))
    throw sqlError(
      file,
      token.from,
      `ORDER BY would wait for the last row of a stream, which never comes: its bound is missing; ${top}.`,
    )
  if (['LIMIT', 'OFFSET', 'FETCH'].some(word => reader.isAt(word)))
    throw sqlError(file, token.from, `${token.text.toUpperCase()} counts all rows that will ever come; ${top}.`)
  if (reader.isAt('INTERSECT') || reader.isAt('EXCEPT'))
    throw sqlError(
      file,
      token.from,
      `${token.text.toUpperCase()} would keep every row for ever: its bound is missing; expected a join within ` +
        `a time: ` +
        "a SEMI JOIN b (or ANTI JOIN) ON a.id = b.id AND b.at BETWEEN a.at - INTERVAL '1 hour' AND a.at + " +
        "INTERVAL '1 hour'.",
    )
  if (reader.isAt('WINDOW'))
    throw sqlError(file, token.from, 'WINDOW is not allowed; expected OVER (...) in full, behind QUALIFY.')
  reader.fail('WHERE, GROUP BY, HAVING, QUALIFY, UNION ALL BY NAME, or the end of the query')
}

function readBlock(reader: Reader): Block | Query {
  if (reader.isAt('(')) {
    const { tokens, end } = reader.inside()
    return queryOf(reader, tokens, end)
  }
  const { from: at } = reader.expect('SELECT', 'SELECT')
  if (reader.isAt('DISTINCT'))
    reader.fail(
      'no DISTINCT, which would keep every row for ever: its bound is missing. Write SELECT ... FROM ' +
        "DEDUPE(trips, id, INTERVAL '1 day')",
    )
  reader.take('ALL')
  const items = splitAt(',', untilClause(reader)).map((tokens): Item => ({ tokens }))
  if (items.some(({ tokens }) => tokens.length === 0)) reader.fail('an expression')
  reader.expect('FROM', 'FROM and what rows come from')
  const from = readFrom(reader, queryOf)
  const where = readClause(reader, 'WHERE')
  const groupBy = readGroupBy(reader)
  const having = readClause(reader, 'HAVING')
  const qualify = readClause(reader, 'QUALIFY')
  return {
    at,
    items,
    from,
    ...(where && { where }),
    ...(groupBy && { groupBy }),
    ...(having && { having }),
    ...(qualify && { qualify }),
  }
}

function readClause(reader: Reader, word: string): Clause | undefined {
  const { from: at } = reader.peek()
  if (!reader.take(word)) return undefined
  const tokens = untilClause(reader)
  if (tokens.length === 0) reader.fail(`an expression behind ${word}`)
  return { at, tokens }
}

function readGroupBy(reader: Reader): Block['groupBy'] {
  const { from: at } = reader.peek()
  if (!reader.take('GROUP', 'BY')) return undefined
  const tokens = untilClause(reader)
  if (tokens.length === 1 && isToken(tokens[0], 'ALL')) return { at, items: 'all' }
  const items = splitAt(',', tokens)
  if (items.some(item => item.length === 0)) reader.fail('a column or an expression')
  return { at, items }
}

function untilClause(reader: Reader): readonly Token[] {
  let before: Token | undefined
  return reader.until(token => {
    const ends = isClause(token, reader.peek(1), before)
    before = token
    return ends
  })
}
