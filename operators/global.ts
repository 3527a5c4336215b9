import { configError } from '../src/core/errors.ts'
import { type OptionTable, readCall } from '../src/core/options.ts'
import { only } from '../src/core/option-kinds.ts'
import {
  type ColumnsOf,
  type NoWindow,
  type OfTimedRows,
  type Operator,
  step,
  type Windowed,
} from '../src/plan/batches.ts'
import type { WindowStep } from '../src/plan/step.ts'
import { fixedBorders, whereCloses, type WindowAssigner } from '../src/plan/window.ts'

/** What a global window asks for. */
export interface GlobalOptions {
  /** That the state has a row for every group that ever was, for good. */
  readonly unbounded: true
}

type PlainOptions = { readonly unbounded: true }

export const globalStep: WindowStep<PlainOptions> = {
  is: 'window',
  op: 'global',
  tells: () => ['all rows, given when the checkpoint is sealed'],
  isEndless: true,
  columns: input => input,
  assigner: () => globalWindow,
}

/** No event time is later. The flush that seals a checkpoint closes what begins up to here (S6). */
const lastUs = 2n ** 62n
/** So no watermark of rows reaches it. A day later, so that a double has it too. */
const neverUs = lastUs + 86_400_000_000n

/**
 *     ...------------------------------------------->   one window for all rows, which only the end of all closes
 *
 * A partial row is a group. It never dies, but for that flush.
 */
const globalWindow: WindowAssigner = {
  ...fixedBorders,
  startOf: () => `CAST(${-lastUs} AS BIGINT)`,
  stepUs: 86_400_000_000n,
  isEndless: true,
  // Something to group by where there are no keys.
  paneColumns: ['_all'],
  isOneWindow: true,
  panes: () => ['CAST(0 AS BIGINT)'],
  accepts: (_, watermark) => `(${watermark} IS NULL OR ${watermark} < ${neverUs})`,
  lateEnds: (_, watermark) =>
    `CASE WHEN ${watermark} >= ${neverUs} THEN [CAST(${neverUs} AS BIGINT)] ELSE []::BIGINT[] END`,
  firstEnd: () => neverUs,
  windowsOf: (partials, fromUs, toUs) =>
    `SELECT *, CAST(${neverUs} AS BIGINT) AS _window_end ` +
    `FROM (${partials})${whereCloses(String(neverUs), fromUs, toUs)}`,
  closesAt: `CAST(${neverUs} AS BIGINT)`,
  emitsFrom: `CAST(${neverUs} AS BIGINT)`,
  flushAt: limitUs => `CASE WHEN ${limitUs} >= ${lastUs} THEN CAST(${neverUs} AS BIGINT) END`,
}

const instead = (gap: unknown) => `session('${typeof gap === 'string' ? gap : '30 days'}')`

const globalOptions = {
  unbounded: {
    kind: only(true),
    isRequired: true,
    about: 'That the state has a row for every group that ever was, for good.',
  },
} satisfies OptionTable<GlobalOptions>

/**
 * One window for all rows, whenever they are of: totals over everything. They are given once, when `backfill --final`
 * ends the stream. No row is ever late.
 *
 *     trips.pipe(global({ unbounded: true }), groupBy('PULocationID'), aggregate({ trips: count() }))
 *
 * Results have the keys and the aggregates, and no `window_start` or `window_end`. No window and no `dedupe` can follow
 * them, as they have no time. For results that come when a group has been silent for a while see `session`.
 *
 * @param options `{ unbounded: true }`, which says that you know what the state costs.
 */
export function global<I>(options: OfTimedRows<I, GlobalOptions>): Operator<I, Windowed<ColumnsOf<I>, NoWindow>>
export function global<I>(options: unknown): Operator<I, Windowed<ColumnsOf<I>, NoWindow>> {
  const { expireAfter } = (options ?? {}) as { readonly expireAfter?: unknown }
  // A group that expires is a session, whose rules of late rows it needs. See docs/decisions/0045.
  if (expireAfter !== undefined)
    throw configError(
      'global: expireAfter',
      expireAfter,
      `none; write ${instead(expireAfter)}, which forgets a silent group`,
    )
  return step(globalStep, readCall('global', globalOptions, [], options) as PlainOptions)
}
