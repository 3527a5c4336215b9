import { map, type Observable, Subject } from 'rxjs'
import { type RunHelpers, TestScheduler } from 'rxjs/testing'
import { expect } from 'vitest'
import { parquet } from '../../connectors/parquet/spec.ts'
import type { Json } from '../../src/core/json.ts'
import type { AskedSteps } from '../../src/plan/asked-steps.ts'
import type { MiniBatch } from '../../src/plan/batches.ts'
import { PlannedBatch, type Terminal } from '../../src/plan/mini-batch.ts'
import { planJson, type PlanNode } from '../../src/plan/node.ts'
import { defineSource } from '../../src/plan/source.ts'
import { Stream } from '../../src/plan/stream.ts'

/** The columns that operator tests read. */
export const tripColumns = {
  picked_up: 'TIMESTAMP NOT NULL',
  zone: 'BIGINT',
  kind: 'VARCHAR',
  amount: 'DECIMAL(18,2)',
  tip: 'DECIMAL(38,2) NOT NULL',
  distance: 'DOUBLE',
} as const

export type Trips = Stream<MiniBatch<typeof tripColumns, 'TIMESTAMP NOT NULL'>>

const { settings } = defineSource('trips', {
  objects: 'data/input',
  format: parquet(),
  columns: tripColumns,
  time: 'picked_up',
})

/** The first node of every plan here. */
export const sourceNode: PlanNode = {
  op: 'source',
  options: settings as unknown as Json,
  inputs: [],
  columns: settings.columns,
  step: { is: 'source', op: 'source', columns: input => input },
}

/** Mini-batches of the source, what flows reported as their ends, and queries whose steps they asked for. */
export function createHead() {
  const terminals: Terminal[] = []
  const asked: AskedSteps[] = []
  const collector = { end: (it: Terminal) => void terminals.push(it), ask: (it: AskedSteps) => void asked.push(it) }
  return { terminals, asked, batch: (epoch: number) => new PlannedBatch(epoch, sourceNode, collector) }
}

/** Any Observable as a typed flow: operators take their columns from it. */
export function tripsOf(source: Observable<unknown>): Trips {
  return new Stream(subscriber => source.subscribe(subscriber as never))
}

/** Virtual time: a frame is a millisecond. Compared with `toEqual`. */
export function marbles(run: (helpers: RunHelpers) => void): void {
  new TestScheduler((actual, expected) => expect(actual).toEqual(expected)).run(run)
}

/** The last node of the plan that this flow describes. */
export function describeOnce(apply: (trips: Trips) => Observable<unknown>): PlanNode {
  return batchOf(apply).node
}

export function batchOf(apply: (trips: Trips) => Observable<unknown>): PlannedBatch {
  const source = new Subject<PlannedBatch>()
  let found: unknown
  let failure: Error | undefined
  const subscription = apply(tripsOf(source)).subscribe({
    next: value => {
      found = value
    },
    error: (error: Error) => {
      failure = error
    },
  })
  source.next(createHead().batch(1))
  subscription.unsubscribe()
  if (failure !== undefined) throw failure
  if (!(found instanceof PlannedBatch)) throw new Error('The flow emitted no mini-batch on the spot.')
  return found
}

const seen = (value: unknown) =>
  value instanceof PlannedBatch ? { epoch: value.epoch, plan: planJson(value.node) } : value

/**
 * What holds for every operator: one mini-batch out for each one in, in the same frame, with the source's plan and
 * these steps; completion, errors and unsubscription pass through; a subscription of its own for each subscriber.
 */
