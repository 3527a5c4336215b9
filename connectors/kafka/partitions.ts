import type { Announced } from '../../src/core/object-version.ts'

/** A message that was read. */
export interface Entry {
  readonly id: string
  readonly partition: number
  readonly offset: number
  readonly timestampMs: number
  readonly objects: readonly Announced[]
  isSettled: boolean
}

export interface Partition {
  /** What is fetched next. */
  next: number
  /** In the log's order. */
  entries: Entry[]
  /** Index of the oldest entry that is not settled: what lies before it is done for good. */
  head: number
}

export type Partitions = ReadonlyMap<number, Partition>

export const partitionFrom = (offset: number): Partition => ({ next: offset, entries: [], head: 0 })

/** Keeps what was read. Settled ones matter only where something before them is not. */
export function enter(partition: Partition, entry: Entry): void {
  if (!entry.isSettled || partition.head < partition.entries.length) partition.entries.push(entry)
}

/** Moves on past what is settled. */
export function passSettled(partition: Partition): void {
  while (partition.entries[partition.head]?.isSettled) partition.head++
  // Half of it is done: the rest moves, so each entry moves once on average.
  if (partition.head * 2 >= partition.entries.length) {
    partition.entries = partition.entries.slice(partition.head)
    partition.head = 0
  }
}

/** Messages read past the oldest that is not settled, of all partitions. */
export function outstandingIn(partitions: Partitions): number {
  let sum = 0
  for (const { entries, head } of partitions.values()) sum += entries.length - head
  return sum
}

/** Where reading goes on, of each partition: the offset before which all is settled, if these were. */
export function positionsIn(
  partitions: Partitions,
  committed: ReadonlySet<string> = new Set(),
): ReadonlyMap<number, number> {
  return new Map([...partitions].map(([partition, state]) => [partition, positionOf(state, committed)]))
}

function positionOf({ entries, head, next }: Partition, committed: ReadonlySet<string>): number {
  for (let n = head; n < entries.length; n++) {
    const { id, offset, isSettled } = entries[n] as Entry
    if (!isSettled && !committed.has(id)) return offset
  }
  return next
}

/** When the oldest message that is not settled was written, of each partition that has one. */
export function waitingSinceMs(partitions: Partitions): readonly number[] {
  return [...partitions.values()].flatMap(({ entries, head }) => entries[head]?.timestampMs ?? [])
}
