import { filter, map, Subject } from 'rxjs'
import { expect, test } from 'vitest'
import { groupBy } from '../../operators/group-by.ts'
import { rows } from '../../operators/rows.ts'
import { tumbling } from '../../operators/tumbling.ts'
import type { Terminal } from '../../src/plan/mini-batch.ts'
import { checkForeignValue, createHead, errorOf, marbles, tripsOf } from './flow.ts'

/** What the engine does after an epoch's commit. */
function deliver(terminal: Terminal | undefined, delivered: readonly object[]): void {
  if (terminal?.is !== 'rows') throw new Error(`Expected a flow that ends in rows(), found ${terminal?.is}.`)
  terminal.deliver(delivered)
}

test('rows emits nothing when a mini-batch is described, and its rows when the engine delivers them', () => {
  const { batch, terminals } = createHead()
  const source = new Subject()
  const out: unknown[] = []
  const flow = tripsOf(source).pipe(rows())
  expect(source.observed).toBe(false)
  flow.subscribe({ next: row => out.push(row), complete: () => out.push('complete') })
  const first = batch(1)
  source.next(first)
  expect(out).toEqual([])
  expect(terminals).toEqual([{ is: 'rows', node: first.node, deliver: expect.any(Function) }])
  deliver(terminals[0], [{ zone: 1n }, { zone: 2n }])
  deliver(terminals[0], [])
  deliver(terminals[0], [{ zone: 3n }])
  expect(out).toEqual([{ zone: 1n }, { zone: 2n }, { zone: 3n }])
  source.complete()
  expect(out.at(-1)).toBe('complete')
})

test('rows are emitted in the frame of their delivery; completion ends them', () => {
  marbles(({ cold, hot, expectObservable, expectSubscriptions }) => {
    const { batch, terminals } = createHead()
    const source = cold('-a---b--|', { a: batch(1), b: batch(2) })
    //                     described at 1 and 5, committed at 3 and 7
    hot('---x---y', { x: [{ n: 1 }, { n: 2 }], y: [{ n: 3 }] }).subscribe(delivered =>
      deliver(terminals.at(-1), delivered),
    )
    expectObservable(tripsOf(source).pipe(rows())).toBe('---(pq)r|', { p: { n: 1 }, q: { n: 2 }, r: { n: 3 } })
    expectSubscriptions(source.subscriptions).toBe('^-------!')
  })
})

test('an error passes through, and unsubscription reaches the source', () => {
  marbles(({ cold, expectObservable, expectSubscriptions }) => {
    const { batch } = createHead()
    const failing = cold('-a-#', { a: batch(1) }, new Error('lost'))
    expectObservable(tripsOf(failing).pipe(rows())).toBe('---#', {}, new Error('lost'))
    expectSubscriptions(failing.subscriptions).toBe('^--!')
    const long = cold('-a-----', { a: batch(1) })
    expectObservable(tripsOf(long).pipe(rows()), '^--!').toBe('')
    expectSubscriptions(long.subscriptions).toBe('^--!')
  })
})

test('any RxJS operator may follow: it sees rows, not mini-batches', () => {
  const { batch, terminals } = createHead()
  const source = new Subject()
  const out: unknown[] = []
  tripsOf(source)
    .pipe(
      rows(),
      filter(({ zone }) => zone !== null && zone > 1n),
      map(({ kind }) => kind),
    )
    .subscribe(kind => out.push(kind))
  source.next(batch(1))
  deliver(terminals[0], [
    { zone: 1n, kind: 'a' },
    { zone: 2n, kind: 'b' },
    { zone: null, kind: 'c' },
  ])
  expect(out).toEqual(['b'])
})

test('what is no mini-batch is refused', () => {
  checkForeignValue(trips => trips.pipe(rows()))
})

test('windows and groups have no rows: aggregate must come first', () => {
  expect(errorOf(trips => trips.pipe(tumbling('1h'), rows() as never))).toMatchObject({
    message: 'rows: cannot follow tumbling; groupBy must come next.',
  })
  expect(errorOf(trips => trips.pipe(tumbling('1h'), groupBy('zone'), rows() as never))).toMatchObject({
    message: 'rows: cannot follow groupBy; aggregate must come next.',
  })
})

test('its step is plain data', () => {
  expect({ step: rows().step, options: rows().options }).toEqual({ step: { op: 'rows' }, options: {} })
})
