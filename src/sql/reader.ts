import { type SqlFile, sqlError } from './sql-error.ts'
import { depthAfter, isName, isToken, type Token } from './tokens.ts'

/** Goes through tokens from left to right. */
export interface Reader {
  readonly file: SqlFile
  /** The next token, or one further on; behind the last one a token that is the end. */
  peek(ahead?: number): Token
  next(): Token
  /** Whether these words or signs come next. */
  isAt(...texts: readonly string[]): boolean
  /** Goes past these words or signs where they come next. */
  take(...texts: readonly string[]): boolean
  /** @throws MillraceError `user` where another token comes. @param what is expected, as a message says it */
  expect(text: string, what?: string): Token
  /** A name, in quotes or not. */
  name(what: string): Token
  /** The tokens up to one that stands in no brackets and is asked for, or up to the end. */
  until(isLast: (token: Token, ahead: number) => boolean): readonly Token[]
  /** The tokens within these brackets, the opening one of which comes next. */
  inside(what?: string): { readonly tokens: readonly Token[]; readonly end: Token }
  /** Reads a part of the tokens. @param end the token behind it */
  within(tokens: readonly Token[], end: Token): Reader
  /** Refuses the next token. */
  fail(expected: string): never
}

/** @param end what stands for the end, such as the closing bracket around the tokens */
export function createReader(file: SqlFile, tokens: readonly Token[], end: Token): Reader {
  const closing: Token = { ...end, is: 'end' }
  let place = 0
  const peek = (ahead = 0) => tokens[place + ahead] ?? closing
  const isAt = (...texts: readonly string[]) => texts.every((text, index) => isToken(peek(index), text))
  const next = () => {
    const token = peek()
    if (place < tokens.length) place++
    return token
  }
  const fail = (expected: string): never => {
    const found = peek()
    throw sqlError(file, found.from, `expected ${expected}, found ${shown(found)}.`)
  }
  const expect = (text: string, what = text) => (isAt(text) ? next() : fail(what))
  const until = (isLast: (token: Token, ahead: number) => boolean) => {
    const from = place
    let depth = 0
    while (place < tokens.length && !(depth === 0 && isLast(peek(), 0))) {
      depth = depthAfter(depth, peek())
      if (depth < 0) break
      place++
    }
    return tokens.slice(from, place)
  }
  return {
    file,
    peek,
    next,
    isAt,
    expect,
    until,
    fail,
    within: (part, behind) => createReader(file, part, behind),
    take: (...texts) => isAt(...texts) && ((place += texts.length), true),
    name: what => (isName(peek()) ? next() : fail(what)),
    inside(what = '(') {
      const opening = expect('(', what)
      const own = until(token => isToken(token, ')'))
      if (!isAt(')')) throw sqlError(file, opening.from, 'this bracket is not closed; expected ) behind it.')
      return { tokens: own, end: next() }
    },
  }
}

/** A token as a message shows it. */
export function shown({ is, text }: Token): string {
  if (is === 'end') return text === '' ? 'the end' : text
  return is === 'text' ? 'a text in quotes' : text.length > 60 ? `${text.slice(0, 60)}...` : text
}
