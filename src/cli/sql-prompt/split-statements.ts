import { isToken, type Token, tokensOf } from '../../sql/tokens.ts'

/** The statements of a text that have ended, and what stands behind the last semicolon. */
export interface Statements {
  readonly whole: readonly string[]
  readonly rest: string
}

/** Cuts at semicolons, but for those in quotes and comments. */
export function splitStatements(text: string): Statements {
  const tokens = readable(text)
  // Quotes or a comment that are open end in a line that comes later.
  if (!tokens) return { whole: [], rest: text }
  const ends = tokens.filter(token => isToken(token, ';'))
  const whole = ends.map(({ from }, index) => text.slice(ends[index - 1]?.to ?? 0, from).trim())
  const behind = ends.at(-1)?.to ?? 0
  // Comments alone are no statement.
  const isOver = !tokens.some(({ is, from }) => is !== 'end' && from >= behind)
  return { whole: whole.filter(statement => statement !== ''), rest: isOver ? '' : text.slice(behind).trimStart() }
}

function readable(text: string): readonly Token[] | undefined {
  try {
    return tokensOf({ file: 'prompt', text })
  } catch {
    return undefined
  }
}
