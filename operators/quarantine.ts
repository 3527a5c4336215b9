import { map, type Observable } from 'rxjs'
import { callSite } from '../src/core/call-site.ts'
import { MillraceError, withCallSite } from '../src/core/errors.ts'
import { quarantineColumns, quarantineStep } from '../src/plan/aside.ts'
import type { MiniBatch, NoTime } from '../src/plan/batches.ts'
import { checkFlow } from '../src/plan/meeting.ts'
import { plannedBatch } from '../src/plan/mini-batch.ts'
import { Stream } from '../src/plan/stream.ts'

/** The columns of `quarantine(source)`. */
export type QuarantineColumns = typeof quarantineColumns

/**
 * What a source has set aside, as a flow of its own: to any sink, beside what is read.
 *
 *     pipeline('trips', { checkpoint },
 *       trips.pipe(to(files('trips', { format: 'parquet' }))),
 *       quarantine(trips).pipe(to(files('bad', { format: 'json' }))),
 *     )
 *
 * A row for each value that did not fit: `source`, `seq` (the number of its object in the ledger), `object` (its key),
 * `e_tag`, `row_number` (from 0), `column_name` (NULL where the row as a whole is broken), `expected` and `found` (the
 * first 1,000 letters of what is there). An object that was set aside as a whole gives one row, with `reason` and
 * without the last four. With `onBadRow: 'fail'`, which is the default, a run ends at the first
 * bad row instead.
 *
 * Such rows have no event time. What keeps no state may follow; windows, `dedupe`, `deltas` and `join` may not.
 *
 * @param source The source itself, before any step.
 * @throws MillraceError `user` for a flow that goes on from a source.
 */
export function quarantine<C, T>(source: Observable<MiniBatch<C, T>>): Stream<MiniBatch<QuarantineColumns, NoTime>> {
  const at = callSite()
  checkFlow('quarantine', source, 'a source')
  const rows = (source as Observable<unknown>).pipe(
    map(value => {
      try {
        const batch = plannedBatch(value, 'quarantine')
        const { op, step } = batch.node
        if (step.is !== 'source')
          throw new MillraceError(
            'user',
            'plan',
            `quarantine: a source sets rows aside, before any step, and the flow ends with ${op} here; ` +
              'give it the source itself: const trips = source(...), and quarantine(trips).',
          )
        return batch.aside(quarantineStep, {}, quarantineColumns, at)
      } catch (error) {
        throw withCallSite(error, at)
      }
    }),
  )
  return new Stream(subscriber => rows.subscribe(subscriber as never))
}
