import { expect, test } from 'vitest'
import type { Finding } from '../../../src/core/finding.ts'
import { subscribeFlows } from '../../../src/engine/bind/flows.ts'
import { files, join, json, pipeline, rename, source, to, union } from '../../../src/index.ts'
import { judgeWaiting } from '../../../src/status/doctor/judge-waiting.ts'

type Objects = Readonly<Record<string, number>>

const sideOf = (name: string, pattern: string, idle?: '15 minutes') =>
  source(name, {
    objects: name,
    format: json(),
    columns: { at: 'TIMESTAMP NOT NULL', id: 'BIGINT' },
    time: 'at',
    watermark: { delay: '1 day', bounds: `${name}_${pattern}`, ...(idle && { idle }) },
  })

interface Asked {
  readonly patterns?: readonly [string, string]
  readonly trips: Objects
  readonly payments: Objects
  readonly idle?: '15 minutes'
}

/** What is said of a join of two sources, by the objects of each and their bytes. */
function judged({ patterns = ['{yyyy}-{MM}', '{yyyy}-{MM}-{dd}'], idle, ...objects }: Asked): readonly Finding[] {
  const [trips, payments] = [sideOf('trips', patterns[0], idle), sideOf('payments', patterns[1], idle)]
  const joined = join(payments.pipe(rename({ at: 'paid' })), { on: ['id'], within: ['0 seconds', '2 hours'] })
  const { definitions, terminals, unsubscribe } = subscribeFlows(
    pipeline(
      'paid',
      { checkpoint: 'checkpoint' },
      trips.pipe(joined, to(files('paid', { format: 'json' }))),
      // Nothing waits where nothing is kept.
      union(trips, payments).pipe(to(files('all', { format: 'json' }))),
    ),
  )
  unsubscribe()
  const seen = definitions.map(definition => ({
    definition,
    versions: Object.entries(objects[definition.settings.name as 'trips' | 'payments']).map(([name, sizeBytes]) => ({
      bucket: '',
      key: `${definition.settings.name}_${name}.jsonl`,
      eTag: name,
      sizeBytes,
      lastModifiedMs: 0,
    })),
  }))
  return judgeWaiting(terminals, seen)
}

const days = (month: string, count: number): Objects =>
  Object.fromEntries(Array.from({ length: count }, (_, day) => [`${month}-${String(day + 1).padStart(2, '0')}`, 10]))

test('a month beside its days waits for them', () => {
  const trips = { '2024-01': 1_000, '2024-02': 3_000 }
  const found = judged({ trips, payments: { ...days('2024-01', 31), ...days('2024-02', 29) } })
  expect(found).toMatchObject([{ check: 'state', is: 'ok' }])
  expect(found[0]?.message).toContain('of 1 object at most, 3.0 kB as they are stored')
  expect(found[0]?.message).toContain(`when it has read 'trips_2024-02.jsonl'`)
})

test('months without their days wait together, and more than a gigabyte is a warning', () => {
  const gigabyte = 1024 ** 3
  const trips = { '2024-01': gigabyte, '2024-02': gigabyte, '2024-03': 1 }
  expect(judged({ trips, payments: days('2024-03', 31) })).toMatchObject([
    {
      is: 'warning',
      message: expect.stringMatching(/of 2 objects at most, 2\.1 GB.*'trips_2024-02\.jsonl'/) as string,
    },
  ])
})

test('of equal periods nothing is said, however many days a month has', () => {
  const months = { '2024-01': 1_000, '2024-02': 1_000 }
  expect(judged({ patterns: ['{yyyy}-{MM}', '{yyyy}-{MM}'], trips: months, payments: months })).toEqual([])
})

test('an empty source makes the other wait, unless it says how long it may be silent', () => {
  const trips = { '2024-01': 1_000 }
  expect(judged({ trips, payments: {} })).toMatchObject([
    {
      check: 'watermark',
      is: 'warning',
      message: expect.stringMatching(/^source payments: nothing lies there yet.*rows of trips waits/) as string,
    },
  ])
  expect(judged({ trips, payments: {}, idle: '15 minutes' })).toEqual([])
})
