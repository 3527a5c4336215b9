import { parseSignedUs } from '../../core/duration.ts'
import { readInterval } from '../interval.ts'
import { createReader } from '../reader.ts'
import { type SqlFile, sqlError } from '../sql-error.ts'
import { isToken, type Token } from '../tokens.ts'

/** From where to where the time of the right side's row may lie after that of the left side's. */
export interface JoinBounds {
  readonly lo: string | undefined
  readonly hi: string | undefined
}

type Side = 'left' | 'right'

/** The time of one side, moved by a length: `a.at - INTERVAL '10 minutes'`. */
interface Moved {
  readonly side: Side
  readonly by: string
}

/**
 * Reads `b.at BETWEEN a.at - INTERVAL '1 hour' AND a.at`, `b.at >= a.at`, `b.at <= a.at + INTERVAL '2 hours'`, and the
 * same with the sides the other way round; undefined for what is about no times.
 *
 * @param sideOf whose time tokens are
 */
export function readBound(
  file: SqlFile,
  tokens: readonly Token[],
  sideOf: (part: readonly Token[]) => Side | undefined,
): JoinBounds | undefined {
  const between = tokens.findIndex(token => isToken(token, 'BETWEEN'))
  if (between >= 0) {
    const and = tokens.findIndex((token, index) => index > between && isToken(token, 'AND'))
    const time = movedOf(file, tokens.slice(0, between), sideOf)
    const [from, to] = [tokens.slice(between + 1, and), tokens.slice(and + 1)].map(part => movedOf(file, part, sideOf))
    if (!time || !from || !to) return undefined
    return both(boundOf(file, tokens, time, '>=', from), boundOf(file, tokens, time, '<=', to))
  }
  const at = tokens.findIndex(token => ['<=', '>=', '<', '>', '='].some(sign => isToken(token, sign)))
  if (at < 0) return undefined
  const [one, two] = [tokens.slice(0, at), tokens.slice(at + 1)].map(part => movedOf(file, part, sideOf))
  if (!one || !two) return undefined
  const sign = tokens[at]?.text ?? ''
  if (sign === '=') return both(boundOf(file, tokens, one, '>=', two), boundOf(file, tokens, one, '<=', two))
  if (sign === '<' || sign === '>')
    throw sqlError(file, tokens[at]?.from ?? 0, `times are joined with both ends of the bounds; expected ${sign}=.`)
  return boundOf(file, tokens, one, sign as '<=' | '>=', two)
}

function both(one: JoinBounds, two: JoinBounds): JoinBounds {
  return { lo: one.lo ?? two.lo, hi: one.hi ?? two.hi }
}

/** `one + x >= two + y` as a bound of right - left. */
function boundOf(file: SqlFile, tokens: readonly Token[], one: Moved, sign: '<=' | '>=', two: Moved): JoinBounds {
  if (one.side === two.side)
    throw sqlError(file, tokens[0]?.from ?? 0, 'this compares a time with itself; expected the times of both sides.')
  // right - left >= d, or <= d: by how much the left side is moved, less that of the right side.
  const [left, right] = one.side === 'left' ? [one, two] : [two, one]
  const distance = difference(left.by, right.by)
  const isLow = (one.side === 'right') === (sign === '>=')
  return isLow ? { lo: distance, hi: undefined } : { lo: undefined, hi: distance }
}

/** Two lengths, one less the other, as durations are written. */
function difference(a: string, b: string): string {
  const [one, two] = [a, b].map(text => (parseSignedUs(text) ?? 0n) / 1_000n) as [bigint, bigint]
  if (two === 0n) return a
  if (one === 0n) return two === 0n ? b : b.startsWith('-') ? b.slice(1) : `-${b}`
  return `${one - two} milliseconds`
}

function movedOf(
  file: SqlFile,
  given: readonly Token[],
  sideOf: (part: readonly Token[]) => Side | undefined,
): Moved | undefined {
  const tokens = isToken(given[0], '(') && isToken(given.at(-1), ')') ? given.slice(1, -1) : given
  const at = tokens.findIndex(token => isToken(token, '+') || isToken(token, '-'))
  const side = sideOf(at < 0 ? tokens : tokens.slice(0, at))
  if (!side) return undefined
  if (at < 0) return { side, by: '0 seconds' }
  const last = tokens.at(-1) as Token
  const reader = createReader(file, tokens.slice(at + 1), { ...last, from: last.to })
  const length = readInterval(reader)
  if (reader.peek().is !== 'end') reader.fail('one interval')
  return { side, by: isToken(tokens[at], '-') ? `-${length}` : length }
}
