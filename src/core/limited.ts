/** Runs work of at most `max` weight at once, in the order of asking. */
export function limited(max: number): <T>(weight: number, work: () => Promise<T>) => Promise<T> {
  let active = 0
  const waiting: { readonly weight: number; begin(): void }[] = []
  const fill = () => {
    for (let next = waiting[0]; next && active + next.weight <= max; next = waiting[0]) {
      waiting.shift()
      active += next.weight
      next.begin()
    }
  }
  return async (weight, work) => {
    const begun = new Promise<void>(begin => waiting.push({ weight, begin }))
    fill()
    await begun
    try {
      return await work()
    } finally {
      active -= weight
      fill()
    }
  }
}
