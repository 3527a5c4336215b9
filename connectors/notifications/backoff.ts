/** How long to wait after the n-th failure in a row (from 0): doubling from 200 ms to 5 s, half of it by chance. */
export function backoffMs(failures: number, random: () => number): number {
  return Math.min(5_000, 200 * 2 ** Math.min(failures, 10)) * (0.5 + random() / 2)
}
