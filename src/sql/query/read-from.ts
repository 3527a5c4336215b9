import type { Reader } from '../reader.ts'
import { sqlError } from '../sql-error.ts'
import { isName, isToken, splitAt, type Token } from '../tokens.ts'
import { isClause } from './clauses.ts'
import type { Argument, Call, From, Join, JoinWord, Query, Relation } from './parts.ts'

/** Reads a query of tokens in brackets. */
type QueryOf = (reader: Reader, tokens: readonly Token[], end: Token) => Query

/** Reads what stands behind FROM. */
export function readFrom(reader: Reader, queryOf: QueryOf): From {
  const first = readRelation(reader, queryOf)
  const joins: Join[] = []
  for (let join = readJoin(reader, queryOf); join; join = readJoin(reader, queryOf)) joins.push(join)
  if (reader.isAt(',')) reader.fail('JOIN ... ON ... between two relations')
  return { first, joins }
}

const joinWords: Readonly<Record<string, JoinWord>> = {
  INNER: 'inner',
  LEFT: 'left',
  RIGHT: 'right',
  FULL: 'full',
  SEMI: 'semi',
  ANTI: 'anti',
}

function readJoin(reader: Reader, queryOf: QueryOf): Join | undefined {
  const { from: at, text } = reader.peek()
  const word = text.toUpperCase()
  if (['CROSS', 'NATURAL', 'ASOF', 'POSITIONAL'].includes(word) && reader.peek().is === 'word')
    reader.fail('JOIN ... ON ..., with columns that are equal and a bound of time')
  const kind = Object.hasOwn(joinWords, word) && reader.peek().is === 'word' ? joinWords[word] : undefined
  if (kind) {
    reader.next()
    reader.take('OUTER')
    reader.expect('JOIN')
  } else if (!reader.take('JOIN')) return undefined
  const right = readRelation(reader, queryOf)
  if (reader.take('USING'))
    return { kind: kind ?? 'inner', right, at, on: { is: 'using', tokens: reader.inside().tokens } }
  reader.expect('ON', 'ON or USING, and the columns that are equal')
  let before: Token | undefined
  const tokens = reader.until(token => {
    const ends = isClause(token, reader.peek(1), before) || isJoinStart(reader)
    before = token
    return ends
  })
  if (tokens.length === 0) reader.fail('columns that are equal, such as a.id = b.id')
  return { kind: kind ?? 'inner', right, at, on: { is: 'on', tokens } }
}

function isJoinStart(reader: Reader): boolean {
  if (reader.isAt('JOIN')) return true
  return Object.keys(joinWords).some(word => reader.isAt(word, 'JOIN') || reader.isAt(word, 'OUTER', 'JOIN'))
}

/** Words that are no alias. */
const noAlias: ReadonlySet<string> = new Set([
  ...'JOIN INNER LEFT RIGHT FULL SEMI ANTI CROSS NATURAL ASOF POSITIONAL ON USING WHERE GROUP'.split(' '),
  ...'HAVING QUALIFY WINDOW ORDER LIMIT OFFSET UNION INTERSECT EXCEPT FETCH'.split(' '),
])

function readRelation(reader: Reader, queryOf: QueryOf): Relation {
  const relation = readBare(reader, queryOf)
  const isAs = reader.take('AS')
  const token = reader.peek()
  if (!isAs && !(isName(token) && !(token.is === 'word' && noAlias.has(token.text.toUpperCase())))) return relation
  const alias = reader.name('a name behind AS')
  if (reader.isAt('(')) reader.fail('no names of columns behind the alias; name them in SELECT')
  return { ...relation, alias }
}

const windowForm = "TUMBLE(trips, INTERVAL '1 hour')"

function readBare(reader: Reader, queryOf: QueryOf): Relation {
  const { from: at } = reader.peek()
  if (reader.isAt('(')) {
    const { tokens, end } = reader.inside()
    return { is: 'query', query: queryOf(reader, tokens, end), at }
  }
  if (reader.peek().is === 'text')
    throw sqlError(
      reader.file,
      at,
      'files are read by sources alone; expected a CREATE SOURCE before it, and its name here.',
    )
  if (reader.isAt('TABLE') && isName(reader.peek(1))) reader.fail(`the name alone, as in ${windowForm}`)
  const name = reader.name(
    `the name of a source, view or lookup, a query in brackets, or a window such as ${windowForm}`,
  )
  if (!reader.isAt('(')) return { is: 'name', name, at }
  const { tokens, end } = reader.inside()
  return { ...callOf(reader, name, tokens, end, queryOf), at }
}

function callOf(reader: Reader, name: Token, tokens: readonly Token[], end: Token, queryOf: QueryOf): Call {
  const [first = [], ...more] = splitAt(',', tokens)
  if (first.length === 0)
    throw sqlError(
      reader.file,
      name.from,
      `${name.value}(...) begins with the rows it is about; expected ${name.value}(trips, ...).`,
    )
  const rows = reader.within(first, more.length === 0 ? end : (more[0]?.[0] ?? end))
  const of = readRelation(rows, queryOf)
  if (rows.peek().is !== 'end') rows.fail(', or )')
  return { is: 'call', name, of, end, more: more.map(part => argumentOf(reader, part, end)) }
}

function argumentOf(reader: Reader, tokens: readonly Token[], end: Token): Argument {
  const [name, sign] = tokens
  const at = tokens[0]?.from ?? end.from
  if (tokens.length === 0) throw sqlError(reader.file, at, 'an argument is missing here.')
  if (isToken(name, 'DESCRIPTOR'))
    throw sqlError(
      reader.file,
      at,
      `rows go by the event time of their source; expected no DESCRIPTOR, as in ${windowForm}.`,
    )
  if (isName(name) && (isToken(sign, ':=') || isToken(sign, '=>'))) return { name, tokens: tokens.slice(2) }
  return { tokens }
}
