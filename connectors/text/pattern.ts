/** A pattern as RE2 writes it, and its groups in their order; null for one without a name. */
export interface Pattern {
  readonly pattern: string
  readonly groups: readonly (string | null)[]
}

/** One token: what is escaped, a class of characters, the beginning of a group, or a character. */
const token =
  /\\Q[^]*?(?:\\E|$)|\\[^]|\[\^?\]?(?:\\[^]|\[:\^?\w+:\]|[^\]\\])*\]?|\((?:\?(?:P?<(?![=!])([^>]*)>|<?[=!]|[^:)]*[:)]?))?|[^]/g

/**
 * Finds the groups of a regular expression, and writes names as RE2 in DuckDB reads them: `(?<name>` as `(?P<name>`.
 * What else is wrong with it DuckDB tells.
 *
 * @returns what it should have been, where RE2 never reads it or its names are no names of columns
 */
export function readPattern(pattern: string): Pattern | { readonly expected: string } {
  const groups: (string | null)[] = []
  let written = ''
  for (const { 0: part, 1: name } of pattern.matchAll(token)) {
    if (/^\\[1-9k]/.test(part)) return { expected: 'no reference back to a group: RE2 has none' }
    if (/^\(\?<?[=!]/.test(part)) return { expected: 'no look ahead or behind: RE2 has none' }
    if (name !== undefined) {
      if (!/^[A-Za-z_]\w*$/.test(name)) return { expected: `names of letters, digits and _; found '${name}'` }
      if (groups.some(other => other?.toLowerCase() === name.toLowerCase()))
        return { expected: `each name once; '${name}' is there again` }
      groups.push(name)
      written += `(?P<${name}>`
      continue
    }
    if (part === '(') groups.push(null)
    written += part
  }
  if (groups.every(name => name === null))
    return { expected: 'at least one group with a name, such as (?P<status>[0-9]+)' }
  return { pattern: written, groups }
}
