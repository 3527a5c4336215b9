/** How the pauses grow between calls that fail. */
export interface Backoff {
  /** The pause after the first failure. It doubles with each further one. */
  readonly firstMs: number
  readonly mostMs: number
  /** The share of a pause that chance decides, so that callers do not come back together: from 0, the default, to 1. */
  readonly byChance?: number
}

/**
 * How long to wait after the n-th failure in a row, from 0. Where chance decides all of it, that is the full jitter of
 * M. Brooker, "Exponential Backoff And Jitter" (AWS, 2015).
 *
 * @param random numbers in [0, 1)
 */
export function backoffMs(
  { firstMs, mostMs, byChance = 0 }: Backoff,
  failures: number,
  random: () => number = () => 0,
): number {
  const pauseMs = Math.min(firstMs * 2 ** failures, mostMs)
  return byChance === 0 ? pauseMs : pauseMs * (1 - byChance + byChance * random())
}
