import { map, type Observable, zip } from 'rxjs'
import type { CallSite } from '../core/call-site.ts'
import { configError, MillraceError, withCallSite } from '../core/errors.ts'
import { type PlannedBatch, plannedBatch } from './mini-batch.ts'
import { describedPart } from './stream.ts'

/**
 * Flows that meet in one step: the mini-batches of one epoch, one of each flow, become one. They are paired, never
 * merged: an epoch has the rows of all of them at once.
 *
 * @param apply adds the step to the first batch
 */
export function meeting(
  op: string,
  flows: readonly Observable<unknown>[],
  apply: (first: PlannedBatch, others: readonly PlannedBatch[], at: CallSite | undefined) => PlannedBatch,
  at: CallSite | undefined,
): Observable<PlannedBatch> {
  return zip(flows).pipe(
    map(values => {
      try {
        const [first, ...others] = values.map(value => plannedBatch(value, op))
        return apply(checked(op, first as PlannedBatch, others), others, at)
      } catch (error) {
        throw withCallSite(error, at)
      }
    }),
  )
}

function checked(op: string, first: PlannedBatch, others: readonly PlannedBatch[]): PlannedBatch {
  const other = others.find(({ epoch }) => epoch !== first.epoch)
  if (!other) return first
  throw new MillraceError(
    'user',
    'not-a-mini-batch',
    `${op}: expected the mini-batches of one epoch, got epoch ${first.epoch} beside epoch ${other.epoch}. ` +
      'A plain RxJS operator between millrace operators must pass every mini-batch on, one for one.',
  )
}

/** Refuses what is no flow of mini-batches. @param expected what should stand there */
export function checkFlow(field: string, flow: unknown, expected: string): void {
  if (typeof (flow as Observable<unknown> | undefined)?.subscribe !== 'function')
    throw configError(field, typeof flow, expected)
  const all = flow as Observable<unknown>
  if (describedPart(all) !== all)
    throw new MillraceError(
      'user',
      'plan',
      `${field}: a flow that hands its rows over ends there; take it before that.`,
    )
}
