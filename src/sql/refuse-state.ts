import { aggregateCalls } from './query/aggregate-call.ts'
import { isBlock, type Query, type Relation } from './query/parts.ts'
import { type SqlFile, sqlError } from './sql-error.ts'
import { isToken, type Token } from './tokens.ts'
import { windows } from './windows/windows.ts'

const aggregateForm = "tumbling('1 hour'), groupBy('zone'), aggregate({ trips: count() })"
const topForm = "topN(10, { by: [['trips', 'desc']] })"
const joinForm = "join(other, { on: ['id'], within: ['0 seconds', '1 hour'] })"

/** Words that ask for state, with the operator that keeps it. Longer ones first. */
const refused: readonly (readonly [words: readonly string[], instead: string])[] = [
  [['GROUP', 'BY'], `${aggregateForm} behind this step`],
  [['HAVING'], `where('trips > 3') behind ${aggregateForm}`],
  [['ORDER', 'BY'], `${topForm} behind ${aggregateForm}, for the first rows of each window`],
  [['LIMIT'], `${topForm} behind ${aggregateForm}, for the first rows of each window`],
  [['OFFSET'], `${topForm} behind ${aggregateForm}, for the first rows of each window`],
  [['FETCH'], `${topForm} behind ${aggregateForm}, for the first rows of each window`],
  [['QUALIFY'], `${topForm} behind ${aggregateForm}, for the first rows of each window`],
  [['OVER'], `${topForm} behind ${aggregateForm}, or deltas('id', { ... }) for what changes from row to row`],
  [['WINDOW'], `${topForm} behind ${aggregateForm}`],
  [['DISTINCT'], "dedupe('id', '1 day') behind this step"],
  [['UNION'], 'union(a, b), which begins a flow'],
  [['INTERSECT'], `${joinForm.replace(' }', ", kind: 'semi' }")} behind this step`],
  [['EXCEPT'], `${joinForm.replace(' }', ", kind: 'anti' }")} behind this step`],
  [['JOIN'], `${joinForm}, or join(lookup, { on: { zone: 'id' } })`],
  [['UNNEST'], "unnest('tags') behind this step"],
]

/** Refuses what cannot be said of a row alone, with what to write. @throws MillraceError `user` at its place */
export function refuseState(file: SqlFile, tokens: readonly Token[]): void {
  for (const [index, token] of tokens.entries()) {
    const before = tokens[index - 1]
    const found = refused.find(([words]) => words.every((word, ahead) => isToken(tokens[index + ahead], word)))
    if (!found || isToken(before, '.') || !asksForState(found[0][0] ?? '', before, tokens[index + 1])) continue
    throw refusal(file, token, found[0].join(' '), found[1])
  }
  const [call] = aggregateCalls(file, tokens)
  if (call)
    throw refusal(file, call.tokens[0] as Token, `${call.tokens[0]?.text}(...)`, `${aggregateForm} behind this step`)
}

/** Words that mean something else in another place. */
function asksForState(word: string, before: Token | undefined, next: Token | undefined): boolean {
  if (word === 'DISTINCT') return !isToken(before, 'IS') && !isToken(before, 'NOT')
  if (word === 'OVER') return isToken(before, ')')
  if (word === 'UNNEST') return isToken(next, '(')
  return true
}

function refusal(file: SqlFile, token: Token, what: string, instead: string): Error {
  return sqlError(file, token.from, `${what} is about more rows than one; expected ${instead}.`)
}

/** Refuses rows that are not those of the step before. @param named what the query itself names, in lower case */
export function refuseOtherRows(file: SqlFile, query: Query, named: ReadonlySet<string> = new Set(['_in'])): void {
  const own = new Set(named)
  for (const { name, query: inner } of query.named) {
    refuseOtherRows(file, inner, own)
    own.add(name.value.toLowerCase())
  }
  for (const part of query.blocks)
    if (isBlock(part)) checkRelation(file, part.from.first, own)
    else refuseOtherRows(file, part, own)
}

function checkRelation(file: SqlFile, relation: Relation, named: ReadonlySet<string>): void {
  if (relation.is === 'query') {
    refuseOtherRows(file, relation.query, named)
    return
  }
  const { name } = relation
  if (relation.is === 'name' && named.has(name.value.toLowerCase())) return
  const call = name.value.toUpperCase()
  const op = relation.is === 'call' ? (call === 'DEDUPE' ? 'dedupe' : windows.find(each => each.name === call)?.op) : ''
  throw sqlError(
    file,
    name.from,
    op
      ? `${name.value}(...) is a step of its own; expected FROM _in, and ${op}(...) behind this step.`
      : `there are no rows but those of the step before, which are called _in; expected FROM _in, found ${name.value}.`,
  )
}