export function checkOneToOne(steps: readonly Json[], apply: (trips: Trips) => Observable<unknown>): void {
  const { batch } = createHead()
  const input = { a: batch(1), b: batch(2), c: batch(3) }
  const expected = Object.fromEntries(
    Object.entries(input).map(([name, { epoch }]) => [name, { epoch, plan: [...planJson(sourceNode), ...steps] }]),
  )

  // Values and completion.
  marbles(({ cold, expectObservable, expectSubscriptions }) => {
    const source = cold('-a-(bc)-|', input)
    const flow = apply(tripsOf(source)).pipe(map(seen))
    expectObservable(flow).toBe('-a-(bc)-|', expected)
    expectSubscriptions(source.subscriptions).toBe('^-------!')
  })
  // An error of the source.
  marbles(({ cold, expectObservable, expectSubscriptions }) => {
    const source = cold('-a--#', input, new Error('listing failed'))
    expectObservable(apply(tripsOf(source)).pipe(map(seen))).toBe('-a--#', expected, new Error('listing failed'))
    expectSubscriptions(source.subscriptions).toBe('^---!')
  })
  // Unsubscription reaches the source in the same frame.
  marbles(({ cold, expectObservable, expectSubscriptions }) => {
    const source = cold('-a-b-c-|', input)
    expectObservable(apply(tripsOf(source)).pipe(map(seen)), '^---!').toBe('-a-b-', expected)
    expectSubscriptions(source.subscriptions).toBe('^---!')
  })
  // Cold: nothing happens before a subscription, and each subscriber has its own.
  marbles(({ cold, expectObservable, expectSubscriptions }) => {
    const source = cold('a-|', input)
    const flow = apply(tripsOf(source)).pipe(map(seen))
    expectObservable(flow, '^').toBe('a-|', expected)
    expectObservable(flow, '--^').toBe('--a-|', expected)
    expectSubscriptions(source.subscriptions).toBe(['^-!', '--^-!'])
  })
  // Empty and silent sources.
  marbles(({ cold, expectObservable }) => {
    expectObservable(apply(tripsOf(cold('--|')))).toBe('--|')
    expectObservable(apply(tripsOf(cold('---')))).toBe('---')
  })
  checkSynchronous(apply)
  checkForeignValue(apply)
}

/** A batch has left the operator before `next` returns. */
function checkSynchronous(apply: (trips: Trips) => Observable<unknown>): void {
  const { batch } = createHead()
  const source = new Subject<PlannedBatch>()
  const log: string[] = []
  apply(tripsOf(source)).subscribe(() => log.push('out'))
  for (const epoch of [1, 2]) {
    log.push('in')
    source.next(batch(epoch))
    log.push('returned')
  }
  expect(log).toEqual(['in', 'out', 'returned', 'in', 'out', 'returned'])
}

/** What is no mini-batch ends the flow with an error that says who made it. */
export function checkForeignValue(apply: (trips: Trips) => Observable<unknown>): void {
  const source = new Subject<unknown>()
  const errors: unknown[] = []
  apply(tripsOf(source)).subscribe({ error: (error: unknown) => errors.push(error) })
  expect(source.observed).toBe(true)
  source.next(7)
  expect(errors).toEqual([
    expect.objectContaining({
      kind: 'user',
      code: 'not-a-mini-batch',
      message: expect.stringMatching(/expected a mini-batch from the operator before it, got number.*one for one/),
    }),
  ])
  // Nothing stays subscribed to a flow that failed.
  expect(source.observed).toBe(false)
}

/** A configuration error that names the field, the value and what was expected. */
export function expectConfigError(run: () => unknown, field: string, value: string, expected: string): void {
  let error: unknown
  try {
    run()
  } catch (caught) {
    error = caught
  }
  expect(error).toMatchObject({ name: 'MillraceError', kind: 'user', code: 'configuration' })
  expect((error as Error).message).toBe(`${field}: ${value} is not valid; expected ${expected}.`)
}

/** Subscribes with one mini-batch and returns what the flow failed with. */
export function errorOf(apply: (trips: Trips) => Observable<unknown>): unknown {
  try {
    batchOf(apply)
  } catch (error) {
    return error
  }
  return undefined
}
