import type { Extent } from './log.ts'

/** What is known when a topic tells its partitions. */
export interface MeetingFacts {
  readonly extents: ReadonlyMap<number, Extent | undefined>
  /** Positions that the checkpoint has of the topic. */
  readonly given: ReadonlyMap<number, number> | undefined
  /** Partitions that are read already. */
  readonly known: ReadonlySet<number>
  /** The topic has told them before. */
  readonly isDescribed: boolean
  readonly untilIdle: boolean
  readonly from: 'earliest' | 'latest'
}

/** A partition that is read from now on. */
export interface Met {
  readonly partition: number
  readonly begin: number
  /** Of a run that ends when it is idle: nothing is read beyond it. */
  readonly end: number | undefined
  /** It was not there before. */
  readonly isNew: boolean
}

/**
 * Partitions that were not there are read from their beginning; at the very first start from where `from` says.
 *
 * @returns 'unknown' where all of it must be settled now, and some partition does not tell where it begins and ends
 */
export function decideMeeting(facts: MeetingFacts): readonly Met[] | 'unknown' {
  const { extents, given, known, isDescribed, untilIdle, from } = facts
  // What was there when it was first seen is all that an idle run reads.
  if (untilIdle && isDescribed) return []
  const isFirstStart = given === undefined && !isDescribed
  // Where all of it begins, or ends, is settled once.
  if ((isFirstStart || untilIdle) && [...extents.values()].includes(undefined)) return 'unknown'
  const met: Met[] = []
  for (const [partition, extent] of extents) {
    if (known.has(partition)) continue
    const position = given?.get(partition)
    const begin = position ?? (isFirstStart && from === 'latest' ? extent?.next : extent?.earliest)
    // A new one, met when its leader is there.
    if (begin === undefined) continue
    const isNew = isDescribed || (given !== undefined && position === undefined)
    met.push({ partition, begin, end: untilIdle ? extent?.next : undefined, isNew })
  }
  return met
}
