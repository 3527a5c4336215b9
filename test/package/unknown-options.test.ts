import { lastValueFrom, type Observable } from 'rxjs'
import { expect, test } from 'vitest'
import {
  aggregate,
  backfill,
  calendar,
  count,
  csv,
  files,
  filterRows,
  cumulative,
  dedupe,
  delta,
  deltas,
  global,
  hopping,
  join,
  json,
  kafka,
  mapBatches,
  mapRows,
  miniBatch,
  parquet,
  pipeline,
  postgres,
  run,
  session,
  source,
  sqs,
  text,
  topN,
  tumbling,
  verify,
} from '../../src/index.ts'

const at = { at: 'TIMESTAMP' } as const
const trips: Observable<unknown> = source('trips', { objects: 'in', format: parquet(), columns: at, time: 'at' })
const flow = pipeline('trips', { checkpoint: 'checkpoint' }, trips)
/** What no call takes, in the place of its options. */
const more = { filtr: 'x' } as never
const call = <F extends (...args: never) => unknown>(of: F, ...args: readonly unknown[]): unknown =>
  (of as unknown as (...args: readonly unknown[]) => unknown)(...args, more)

test.each<[string, () => unknown]>([
  ['parquet', () => call(parquet)],
  ['json', () => call(json)],
  ['csv', () => call(csv)],
  ['text', () => call(text)],
  ['files', () => call(files, 'out')],
  ['delta', () => call(delta, 'out')],
  ['postgres', () => (postgres as (options: unknown) => unknown)({ url: 'postgres://h/d', table: 't', filtr: 'x' })],
  ['sqs', () => call(sqs)],
  ['kafka', () => call(kafka)],
  ['source trips', () => call(source, 'trips')],
  ['tumbling', () => call(tumbling, '1 hour')],
  ['session', () => call(session, '30 minutes')],
  ['hopping', () => call(hopping, '1 hour', '5 minutes')],
  ['cumulative', () => call(cumulative, '1 day', '1 hour')],
  ['calendar', () => call(calendar, 'day')],
  ['global', () => call(global)],
  ['dedupe', () => call(dedupe, 'id', '1 day')],
  ['deltas', () => (deltas as (options: unknown) => unknown)({ of: ['n'], expireAfter: '1 day', filtr: 'x' })],
  ['topN', () => (topN as (...args: readonly unknown[]) => unknown)(3, { by: ['n'], filtr: 'x' })],
  [
    'join',
    () => (join as (...args: readonly unknown[]) => unknown)(trips, { on: ['at'], within: ['0s', '1h'], filtr: 'x' }),
  ],
  ['miniBatch', () => call(miniBatch)],
  ['mapRows', () => call(mapRows, (row: unknown) => row, at)],
  ['filterRows', () => call(filterRows, () => true)],
  ['mapBatches', () => call(mapBatches, (batch: unknown) => batch, at)],
  ['aggregate n: count()', () => aggregate({ n: count(more) })],
  ['pipeline', () => (pipeline as (...args: readonly unknown[]) => unknown)('trips', more, trips)],
  ['backfill', () => backfill(flow, more)],
  ['run', () => lastValueFrom(run(flow, more))],
  ['verify', () => verify(flow, more)],
])('%s refuses an option that it does not know, whatever the compiler was told', async (name, make) => {
  const failure = await (async () => make())().then(
    () => undefined,
    (error: unknown) => error,
  )
  expect(failure).toMatchObject({
    kind: 'user',
    code: 'configuration',
    message: expect.stringMatching(/: unknown option 'filtr'[.;]/),
  })
  expect((failure as Error).message.startsWith(`${name}: `)).toBe(true)
})
