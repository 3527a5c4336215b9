import { floorTo, floorToUs, type WindowAssigner } from '../src/plan/window.ts'

/** Windows of which a row has several, whose ends lie a distance apart. */
export interface EndsApart {
  readonly everyUs: bigint
  /** Ends are the multiples of the distance and this. */
  readonly shiftUs: bigint
  /** SQL: the last end of a window that holds a time. */
  lastEnd(time: string): string
  /** SQL: the same of a partial row. */
  readonly lastEndOfPane: string
}

/** SQL: the first end of a window that is still open for a row when it comes, `_from_end` of its partial row (S9). */
export function firstOpenEnd({ everyUs, shiftUs }: EndsApart, time: string, watermark: string): string {
  return endAfter(everyUs, shiftUs, `CASE WHEN ${watermark} > ${time} THEN ${watermark} ELSE ${time} END`)
}

/** The smallest end above x. */
function endAfter(everyUs: bigint, shiftUs: bigint, x: string): string {
  return `(${floorTo(`(${x} - ${shiftUs})`, everyUs)} + ${shiftUs + everyUs})`
}

/** What such windows have in common. A partial row has `_from_end`, and counts in windows that end there or later. */
export function endsApart({ everyUs, shiftUs, lastEnd, lastEndOfPane }: EndsApart) {
  const after = (x: string) => endAfter(everyUs, shiftUs, x)
  return {
    isOneWindow: false,
    accepts: (time, watermark) => `(${watermark} IS NULL OR ${lastEnd(time)} > ${watermark})`,
    lateEnds: (time, watermark) =>
      `CASE WHEN ${after(time)} <= ${watermark} THEN range(${after(time)}, ` +
      `least(${watermark}, ${lastEnd(time)}) + 1, ${everyUs}) ELSE []::BIGINT[] END`,
    firstEnd: timeUs => floorToUs(timeUs - shiftUs, everyUs) + shiftUs + everyUs,
    windowsOf: (partials, fromUs, toUs) => {
      const first = fromUs === null ? '_from_end' : `greatest(_from_end, ${after(String(fromUs))})`
      const last = toUs === null ? lastEndOfPane : `least(${lastEndOfPane}, ${toUs})`
      return (
        `SELECT *, unnest(range(CAST(${first} AS BIGINT), CAST(${last} AS BIGINT) + 1, ${everyUs})) AS _window_end ` +
        `FROM (${partials})`
      )
    },
    closesAt: lastEndOfPane,
    emitsFrom: '_from_end',
  } satisfies Partial<WindowAssigner>
}
