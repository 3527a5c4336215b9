import { map, type Observable } from 'rxjs'
import { callSite } from '../src/core/call-site.ts'
import { withCallSite } from '../src/core/errors.ts'
import type { Base, NotNull, Show } from '../src/core/types.ts'
import { lateColumns, lateStep } from '../src/plan/aside.ts'
import type { MiniBatch, NoTime, NoWindow, TookRows, TookSides } from '../src/plan/batches.ts'
import { checkFlow } from '../src/plan/meeting.ts'
import { plannedBatch } from '../src/plan/mini-batch.ts'
import { Stream } from '../src/plan/stream.ts'

/** Of dates the watermark may lie within a day. */
type WatermarkType<T> = Base<T> extends 'DATE' ? 'TIMESTAMP NOT NULL' : T

/** What late rows have behind their own columns. `T` is the type of the event time. */
type Added<T, W> = ([W] extends ['windows'] ? { late_window_start: Base<T>; late_window_end: Base<T> } : unknown) & {
  late_watermark: NotNull<WatermarkType<T>>
  late_object: 'VARCHAR'
  late_row: 'BIGINT'
}

/** The columns of late rows, by what the step took. */
type LateColumns<T, L, S> =
  L extends TookRows<infer C, infer W>
    ? Show<C & Added<T, W>>
    : L extends TookSides<infer A, infer B, infer W>
      ? Show<(S extends 'left' ? A : B) & Added<T, W>>
      : never

/** Nothing, or why no row is late for this. */
type MayBeLate<T, L> = unknown extends L
  ? 'rows are late for a step that keeps state: give late() the flow right behind it'
  : [T] extends [NoWindow]
    ? 'no row is late for global(...), which closes at the end'
    : unknown

type SideOf<L> = L extends TookSides<unknown, unknown, 'rows' | 'windows'> ? readonly ['left' | 'right'] : readonly []

/**
 * The rows that came too late for a step, as a flow of their own: to any sink, beside what the step gives.
 *
 *     const hourly = trips.pipe(tumbling('1 hour'), groupBy('zone'), aggregate({ n: count() }))
 *     pipeline('hourly', { checkpoint },
 *       hourly.pipe(to(files('hours', { format: 'parquet' }))),
 *       late(hourly).pipe(to(files('late', { format: 'parquet' }))),
 *     )
 *
 * A row has the columns that the step saw, and behind them `late_window_start` and `late_window_end` where the step has
 * windows (a row is there once for each that had closed), `late_watermark`, the watermark that it came behind, and
 * `late_object` and `late_row`, the key of its object and its number there from 0; both are NULL where the row was
 * given by another step. Of a join say which side: `late(joined, 'left')`.
 *
 * Such rows have no event time. What keeps no state may follow; windows, `dedupe`, `deltas` and `join` may not.
 *
 * @param flow As it comes out of the step that keeps state.
 * @param side Of a join: the side whose late rows are given.
 * @throws MillraceError `user` for a flow that ends with another step, a side that the step does not have, and a row
 * that has one of these columns already.
 */
export function late<C, T, L, const S extends SideOf<L>>(
  flow: Observable<MiniBatch<C, T, L>> & MayBeLate<T, L>,
  ...side: S
): Stream<MiniBatch<LateColumns<T, L, S[0]>, NoTime>> {
  const [given] = side as readonly [string?]
  const at = callSite()
  checkFlow('late', flow, 'a flow that ends with a step that keeps state')
  const options = given === undefined ? {} : { side: given }
  const rows = (flow as Observable<unknown>).pipe(
    map(value => {
      try {
        const batch = plannedBatch(value, 'late')
        return batch.aside(lateStep, options, lateColumns(batch.node, options), at)
      } catch (error) {
        throw withCallSite(error, at)
      }
    }),
  )
  return new Stream(subscriber => rows.subscribe(subscriber as never))
}
