import { copyFile, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import {
  aggregate,
  avg,
  count,
  derive,
  files,
  global,
  groupBy,
  hopping,
  json,
  mapRows,
  max,
  min,
  pipeline,
  rename,
  source,
  sum,
  to,
  topK,
  topN,
  tumbling,
} from '../../src/index.ts'
import { type Lab, openLab, type Place, run } from '../engine/harness.ts'
import { sharedData } from '../shared-data.ts'

// Arroyo's own inputs and golden outputs (docs/conformance.md), through the public API, whole and cut into objects.

const data = sharedData('windowing')
const folder = join(data.path, 'arroyo')

let lab: Lab
beforeEach(async () => {
  lab = await openLab()
})
afterEach(() => lab[Symbol.asyncDispose]())

async function golden(name: string): Promise<readonly Record<string, unknown>[]> {
  const text = await readFile(join(folder, `${name}.golden.json`), 'utf8')
  return text.split('\n').flatMap(line => (line === '' ? [] : [JSON.parse(line) as Record<string, unknown>]))
}

/** The input as one object, and as seven of as many lines each, in order. */
async function inputs(name: string, parts: number): Promise<void> {
  if (parts === 1) {
    await copyFile(join(folder, name), join(lab.input, 'all.jsonl'))
    return
  }
  const lines = (await readFile(join(folder, name), 'utf8')).trimEnd().split('\n')
  const each = Math.ceil(lines.length / parts)
  for (let part = 0; part < parts; part++) await lab.lines(`${part}.jsonl`, lines.slice(part * each, (part + 1) * each))
}

const cars = (delay: '0s' | '1 minute' | '10 minutes') =>
  source('cars', {
    objects: lab.input,
    format: json(),
    columns: { timestamp: 'TIMESTAMP NOT NULL', driver_id: 'BIGINT', event_type: 'VARCHAR' },
    time: 'timestamp',
    watermark: { delay },
  })

const iso = (text: unknown) => String(text).replace(' ', 'T')
const sorted = (rows: readonly unknown[]) => rows.map(row => JSON.stringify(row)).toSorted()
const sink = (at: Place) => to(files(at.output, { format: 'json' })) as never

/** The driver with the most events of each hour, every minute; of equal counts the larger driver. */
const mostActive = {
  'by the most frequent value': (events: ReturnType<typeof cars>, end: ReturnType<typeof sink>) =>
    events.pipe(
      // Of equal counts topK takes the smaller value.
      derive({ negative_id: ['BIGINT', '-driver_id'] }),
      hopping('1 hour', '1 minute'),
      groupBy(),
      aggregate({ top: topK('negative_id', 1) }),
      mapRows(
        ({ window_start, window_end, top }) =>
          top?.[0] ? { start: window_start, end: window_end, driver_id: -top[0].value, count: top[0].count } : null,
        { start: 'TIMESTAMP NOT NULL', end: 'TIMESTAMP NOT NULL', driver_id: 'BIGINT', count: 'BIGINT' },
      ),
      end,
    ),
  'by rank': (events: ReturnType<typeof cars>, end: ReturnType<typeof sink>) =>
    events.pipe(
      hopping('1 hour', '1 minute'),
      groupBy('driver_id'),
      aggregate({ count: count() }),
      topN(1, {
        by: [
          ['count', 'desc'],
          ['driver_id', 'desc'],
        ],
      }),
      rename({ window_start: 'start', window_end: 'end' }),
      end,
    ),
}

describe.skipIf(!data.isThere).each([
  { parts: 1, objectsPerEpoch: 1 },
  { parts: 7, objectsPerEpoch: 1 },
  { parts: 7, objectsPerEpoch: 3 },
])('Arroyo, in $parts objects, $objectsPerEpoch an epoch', ({ parts, objectsPerEpoch }) => {
  test('hourly_by_event_type', async () => {
    await inputs('cars.json', parts)
    const flow = cars('10 minutes').pipe(
      tumbling('1 hour'),
      groupBy('event_type'),
      aggregate({ count: count() }),
      sink(lab),
    )
    const { totals } = await run(pipeline('arroyo', { checkpoint: lab.checkpoint }, flow), { objectsPerEpoch })
    expect(totals).toMatchObject({ rows: 7932, late: 0 })
    const rows = (await lab.rows()).map(row => ({
      event_type: row.event_type,
      hour: iso(row.window_start),
      count: Number(row.count),
    }))
    expect(sorted(rows)).toEqual(sorted(await golden('hourly_by_event_type')))
  })

  test('month_loose_watermark', async () => {
    await inputs('cars.json', parts)
    const flow = cars('1 minute').pipe(tumbling('30 days'), groupBy(), aggregate({ count: count() }), sink(lab))
    await run(pipeline('arroyo', { checkpoint: lab.checkpoint }, flow), { objectsPerEpoch })
    const rows = (await lab.rows()).map(row => ({ month: iso(row.window_start), count: Number(row.count) }))
    expect(rows).toEqual(await golden('month_loose_watermark'))
  })

  test.each(Object.entries(mostActive))('most_active_driver_last_hour, %s', async (_, most) => {
    await inputs('cars.json', parts)
    const flow = most(cars('10 minutes'), sink(lab))
    await run(pipeline('arroyo', { checkpoint: lab.checkpoint }, flow), { objectsPerEpoch })
    const rows = (await lab.rows()).map(row => ({
      count: Number(row.count),
      driver_id: Number(row.driver_id),
      end: iso(row.end),
      row_number: 1,
      start: iso(row.start),
    }))
    expect(sorted(rows)).toEqual(sorted(await golden('most_active_driver_last_hour')))
  })

  test('grouped_aggregates', async () => {
    await inputs('impulse.json', parts)
    const flow = source('impulse', {
      objects: lab.input,
      format: json(),
      columns: { timestamp: 'TIMESTAMP NOT NULL', counter: 'BIGINT NOT NULL' },
      time: 'timestamp',
    }).pipe(
      derive({ counter_mod: ['BIGINT NOT NULL', 'counter % 5'] }),
      global({ unbounded: true }),
      groupBy('counter_mod'),
      aggregate({
        avg: avg('counter'),
        count: count(),
        max: max('counter'),
        min: min('counter'),
        sum: sum('counter'),
      }),
      sink(lab),
    )
    await run(pipeline('arroyo', { checkpoint: lab.checkpoint }, flow), { objectsPerEpoch, final: true })
    const names = ['avg', 'count', 'counter_mod', 'max', 'min', 'sum']
    const rows = (await lab.rows()).map(row => Object.fromEntries(names.map(name => [name, Number(row[name])])))
    expect(sorted(rows)).toEqual(sorted((await golden('grouped_aggregates')).map(({ after }) => after)))
  })
})
