/** Counters by name, for metrics: a name appears with its first count. */
export function createCounts(): {
  readonly counts: Readonly<Record<string, number>>
  count(name: string, by?: number): void
} {
  const counts: Record<string, number> = {}
  return {
    counts,
    count(name, by = 1) {
      if (by > 0) counts[name] = (counts[name] ?? 0) + by
    },
  }
}
