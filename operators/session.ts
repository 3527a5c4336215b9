import { canonicalDuration, type Duration, durationInWords, durationUs } from '../src/core/duration.ts'
import { duration } from '../src/core/option-kinds.ts'
import { type OptionTable, readCall } from '../src/core/options.ts'
import {
  type ColumnsOf,
  type OfTimedRows,
  type Operator,
  step,
  type TimeOf,
  type Windowed,
} from '../src/plan/batches.ts'
import { inputColumn } from '../src/plan/relation.ts'
import type { WindowStep } from '../src/plan/step.ts'
import { whereCloses, type WindowAssigner } from '../src/plan/window.ts'

interface SessionOptions {
  readonly [key: string]: string
  readonly gap: string
}

/** A time and twice the gap must fit into 64 bits: event times reach 2^62 microseconds. */
const gapUsMax = 2n ** 60n

export const sessionStep: WindowStep<SessionOptions> = {
  is: 'window',
  op: 'session',
  tells: ({ gap }) => [`a gap of ${durationInWords(gap)}`],
  columns: input => input,
  canonical: ({ gap }) => ({ gap: canonicalDuration(gap, 'session') }),
  assigner: ({ gap }) => sessionWindows(durationUs(gap, 'session'), gap),
}

/**
 *     rows    x x  x      x x          rows of a group exactly a gap apart are of two sessions
 *     ...|-----|...gap|--|...gap|      a window is [first, last + gap), final when the watermark is at last + 2 gaps
 *
 * A partial row is a piece of a session: `_first` and `_last`, the times of its first and last row. Pieces less than a
 * gap apart are one session (S10). A row is late when its time and the gap end at or below the watermark before its
 * object; so once the watermark is two gaps behind a session's last row, no row that is still accepted can touch it.
 */
export function sessionWindows(gapUs: bigint, gap = `${gapUs} microseconds`): WindowAssigner {
  const finalAt = `(_last + ${2n * gapUs})`
  return {
    windowColumns: ['_window_start', '_window_end'],
    startOf: end => `(${end} - ${gapUs})`,
    stepUs: gapUs,
    paneColumns: ['_first', '_last'],
    // Of pieces that are merged.
    isOneWindow: true,
    holdUs: gapUs,
    touchUs: gapUs,
    lateReason: `too late for session: the time of the row and ${gap} end at or below the watermark before the object`,
    panes: () => [inputColumn('_first'), inputColumn('_last')],
    accepts: (time, watermark) => `(${watermark} IS NULL OR ${time} + ${gapUs} > ${watermark})`,
    lateEnds: (time, watermark) =>
      `CASE WHEN ${time} + ${gapUs} <= ${watermark} THEN [${time} + ${gapUs}] ELSE []::BIGINT[] END`,
    firstEnd: timeUs => timeUs + gapUs,
    together(rows, keys) {
      const by = (...more: readonly string[]) => {
        const columns = [...keys, ...more]
        return columns.length === 0 ? '' : `PARTITION BY ${columns.join(', ')} `
      }
      const reached = `max(_last) OVER (${by()}ORDER BY _first ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)`
      const begun = `SELECT *, CASE WHEN _first < ${reached} + ${gapUs} THEN 0 ELSE 1 END AS _begins FROM (${rows})`
      // The sum reaches over all rows of one time: in whatever order those came above, they get the same number.
      const numbered = `SELECT *, sum(_begins) OVER (${by()}ORDER BY _first) AS _island FROM (${begun})`
      const own = by('_island')
      return (
        'SELECT * EXCLUDE (_begins, _island) ' +
        `REPLACE (min(_first) OVER (${own}) AS _first, max(_last) OVER (${own}) AS _last) FROM (${numbered})`
      )
    },
    windowsOf: (partials, fromUs, toUs) =>
      `SELECT *, _first AS _window_start, _last + ${gapUs} AS _window_end ` +
      `FROM (${partials})${whereCloses(finalAt, fromUs, toUs)}`,
    closesAt: finalAt,
    emitsFrom: finalAt,
    flushAt: highMarkUs => `CASE WHEN _first <= ${highMarkUs} THEN ${finalAt} END`,
  }
}

const sessionOptions = {
  gap: {
    kind: duration('a duration above zero and below 36,000 years', us => us > 0n && us <= gapUsMax),
    isRequired: true,
    isPositional: true,
    about: 'Rows of a group are of one session while less than this lies between one and the next.',
  },
} satisfies OptionTable<{ readonly gap: Duration }>

/**
 * Assigns rows to sessions: rows of a group of which each comes less than the gap after the one before it, by event
 * time. Its window is [time of the first row, time of the last row + gap).
 *
 *     rides.pipe(session('30 minutes'), groupBy('rider'), aggregate({ rides: count(), km: sum('km') }))
 *
 * A session is given once the watermark is two gaps behind its last row, when nothing that is still on time can touch
 * it. A row is late when its time and the gap end at or below the watermark before its object.
 *
 * @param gap A duration such as '30 minutes'; whole days when the event time is a DATE.
 */
export function session<I>(gap: OfTimedRows<I, Duration>): Operator<I, Windowed<ColumnsOf<I>, TimeOf<I>>>
export function session<I>(gap: unknown, options?: unknown): Operator<I, Windowed<ColumnsOf<I>, TimeOf<I>>> {
  return step(sessionStep, readCall('session', sessionOptions, [gap], options))
}
