import { microsecondsOf, noTimeUs } from '../../plan/relation.ts'
import type { SourceSettings } from '../../plan/source-settings.ts'
import type { ReadColumn } from './read-column.ts'

/** Times beyond about 146,000 years from 1970 are no event times: window arithmetic would leave BIGINT. */
const timeLimitUs = 2n ** 62n

/** What is wrong with a row, in SQL over the rows as they are bound. */
export interface RowTests {
  /** It is no row at all, or a value of it does not fit. */
  readonly bad: string
  /** It has no event time where the source has one. */
  readonly timeless: string
  readonly isGood: string
  /** Both, whether something of it was rescued, and its time: `_bad`, `_timeless`, `_rescued` and `_t`. */
  readonly flags: string
}

/** SQL over flagged rows: `isGood` of the same row. */
export const isGoodFlagged = 'NOT _bad AND NOT _timeless'

export function rowTests(columns: readonly ReadColumn[], settings: SourceSettings): RowTests {
  const time = timeOf(columns, settings)
  const timeUs = time ? microsecondsOf(time.value, time.type.name) : noTimeUs
  const misfits = columns.flatMap(({ bad }) => (bad === null ? [] : [bad]))
  const bad = `(${['_broken', ...misfits].join(' OR ')})`
  const timeless = time ? `(${timeUs} IS NULL OR ${timeUs} NOT BETWEEN -${timeLimitUs} AND ${timeLimitUs})` : 'FALSE'
  const isRescued = settings.rescue === undefined ? 'FALSE' : `${columns.at(-1)?.value} IS NOT NULL`
  return {
    bad,
    timeless,
    isGood: `NOT ${bad} AND NOT ${timeless}`,
    flags: `${bad} AS _bad, ${timeless} AS _timeless, ${isRescued} AS _rescued, ${timeUs} AS _t`,
  }
}

/** The column of the event time, where the source has one. */
export function timeOf(columns: readonly ReadColumn[], settings: SourceSettings): ReadColumn | undefined {
  return columns.find(({ name }) => name === settings.time)
}
