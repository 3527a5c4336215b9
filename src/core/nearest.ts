/** The candidate most like `wanted`, for "did you mean"; undefined when none is near (more than a third differs). */
export function nearestName(wanted: string, candidates: Iterable<string>): string | undefined {
  let best: string | undefined
  let bestDistance = Math.max(1, Math.floor(wanted.length / 3)) + 1
  for (const candidate of candidates) {
    const distance = editDistance(wanted.toLowerCase(), candidate.toLowerCase())
    if (distance < bestDistance) {
      best = candidate
      bestDistance = distance
    }
  }
  return best
}

/** ` (did you mean 'trips'?)` behind what was expected; '' where no candidate is near. */
export function didYouMean(wanted: string, candidates: Iterable<string>): string {
  const near = nearestName(wanted, candidates)
  return near === undefined ? '' : ` (did you mean '${near}'?)`
}

/**
 * Insertions, deletions and replacements of one UTF-16 unit, and swaps of two beside each other: optimal string
 * alignment, after Damerau (1964).
 */
function editDistance(a: string, b: string): number {
  let before: readonly number[] = []
  let previous = Array.from({ length: b.length + 1 }, (_, j) => j)
  for (let i = 1; i <= a.length; i++) {
    const current = [i]
    for (let j = 1; j <= b.length; j++) {
      const replaced = (previous[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1)
      const isSwap = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]
      const swapped = isSwap ? (before[j - 2] ?? 0) + 1 : Number.POSITIVE_INFINITY
      current.push(Math.min(replaced, swapped, (previous[j] ?? 0) + 1, (current[j - 1] ?? 0) + 1))
    }
    before = previous
    previous = current
  }
  return previous[b.length] ?? a.length
}
