import { expect, test } from 'vitest'
import { dedupe, dedupeStep } from '../../operators/dedupe.ts'
import { checkOneToOne, describeOnce, expectConfigError, sourceNode, type Trips } from './flow.ts'

test.each<[string, { keep?: 'first' | 'last' } | undefined, { keep?: string }]>([
  ['without options', undefined, {}],
  ['that says what it does anyway', { keep: 'first' }, {}],
  ['that keeps the last', { keep: 'last' }, { keep: 'last' }],
])('dedupe %s passes each mini-batch on, one for one and at once, and only adds its step', (_, options, stored) => {
  checkOneToOne([{ op: 'dedupe', options: { key: ['zone'], within: '1 day', ...stored } }], trips =>
    trips.pipe(dedupe('zone', '1 day', options)),
  )
})

test('the columns stay as they are', () => {
  const columns = (apply: (trips: Trips) => never) => describeOnce(apply).columns
  expect(columns(trips => trips.pipe(dedupe('zone', '1 day')) as never)).toEqual(sourceNode.columns)
  expect(columns(trips => trips.pipe(dedupe('zone', '1 day', { keep: 'last' })) as never)).toEqual(sourceNode.columns)
})

test('keys are a set: plans are compared without their order, and without what was never said', () => {
  const canonical = (options: object) => dedupeStep.canonical?.(options as never, [])
  expect(canonical({ key: ['b', 'a'], within: '24h' })).toEqual({ key: ['a', 'b'], within: '1 day' })
  expect(canonical({ key: ['a'], within: '24h', keep: 'last' })).toEqual({ key: ['a'], within: '1 day', keep: 'last' })
})

test('which row is kept says what step follows it and how far behind its watermark rows may lie (S13)', () => {
  const fold = (keep: object) =>
    dedupeStep.takes === 'rows' &&
    dedupeStep.fold({ input: { id: 'BIGINT' }, timeType: 'TIMESTAMP' }, {
      key: ['id'],
      within: '1 hour',
      ...keep,
    } as never)
  expect(fold({})).toMatchObject({ gives: 'passing', holdUs: 0n })
  expect(fold({ keep: 'last' })).toMatchObject({ gives: 'closing', holdUs: 3_600_000_000n })
})

test('what is wrong is told', () => {
  expectConfigError(
    () => dedupe('zone' as never, '1 day', { keep: 'newest' as never }),
    'dedupe: keep',
    "'newest'",
    "'first' or 'last'",
  )
  expectConfigError(
    () => dedupe('zone' as never, '0s', { keep: 'last' }),
    'dedupe: horizon',
    "'0s'",
    "a duration above zero and below 36,000 years, such as '1 day'",
  )
  expect(() => (dedupe as (...given: readonly unknown[]) => unknown)('zone')).toThrow(
    "dedupe: horizon is missing; expected a duration above zero and below 36,000 years, such as '1 day'.",
  )
  expect(() => describeOnce(trips => trips.pipe(dedupe('zune' as never, '1 day', { keep: 'last' })))).toThrow(
    "dedupe: no column 'zune'; did you mean 'zone'?",
  )
})
