import { type SqlFile, sqlError } from './sql-error.ts'

/** A word, name, literal or sign of a SQL text. Offsets count UTF-16 units. */
export interface Token {
  readonly is: 'word' | 'quoted' | 'text' | 'number' | 'sign' | 'end'
  /** As it is written. */
  readonly text: string
  /** Without its quotes. */
  readonly value: string
  readonly from: number
  readonly to: number
}

const blank = /(?:[\s\u200b\ufeff]+|--[^\n]*)/y
const dollar = /\$([A-Za-z_\u0080-\uffff][\w\u0080-\uffff]*)?\$/y
const word = /[A-Za-z_\u0080-\uffff][\w$\u0080-\uffff]*/y
const number = /(?:\d[\w]*(?:\.\d[\w]*|\.(?!\.))?|\.\d[\w]*)(?:(?<=[eE])[+-]\d+)?/y

/**
 * Takes a text apart. Comments leave nothing; what stands inside quotes is one token.
 *
 * @throws MillraceError `user` for quotes and comments that do not end
 */
export function tokensOf(file: SqlFile): readonly Token[] {
  const { text } = file
  const bad = text.search(/\0|\p{Surrogate}/u)
  if (bad >= 0) throw sqlError(file, bad, 'this is no text: a NUL character, or half of a surrogate pair.')
  const tokens: Token[] = []
  let at = 0
  const match = (pattern: RegExp) => {
    pattern.lastIndex = at
    return pattern.exec(text)
  }
  const push = (is: Token['is'], to: number, value = text.slice(at, to)) => {
    tokens.push({ is, text: text.slice(at, to), value, from: at, to })
    at = to
  }
  while (at < text.length) {
    const skipped = match(blank)
    const first = text[at] as string
    if (skipped) at += skipped[0].length
    else if (text.startsWith('/*', at)) at = endOfComment(file, at)
    else if (first === "'" || first === '"') {
      const to = endOfQuotes(file, at, first, false)
      push(first === "'" ? 'text' : 'quoted', to, text.slice(at + 1, to - 1).replaceAll(first + first, first))
    } else if (/^[eE]'/.test(text.slice(at, at + 2))) push('text', endOfQuotes(file, at + 1, "'", true), undefined)
    else {
      const tag = match(dollar)?.[0]
      if (tag !== undefined) {
        const end = text.indexOf(tag, at + tag.length)
        if (end < 0)
          throw sqlError(file, at, `the text that begins with ${tag} does not end; expected ${tag} at its end.`)
        push('text', end + tag.length, text.slice(at + tag.length, end))
      } else {
        const found = match(word)
        const digits = found ? null : match(number)
        push(found ? 'word' : digits ? 'number' : 'sign', at + (found ?? digits ?? [signAt(text, at)])[0].length)
      }
    }
  }
  tokens.push({ is: 'end', text: '', value: '', from: text.length, to: text.length })
  return tokens
}

/** One sign, but for those that mean something together. */
function signAt(text: string, at: number): string {
  return (
    /^(?:<=|>=|<>|!=|::|:=|=>|->>|->|\|\|)/.exec(text.slice(at, at + 3))?.[0] ??
    String.fromCodePoint(text.codePointAt(at) ?? 0)
  )
}

/** Comments may lie within comments. */
function endOfComment(file: SqlFile, from: number): number {
  let depth = 0
  for (let at = from; at < file.text.length - 1; at++) {
    const two = file.text.slice(at, at + 2)
    if (two !== '/*' && two !== '*/') continue
    depth += two === '/*' ? 1 : -1
    at++
    if (depth === 0) return at + 1
  }
  throw sqlError(file, from, 'the comment does not end; expected */ at its end.')
}

/** @param escapes whether a backslash takes away what the next sign means, as in E'it\'s' */
function endOfQuotes(file: SqlFile, from: number, quote: string, escapes: boolean): number {
  for (let at = from + 1; at < file.text.length; at++) {
    if (escapes && file.text[at] === '\\') at++
    else if (file.text[at] === quote && file.text[at + 1] === quote) at++
    else if (file.text[at] === quote) return at + 1
  }
  const what = quote === "'" ? 'text' : 'name'
  throw sqlError(file, from, `the ${what} does not end; expected ${quote} at its end.`)
}

/** Whether a token is this word or sign; words in any case. */
export function isToken(token: Token | undefined, text: string): boolean {
  return token !== undefined && (token.is === 'word' || token.is === 'sign') && token.text.toUpperCase() === text
}

/** Whether a token names something. */
export function isName(token: Token | undefined): token is Token {
  return token?.is === 'word' || token?.is === 'quoted'
}

const opening = '([{'
const closing = ')]}'

/** How deep in brackets it is behind this token, where it was so deep before. */
export function depthAfter(depth: number, { is, text }: Token): number {
  if (is !== 'sign') return depth
  return opening.includes(text) ? depth + 1 : closing.includes(text) ? depth - 1 : depth
}

/** Takes a list apart at the signs that stand in no brackets of their own. */
export function splitAt(sign: string, tokens: readonly Token[]): readonly (readonly Token[])[] {
  const parts: Token[][] = [[]]
  let depth = 0
  for (const token of tokens) {
    depth = depthAfter(depth, token)
    if (depth === 0 && isToken(token, sign)) parts.push([])
    else parts.at(-1)?.push(token)
  }
  return parts
}

/** The place of the bracket that closes the one at this place; behind the last token where none does. */
export function closingOf(tokens: readonly Token[], opening: number): number {
  let depth = 0
  for (let index = opening; index < tokens.length; index++) {
    depth = depthAfter(depth, tokens[index] as Token)
    if (depth === 0) return index
  }
  return tokens.length
}
