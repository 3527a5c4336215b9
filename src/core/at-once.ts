/**
 * Does the work on each item, at most so many at once, and gives the results in their order. After an error nothing is
 * begun.
 */
export async function atOnce<T, R>(
  max: number,
  items: readonly T[],
  work: (item: T, index: number) => Promise<R>,
): Promise<readonly R[]> {
  const results: R[] = []
  let next = 0
  let failure: { readonly error: unknown } | undefined
  const one = async (): Promise<void> => {
    while (next < items.length && !failure) {
      const index = next++
      try {
        results[index] = await work(items[index] as T, index)
      } catch (error) {
        failure ??= { error }
      }
    }
  }
  await Promise.all(Array.from({ length: Math.min(max, items.length) }, one))
  if (failure) throw failure.error
  return results
}
