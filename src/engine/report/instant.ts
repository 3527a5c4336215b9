/** Microseconds as ISO 8601, UTC, as short as it can be said: '2024-03-01T10:00Z', '2024-03-01T10:00:07.25Z'. */
export function instant(us: bigint): string {
  const fraction = ((us % 1_000_000n) + 1_000_000n) % 1_000_000n
  const ms = Number((us - fraction) / 1_000n)
  if (Math.abs(ms) > 8.64e15) return `${us} microseconds since 1970`
  const seconds = new Date(ms).toISOString().slice(0, -5)
  if (fraction > 0n) return `${seconds}.${String(fraction).padStart(6, '0').replace(/0+$/, '')}Z`
  return `${seconds.replace(/:00$/, '')}Z`
}
