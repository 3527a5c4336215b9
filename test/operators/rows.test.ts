import { filter, map, type Observable, Subject, take } from 'rxjs'
import { expect, test } from 'vitest'
import { batches } from '../../operators/batches.ts'
import { groupBy } from '../../operators/group-by.ts'
import { rows } from '../../operators/rows.ts'
import { tumbling } from '../../operators/tumbling.ts'
import { where } from '../../operators/where.ts'
import { PlannedBatch, type Terminal } from '../../src/plan/mini-batch.ts'
import { describedPart } from '../../src/plan/stream.ts'
import { checkForeignValue, createHead, errorOf, marbles, sourceNode, tripsOf } from './flow.ts'

/** A committed epoch with its rows, as the engine sends it to hand them over; and the ends that it reached. */
function handedOver(epoch: number, committed: Observable<readonly unknown[]>) {
  const terminals: Terminal[] = []
  return {
    terminals,
    batch: new PlannedBatch(epoch, sourceNode, { end: it => terminals.push(it), ask: () => {} }, committed),
  }
}

const operators = [
  ['rows', rows],
  ['batches', batches],
] as const

test.each(operators)('%s tells its end and emits nothing where the flow only describes itself', (op, operator) => {
  const { batch, terminals } = createHead()
  const source = new Subject()
  const out: unknown[] = []
  const flow = (tripsOf(source).pipe as (end: unknown) => Observable<unknown>)(operator())
  expect(source.observed).toBe(false)
  flow.subscribe({ next: row => out.push(row), complete: () => out.push('complete') })
  const first = batch(0)
  source.next(first)
  expect(terminals).toEqual([{ is: 'rows', node: first.node, op }])
  expect(out).toEqual([])
})

test('rows are emitted as they are read, chunk after chunk, and end with the last one', () => {
  marbles(({ cold, expectObservable, expectSubscriptions }) => {
    const chunks = cold('--x---y-|', { x: [{ n: 1 }, { n: 2 }], y: [{ n: 3 }] })
    const { batch } = handedOver(7, chunks)
    const source = cold('-(b|)', { b: batch })
    //                      read from frame 1 on
    expectObservable(tripsOf(source).pipe(rows())).toBe('---(pq)r-|', { p: { n: 1 }, q: { n: 2 }, r: { n: 3 } })
    expectSubscriptions(chunks.subscriptions).toBe('-^-------!')
  })
})

test('batches emits all rows of an epoch at once, with its number', () => {
  marbles(({ cold, expectObservable }) => {
    const chunks = cold('--x---y-|', { x: [{ n: 1 }, { n: 2 }], y: [{ n: 3 }] })
    const source = cold('-(b|)', { b: handedOver(7, chunks).batch })
    expectObservable(tripsOf(source).pipe(batches())).toBe('---------(b|)', {
      b: { epoch: 7, rows: [{ n: 1 }, { n: 2 }, { n: 3 }] },
    })
  })
})

test('batches keeps nothing from one subscriber to the next', () => {
  marbles(({ cold, expectObservable }) => {
    const source = cold('(b|)', { b: handedOver(1, cold('x|', { x: [{ n: 1 }] })).batch })
    const flow = tripsOf(source).pipe(batches())
    for (let time = 0; time < 2; time++) expectObservable(flow).toBe('-(b|)', { b: { epoch: 1, rows: [{ n: 1 }] } })
  })
})

test.each(operators)('%s: an error of reading passes through, and unsubscription ends the reading', (_op, operator) => {
  marbles(({ cold, expectObservable, expectSubscriptions }) => {
    const flow = (chunks: Observable<readonly unknown[]>) =>
      (tripsOf(cold('(b|)', { b: handedOver(1, chunks).batch })).pipe as (end: unknown) => Observable<unknown>)(
        operator(),
      )
    expectObservable(flow(cold('-#', {}, new Error('lost')))).toBe('-#', {}, new Error('lost'))
    const long = cold<readonly unknown[]>('------')
    expectObservable(flow(long), '^--!').toBe('')
    expectSubscriptions(long.subscriptions).toBe('^--!')
  })
})

test('any RxJS operator may follow: it sees rows, and may end the reading', () => {
  marbles(({ cold, expectObservable, expectSubscriptions }) => {
    const chunks = cold('-x-y-z|', {
      x: [{ zone: 1n, kind: 'a' }],
      y: [{ zone: 2n, kind: 'b' }],
      z: [{ zone: 3n, kind: 'c' }],
    })
    const source = cold('(b|)', { b: handedOver(1, chunks).batch })
    const flow = tripsOf(source).pipe(
      rows(),
      filter(({ zone }) => zone !== null && zone > 1n),
      map(({ kind }) => kind),
      take(1),
    )
    expectObservable(flow).toBe('---(b|)')
    expectSubscriptions(chunks.subscriptions).toBe('^--!')
  })
})

test('the part of a flow up to its end describes it, whatever is piped after it', () => {
  const source = new Subject()
  const subscribed: string[] = []
  const { batch, terminals } = createHead()
  const tail = <T>(name: string) =>
    map((row: T) => {
      subscribed.push(name)
      return row
    })
  const described = tripsOf(source).pipe(where('zone > 1'), rows())
  const flow = described.pipe(tail('one')).pipe(tail('two'), tail('three'))
  expect(describedPart(described)).not.toBe(described)
  describedPart(flow).subscribe()
  source.next(batch(0))
  expect(terminals).toHaveLength(1)
  expect(subscribed).toEqual([])
  // Without such an end a flow is described by all of it.
  const other = tripsOf(source).pipe(where('zone > 1'))
  expect(describedPart(other)).toBe(other)
})

test('what is no mini-batch is refused', () => {
  checkForeignValue(trips => trips.pipe(rows()))
  checkForeignValue(trips => trips.pipe(batches()))
})

test.each(operators)('%s: windows and groups have no rows, so aggregate must come first', (op, operator) => {
  expect(errorOf(trips => trips.pipe(tumbling('1h'), operator() as never))).toMatchObject({
    message: `${op}: cannot follow tumbling; add aggregate({...}) before it, which makes rows of windows.`,
  })
  expect(errorOf(trips => trips.pipe(tumbling('1h'), groupBy('zone'), operator() as never))).toMatchObject({
    message: `${op}: cannot follow groupBy; add aggregate({...}) before it, which makes rows of windows.`,
  })
})

test.each(operators)('%s: its step is plain data', (op, operator) => {
  expect({ step: operator().step, options: operator().options }).toEqual({ step: { op }, options: {} })
})
