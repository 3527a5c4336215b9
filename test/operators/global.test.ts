import { expect, onTestFinished, test } from 'vitest'
import { aggregate } from '../../operators/aggregate.ts'
import { count } from '../../operators/aggregates/count.ts'
import { dedupe } from '../../operators/dedupe.ts'
import { global, globalStep } from '../../operators/global.ts'
import { groupBy } from '../../operators/group-by.ts'
import { session } from '../../operators/session.ts'
import { tumbling } from '../../operators/tumbling.ts'
import { where } from '../../operators/where.ts'
import { judgeEndless } from '../../src/status/doctor/judge-input.ts'
import { openTestDuckdb } from '../plan/duckdb.ts'
import { checkOneToOne, describeOnce, sourceNode } from './flow.ts'

test('global passes each mini-batch on, one for one and at once, and only adds its step', () => {
  checkOneToOne([{ op: 'global', options: { unbounded: true } }], trips => trips.pipe(global({ unbounded: true })))
})

test('it is an annotation: columns stay as they are', () => {
  expect(describeOnce(trips => trips.pipe(global({ unbounded: true }))).columns).toEqual(sourceNode.columns)
})

test.each([
  [undefined, 'global: unbounded is missing; expected true.'],
  [{}, 'global: unbounded is missing; expected true.'],
  [{ unbounded: false }, 'global: unbounded: false is not valid; expected true.'],
  [{ expireAfter: '1 day' }, "expected none; write session('1 day'), which forgets a silent group."],
  [{ expireAfter: 7 }, "expected none; write session('30 days'), which forgets a silent group."],
])('that its state has no bound must be said: %j is refused', (options, message) => {
  expect(() => global(options as never)).toThrow(message)
})

test('it closes only when the stream is ended, at the last event time of all (S6)', async () => {
  const { flushAt } = globalStep.assigner({ unbounded: true })
  const duckdb = await openTestDuckdb()
  onTestFinished(() => duckdb[Symbol.asyncDispose]())
  const flushed = (limitUs: bigint) => duckdb.rows(`SELECT ${flushAt(limitUs)} AS at`)
  expect(await flushed(2n ** 62n - 1n)).toEqual([{ at: null }])
  expect(await flushed(2n ** 62n)).toEqual([{ at: 2n ** 62n + 86_400_000_000n }])
})

const totals = (trips: Parameters<Parameters<typeof describeOnce>[0]>[0]) =>
  trips.pipe(global({ unbounded: true }), groupBy('zone'), aggregate({ n: count() }))

test.each([
  [
    'tumbling',
    (trips: Parameters<typeof totals>[0]) => totals(trips).pipe(where('n > 1'), tumbling('1 hour') as never),
  ],
  ['session', (trips: Parameters<typeof totals>[0]) => totals(trips).pipe(session('1 hour') as never)],
  ['dedupe', (trips: Parameters<typeof totals>[0]) => totals(trips).pipe(dedupe('zone' as never, '1 hour') as never)],
])('%s cannot follow its results, which have no time', (name, apply) => {
  expect(() => describeOnce(apply as never)).toThrow(
    `${name}: cannot follow aggregate over global(), whose rows come when all is over and have no time; end the flow with to(...).`,
  )
})

test('doctor warns of it, by the flow', () => {
  const terminal = (node: ReturnType<typeof describeOnce>) => ({ is: 'rows', node, op: 'rows', behind: {} }) as never
  expect(
    judgeEndless([terminal(describeOnce(trips => trips.pipe(where('TRUE')))), terminal(describeOnce(totals))]),
  ).toEqual([
    {
      check: 'state',
      is: 'warning',
      message:
        'flow-2: global() keeps state of every group that ever was, and gives results only when backfill --final ends the stream',
    },
  ])
})
