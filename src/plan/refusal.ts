/** Nesting of one expression at most. DuckDB's own limit is 1,000, which what is built around it must keep too. */
export const expressionDepthMax = 250

/** What has a guard around it is written several times, and what is nested in it that often again. */
export const guardDepth = 50

export const tooDeep =
  `it is nested more than ${expressionDepthMax} deep, where a cast to TIMESTAMPTZ counts as ${guardDepth}; ` +
  'split it over several derived columns.'

/** Why an expression is refused, as whole sentences; the gate adds where. */
export class Refusal extends Error {
  /** The character of the user's text, counted from 0, that is refused; undefined where it is all of it. */
  position: number | undefined
}

const excerptMax = 200

/** The user's text, and where in it the mistake is: characters and lines are counted from 1. */
export function placeIn(sql: unknown, position: number | undefined): string {
  const characters = [...String(sql)]
  if (position === undefined) return `In: ${excerpt(characters, 0)}`
  const lines = characters.slice(0, position).join('').split('\n')
  const column = [...(lines.at(-1) ?? '')].length + 1
  const line = characters.includes('\n') ? `line ${lines.length}, ` : ''
  return `At ${line}character ${column} of: ${excerpt(characters, Math.max(0, position - excerptMax / 2))}`
}

function excerpt(characters: readonly string[], from: number): string {
  if (characters.length <= excerptMax) return characters.join('')
  const shown = characters.slice(from, from + excerptMax).join('')
  return `${from > 0 ? '...' : ''}${shown}${from + excerptMax < characters.length ? '...' : ''}`
}
