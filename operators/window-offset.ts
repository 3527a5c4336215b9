import { canonicalDuration, type Duration, durationInWords, durationUs } from '../src/core/duration.ts'
import { duration } from '../src/core/option-kinds.ts'

/** Where windows of fixed length begin. */
export interface WindowOptions {
  /**
   * Windows begin so long after the multiples of their distance since the Unix epoch (UTC): `'5 hours'` makes days of
   * `tumbling('1 day')` begin at 5:00. Default: at the multiples.
   */
  readonly offset?: Duration
}

/** The described option. */
export const offsetOption = {
  kind: duration(),
  otherwise: 'windows begin at multiples of their distance since the Unix epoch',
  about: 'How long after the multiples of their distance since the Unix epoch (UTC) windows begin.',
} as const

/** An offset of a whole distance, or of none, moves nothing. */
export function offsetUs(offset: string | undefined, everyUs: bigint, field: string): bigint {
  return offset === undefined ? 0n : durationUs(offset, `${field} offset`) % everyUs
}

/** As plans are compared by. */
export function canonicalOffset(offset: string | undefined, everyUs: bigint, field: string): { offset?: string } {
  const us = offsetUs(offset, everyUs, field)
  return us === 0n ? {} : { offset: canonicalDuration(`${us / 1000n}ms`, field) }
}

/** As a person reads it behind the windows' length. */
export function offsetTold(offset: string | undefined): string {
  return offset === undefined ? '' : `, ${durationInWords(offset)} after the multiples`
}

/** What every border of windows is a multiple of. */
export function gcd(a: bigint, b: bigint): bigint {
  return b === 0n ? a : gcd(b, a % b)
}
