/** Places that cost less than the count of a group's rows would. */
const placesUncounted = 16

/** Whether a heap of so many places is worth asking how many values there are. */
export function isLargeHeap(places: number): boolean {
  return places > placesUncounted
}

/**
 * The first `places` values in order, as a list. DuckDB takes memory for all places of each group at its first row, so
 * that many groups of few rows would cost by `places` and not by what they hold.
 *
 * @param count SQL, the same for each row of the group: how many values it has at most
 */
export function heapOf(extreme: 'min' | 'max', value: string, places: number, count: string): string {
  return `${extreme}(${value}, ${isLargeHeap(places) ? `least(${places}, ${count})` : places})`
}
