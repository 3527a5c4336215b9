/** Microseconds as ISO 8601, UTC; beyond what Date can hold as microseconds. */
export function iso(us: bigint): string {
  const ms = Number(us / 1000n)
  return Math.abs(ms) <= 8.64e15 ? new Date(ms).toISOString() : `${us} microseconds since 1970`
}
