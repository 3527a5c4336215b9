import { isToken, type Token } from '../tokens.ts'

/** Words that end an expression where they stand in no brackets. */
const clauseWords = [
  'FROM',
  'WHERE',
  'HAVING',
  'QUALIFY',
  'WINDOW',
  'LIMIT',
  'OFFSET',
  'UNION',
  'INTERSECT',
  'EXCEPT',
  'FETCH',
]

/** Whether a clause begins here. `IS DISTINCT FROM` begins none. */
export function isClause(token: Token, next: Token, before: Token | undefined): boolean {
  if (token.is !== 'word') return false
  const word = token.text.toUpperCase()
  if (word === 'GROUP' || word === 'ORDER') return isToken(next, 'BY')
  return clauseWords.includes(word) && !(word === 'FROM' && isToken(before, 'DISTINCT'))
}
