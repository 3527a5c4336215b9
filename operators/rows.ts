import { Observable } from 'rxjs'
import { callSite } from '../src/core/call-site.ts'
import { withCallSite } from '../src/core/errors.ts'
import type { Row } from '../src/core/types.ts'
import type { MiniBatch, Operator } from '../src/plan/batches.ts'
import { plannedBatch } from '../src/plan/mini-batch.ts'

const rowsStep = { op: 'rows' }

/**
 * Ends the described part of a flow: emits its rows as JavaScript objects, after their epoch is committed. Any RxJS
 * operator may follow. Delivery is at least once in the life of a process and not repeated after a restart of one
 * that had already committed the epoch, so use `to(...)` for output that must be exactly once.
 *
 *     pipeline('alerts', { checkpoint }, trips.pipe(tumbling('1 hour'), ..., rows(), tap((row) => console.log(row))))
 *
 * BIGINT arrives as bigint, DECIMAL as text, TIMESTAMP and TIMESTAMPTZ as Date (milliseconds), DATE as text.
 */
export function rows<C, T>(): Operator<MiniBatch<C, T>, Row<C>> {
  const at = callSite()
  const run = (source: Observable<MiniBatch<C, T>>) =>
    new Observable<Row<C>>(subscriber =>
      source.subscribe({
        next(value) {
          // What an observer throws RxJS reports to nobody; as an error of the flow it ends the run.
          try {
            const batch = plannedBatch(value, rowsStep.op)
            batch.end({
              is: 'rows',
              node: batch.node,
              deliver: delivered => {
                for (const row of delivered) subscriber.next(row as Row<C>)
              },
            })
          } catch (error) {
            subscriber.error(withCallSite(error, at))
          }
        },
        error: error => subscriber.error(error),
        complete: () => subscriber.complete(),
      }),
    )
  return Object.assign(run, { step: rowsStep, options: {} })
}
