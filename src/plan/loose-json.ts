import { text } from './sql.ts'

// NaN, Infinity and inf in any case end, like a trailing comma, before what closes or goes on.
const suspects = [String.raw`,[ \t\r\n]*[}\]]`, String.raw`(?i)n(?:an|f(?:inity)?)[ \t\r\n]*(?:[,}\]]|$)`]
/** A comma before what closes, or letters that neither true, false, null nor an exponent has, outside of strings. */
const loose = String.raw`^(?:[^"]|"(?:[^"\\]|\\.)*")*?(?:,[ \t\r\n]*[}\]]|(?i:n(?:an|f)))`

/**
 * SQL predicate over text that DuckDB takes for JSON: whether it is none by RFC 8259. Its parser allows a comma after
 * the last element or member, NaN and the infinities, and nothing else. The first two patterns begin with fixed
 * characters, which makes them six times as fast as the exact one.
 */
export function isLooseJson(json: string): string {
  const [comma, word] = suspects.map(pattern => `regexp_matches(${json}, ${text(pattern)})`)
  return `CASE WHEN ${comma} OR ${word} THEN regexp_matches(${json}, ${text(loose)}, 's') ELSE FALSE END`
}
