import { appendFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { type WhyRowOptions, whyRow } from '../../src/engine/inspect/why-row.ts'
import { type ReadingAgain, readingText, rowTexts } from '../../src/engine/report/why-row.ts'
import {
  aggregate,
  applyLate,
  calendar,
  count,
  dedupe,
  deltas,
  files,
  filterRows,
  groupBy,
  hopping,
  join as joinRows,
  json,
  late,
  lookup,
  type Pipeline,
  pipeline,
  quarantine,
  session,
  source,
  sum,
  to,
  tumbling,
  unnest,
  where,
} from '../../src/index.ts'
import { failure, type Lab, openLab, run } from './harness.ts'

let lab: Lab
beforeEach(async () => {
  lab = await openLab()
})
afterEach(() => lab[Symbol.asyncDispose]())

const row = (id: number, at: string, more: object = {}) =>
  JSON.stringify({ id, at: `2024-03-01 ${at}`, zone: 1, fare: 5, ...more })

const trips = (name = 'trips', objects = lab.input) =>
  source(name, {
    objects,
    format: json(),
    columns: { id: 'BIGINT', at: 'TIMESTAMP NOT NULL', zone: 'BIGINT', fare: 'DOUBLE', tags: 'VARCHAR[]' },
    time: 'at',
    watermark: { delay: '30 minutes' },
    onBadRow: 'quarantine',
  })

const out = (name: string) => to(files(join(lab.root, name), { format: 'json' }))
const of = (...flows: Parameters<typeof pipeline>[2][]) =>
  pipeline('rows', { checkpoint: lab.checkpoint }, ...(flows as never[])) as Pipeline

async function textsOf(of: Pipeline, key: string, row: number, more: Partial<WhyRowOptions> = {}) {
  const { rows } = await whyRow(of, { key, row, ...more })
  return rows.flatMap(rowTexts)
}

/** What flows have made of it, without what was read. */
async function fatesOf(of: Pipeline, key: string, row: number) {
  const { rows } = await whyRow(of, { key, row })
  const [{ stands } = { stands: undefined }] = rows
  return stands?.is === 'good' ? stands.flows.flatMap(({ fates }) => fates) : stands
}

describe('a row of the way through where, dedupe and a window', () => {
  let hourly: Pipeline
  beforeEach(async () => {
    await lab.lines('a.jsonl', [
      row(1, '09:10:00'),
      row(2, '10:40:00', { fare: -1 }),
      row(3, '11:12:05', { zone: null }),
      '{"id": 4, "at": "soon"}',
      row(3, '11:13:00', { fare: 6 }),
      row(5, '11:13:00', { fare: null }),
    ])
    await lab.lines('b.jsonl', [row(1, '09:15:00'), row(9, '09:16:00')])
    const head = trips()
    const counted = head.pipe(
      where('fare > 0'),
      dedupe('id', '1 day'),
      tumbling('1 hour'),
      groupBy('zone'),
      aggregate({ n: count() }),
    )
    hourly = of(counted.pipe(out('hours')), late(counted).pipe(out('late')), quarantine(head).pipe(out('bad')))
    await run(hourly, { flush: false, objectsPerEpoch: 1 })
  })

  test('is counted in a window, whose own sentence follows', async () => {
    const readings: ReadingAgain[] = []
    expect(await textsOf(hourly, 'a.jsonl', 0, { onRead: reading => readings.push(reading) })).toEqual([
      "Row 0 of 'a.jsonl' (source trips, epoch 1): id 1, at 2024-03-01 09:10:00, zone 1, fare 5.0, tags NULL.",
      'flow-1: dedupe keeps it: no row of its key came before it within reach.',
      'flow-1: aggregate counts it in 1 window. The window 2024-03-01T09:00Z to 2024-03-01T10:00Z of flow-1, zone 1, ' +
        "was closed in epoch 1: 'a.jsonl' of source trips took the watermark to 2024-03-01T10:43Z. " +
        'It has 1 result of zone 1, in part-00000001-flow-1.jsonl. ' +
        '1 row came later and is in the late ledger, not in the result.',
    ])
    expect(readings).toMatchObject([{ objects: 1, key: 'a.jsonl' }])
    expect(readingText(readings[0] as ReadingAgain)).toMatch(/^Reads 'a\.jsonl' again, \d+ B\.$/)
  })

  test('is counted in the group of NULL', async () => {
    expect(await fatesOf(hourly, 'a.jsonl', 2)).toMatchObject([
      { is: 'kept' },
      { is: 'counted', windows: [{ group: 'zone NULL', stands: { is: 'open', groups: 1 } }] },
    ])
  })

  test('is left out by where, as its condition is FALSE or NULL', async () => {
    expect(await fatesOf(hourly, 'a.jsonl', 1)).toEqual([
      { is: 'left-out', step: 'where fare > 0', of: 1, rows: 1, condition: 'FALSE' },
    ])
    expect((await textsOf(hourly, 'a.jsonl', 5))[1]).toBe(
      'flow-1: where fare > 0 leaves it out: the condition is NULL for it.',
    )
  })

  test('is bad in a field, and a flow takes what was set aside', async () => {
    expect(await textsOf(hourly, 'a.jsonl', 3)).toEqual([
      "Row 3 of 'a.jsonl' (source trips, epoch 1) is bad, and was set aside: column 'at': " +
        "expected TIMESTAMP NOT NULL, found 'soon'. No window counts it. flow-3 takes it.",
    ])
  })

  test('is dropped for a row of its key, in its own object and in an earlier one', async () => {
    const dropped = (key: string, by: number) => [
      { is: 'same-key', op: 'dedupe', by: { key, row: by, isLater: false } },
    ]
    expect(await fatesOf(hourly, 'a.jsonl', 4)).toEqual(dropped('a.jsonl', 2))
    expect(await fatesOf(hourly, 'b.jsonl', 0)).toEqual(dropped('a.jsonl', 0))
  })

  test('is late for its window, and in the flow of late rows', async () => {
    const readings: string[] = []
    const texts = await textsOf(hourly, 'b.jsonl', 1, { onRead: reading => readings.push(readingText(reading)) })
    expect(texts.slice(1)).toEqual([
      'flow-1: dedupe keeps it: no row of its key came before it within reach.',
      'flow-1: it came too late for the window 2024-03-01T09:00Z to 2024-03-01T10:00Z of aggregate: ' +
        'the watermark was at 2024-03-01T10:43Z before its object. It is in the late ledger.',
      'flow-2: it begins with the rows that are late for aggregate, and this one is among them.',
      'flow-2: it goes out with epoch 2. It is in part-00000002-flow-2.jsonl.',
    ])
    expect((await lab.channels('late-')).map(found => [found._seq, found._row])).toEqual([['2', '1']])
    // Once for both flows.
    expect(readings).toHaveLength(2)
    expect(readings[1]).toMatch(/^Reads 1 earlier object again, \d+ B, to look for a row of its key that came before/)
  })

  test('is not there: beyond the last row, in no object of the ledger, in no flow', async () => {
    expect(await textsOf(hourly, 'a.jsonl', 6)).toEqual([
      "'a.jsonl' (source trips, epoch 1) has no row 6: its 6 rows are counted from 0.",
    ])
    expect((await failure(whyRow(hourly, { key: 'in/b.jsonl', row: 0 }))).message).toContain(
      "row: 'in/b.jsonl' is not valid; expected the key of an object in the ledger, such as 'b.jsonl'",
    )
    expect((await failure(whyRow(hourly, { key: 'a.jsonl', row: 0, flow: 'flow-9' }))).message).toContain(
      "flow: 'flow-9' is not valid; expected one of flow-1, flow-2, flow-3",
    )
  })

  test('of an object that is gone, or is another one by now, is told as far as the checkpoint has it', async () => {
    await appendFile(join(lab.input, 'b.jsonl'), `${row(7, '09:17:00')}\n`)
    expect(await textsOf(hourly, 'b.jsonl', 0)).toEqual([
      "Row 0 of 'b.jsonl' (source trips, epoch 2): it was good and was taken, and its object cannot be read again " +
        'to say more: the object changed after it was listed.',
    ])
    await rm(join(lab.input, 'a.jsonl'))
    expect(await textsOf(hourly, 'a.jsonl', 3)).toHaveLength(1)
    expect((await textsOf(hourly, 'a.jsonl', 0))[0]).toContain('cannot be read again to say more: the object is gone')
  })

  test('whose earlier objects are gone is not said to be kept', async () => {
    await rm(join(lab.input, 'a.jsonl'))
    expect(await fatesOf(hourly, 'b.jsonl', 1)).toMatchObject([
      { is: 'not-told', op: 'dedupe', why: expect.stringContaining('1 object of them is not') },
    ])
  })
})

test('each version of an object is told, the last one first', async () => {
  await lab.lines('a.jsonl', [row(1, '09:10:00')])
  const all = of(
    source('trips', {
      objects: lab.input,
      format: json(),
      columns: { id: 'BIGINT', at: 'TIMESTAMP NOT NULL' },
      overwrite: 'append',
    }).pipe(out('all')),
  )
  await run(all, {})
  await lab.lines('a.jsonl', [row(2, '09:10:00'), row(3, '09:11:00')])
  await run(all, {})
  const { rows } = await whyRow(all, { key: 'a.jsonl', row: 0 })
  expect(rows.map(({ epoch, stands }) => [epoch, stands.is])).toEqual([
    [2, 'good'],
    [1, 'not-told'],
  ])
})

test('an object that was set aside was not counted', async () => {
  await lab.lines('a.jsonl', [row(1, '09:10:00')])
  const flow = source('trips', {
    objects: lab.input,
    format: json(),
    columns: { id: 'BIGINT' },
    overwrite: 'quarantine',
  })
  const all = of(flow.pipe(out('all')))
  await run(all, {})
  await lab.lines('a.jsonl', [row(2, '09:10:00')])
  await run(all, {})
  expect((await textsOf(all, 'a.jsonl', 0))[0]).toContain(
    "No row of 'a.jsonl' (source trips, epoch 2) was counted: the object is quarantined: another version of this key",
  )
})

test('a row that became several, and a function that leaves it out', async () => {
  await lab.lines('a.jsonl', [row(1, '09:10:00', { tags: ['x', 'y'] }), row(2, '09:10:00', { tags: [] })])
  const head = trips()
  const tags = head.pipe(unnest('tags', { as: 'tag' }))
  const all = of(
    tags.pipe(tumbling('1 hour'), groupBy('tag'), aggregate({ n: count() })).pipe(out('tags')),
    head.pipe(filterRows(({ id }) => id !== 1n)).pipe(out('ids')),
  )
  await run(all, { flush: false })
  expect(await fatesOf(all, 'a.jsonl', 0)).toMatchObject([
    { is: 'became', rows: 2 },
    { is: 'counted', of: 2, windows: [{ group: 'tag x' }, { group: 'tag y' }] },
    { is: 'left-out', step: expect.stringMatching(/^filterRows/) },
  ])
  expect(await fatesOf(all, 'a.jsonl', 1)).toMatchObject([
    { is: 'left-out', step: expect.stringMatching(/^unnest/) },
    { is: 'given', rows: 1 },
  ])
})

test('windows that overlap, and steps behind them that have the results', async () => {
  await lab.lines('a.jsonl', [row(1, '09:10:00'), row(2, '10:55:00')])
  await lab.lines('b.jsonl', [row(3, '09:50:00')])
  const hours = trips().pipe(hopping('2 hours', '1 hour'), groupBy('zone'), aggregate({ n: count() }))
  const all = of(
    hours.pipe(out('hours')),
    hours.pipe(tumbling('1 day'), groupBy('zone'), aggregate({ n: sum('n') })).pipe(out('days')),
  )
  await run(all, { flush: false, objectsPerEpoch: 1 })
  expect(await fatesOf(all, 'b.jsonl', 0)).toMatchObject([
    { is: 'late', windows: [{ appliedIn: null }] },
    { is: 'counted', of: 1, windows: [{ stands: { is: 'open' } }] },
    { is: 'late' },
    { is: 'handed-on', windows: [{}], to: [{ flow: 'flow-2', stands: { is: 'open' } }] },
  ])
})

test('a session is told while it is open', async () => {
  await lab.lines('a.jsonl', [row(1, '09:10:00'), row(2, '09:20:00'), row(3, '11:00:00', { zone: 2 })])
  const all = of(
    trips()
      .pipe(session('10 minutes'), groupBy('zone'), aggregate({ n: count() }))
      .pipe(out('sessions')),
  )
  await run(all, { flush: false })
  expect(await fatesOf(all, 'a.jsonl', 0)).toMatchObject([{ is: 'not-told' }])
  expect(await fatesOf(all, 'a.jsonl', 2)).toMatchObject([
    { is: 'counted', of: 1, windows: [{ group: 'zone 2', stands: { is: 'open' } }] },
  ])
})

test('steps that keep rows: the last of a key, differences, a join', async () => {
  await lab.lines('a.jsonl', [row(1, '09:10:00'), row(1, '09:15:00'), row(2, '09:41:00')])
  const head = trips()
  const all = of(
    head.pipe(dedupe('id', '1 hour', { keep: 'last' })).pipe(out('last')),
    head.pipe(deltas({ of: ['fare'], per: ['zone'], expireAfter: '1 hour' })).pipe(out('deltas')),
    head.pipe(joinRows(head, { on: ['id'], within: ['0 seconds', '1 hour'], kind: 'semi' })).pipe(out('pairs')),
  )
  await run(all, { flush: false })
  expect(await fatesOf(all, 'a.jsonl', 0)).toMatchObject([
    { is: 'same-key', by: { key: 'a.jsonl', row: 1, isLater: true } },
    { is: 'not-told', op: 'deltas' },
    { is: 'not-told', op: 'join' },
    { is: 'not-told', op: 'join' },
  ])
  expect(await fatesOf(all, 'a.jsonl', 2)).toMatchObject([
    { is: 'waits', op: 'dedupe' },
    { is: 'waits', op: 'deltas' },
    {},
    {},
  ])
})

test('a row that has no partner in a lookup is left out by the join', async () => {
  await lab.lines('in/a.jsonl', [row(1, '09:10:00'), row(2, '09:10:00', { zone: 2 })])
  await lab.lines('zones/z.jsonl', ['{"zone": 1, "name": "one"}'])
  const zones = lookup('zones', {
    objects: join(lab.input, 'zones'),
    format: json(),
    columns: { zone: 'BIGINT NOT NULL', name: 'VARCHAR' },
    key: ['zone'],
  })
  const all = of(
    trips('trips', join(lab.input, 'in'))
      .pipe(joinRows(zones, { on: ['zone'] }))
      .pipe(out('named')),
  )
  await run(all, {})
  expect(await fatesOf(all, 'a.jsonl', 0)).toMatchObject([{ is: 'given', rows: 1 }])
  expect(await fatesOf(all, 'a.jsonl', 1)).toMatchObject([{ is: 'left-out', step: expect.stringMatching(/^join/) }])
})

test('keys may hold anything, and two sources may read one place', async () => {
  const key = 'it\'s: "so"\u001b[2J.jsonl'
  await lab.lines(key, [row(1, '09:10:00'), row(2, '09:20:00')])
  const others = trips('others')
  const all = of(
    trips()
      .pipe(tumbling('1 hour'), groupBy('zone'), aggregate({ n: count() }))
      .pipe(out('hours')),
    others.pipe(where('id = 1')).pipe(out('others')),
  )
  await run(all, { flush: false })
  const { rows } = await whyRow(all, { key, row: 1 })
  const texts = Object.fromEntries(rows.map(facts => [facts.source, rowTexts(facts)]))
  expect(Object.keys(texts).toSorted()).toEqual(['others', 'trips'])
  expect(texts.trips?.join(' ')).toContain("('it's: \"so\"\\u001b[2J.jsonl')")
  expect(Object.values(texts).flat().join('')).not.toContain('\u001b')
  expect(texts.others?.slice(1)).toEqual(['flow-2: where id = 1 leaves it out: the condition is FALSE for it.'])
  expect(texts.trips?.slice(1)).toEqual([expect.stringMatching(/^flow-1: aggregate counts it in 1 window\. /)])
})

test('months of a calendar, and a sink that holds rows until they are worth a file', async () => {
  const head = trips()
  const all = of(
    head
      .pipe(calendar('month', { timeZone: 'America/New_York' }), groupBy('zone'), aggregate({ n: count() }))
      .pipe(out('months')),
    head.pipe(to(files(join(lab.root, 'held'), { format: 'json', maxDelay: '1 hour' }))),
  )
  await lab.lines('a.jsonl', [row(1, '09:10:00')])
  await run(all, { flush: false })
  expect(await fatesOf(all, 'a.jsonl', 0)).toMatchObject([
    { is: 'counted', of: 1, windows: [{ startUs: 1_709_269_200_000_000n, stands: { is: 'open' } }] },
    { is: 'given', rows: 1, epoch: 1 },
  ])
})

test('a late row that apply-late brought into its window', async () => {
  const hours = source('trips', {
    objects: lab.input,
    format: json(),
    columns: { id: 'BIGINT', at: 'TIMESTAMP NOT NULL', zone: 'BIGINT' },
    time: 'at',
    watermark: { delay: '30 minutes' },
    late: { retention: '1 day' },
  }).pipe(tumbling('1 hour'), groupBy('zone'), aggregate({ n: count() }))
  const all = of(hours.pipe(out('hours')))
  await lab.lines('a.jsonl', [row(1, '09:10:00'), row(2, '11:12:00')])
  await run(all, { flush: false })
  await lab.lines('b.jsonl', [row(3, '09:20:00')])
  await run(all, { flush: false })
  expect(await fatesOf(all, 'b.jsonl', 0)).toMatchObject([{ is: 'late', windows: [{ appliedIn: null }] }])
  await applyLate(lab.checkpoint, {})
  await run(all, { flush: false })
  expect(await fatesOf(all, 'b.jsonl', 0)).toMatchObject([{ is: 'late', windows: [{ appliedIn: 3 }] }])
  expect((await textsOf(all, 'b.jsonl', 0))[1]).toContain(
    "'millrace apply-late' brought it into the window 2024-03-01T09:00Z to 2024-03-01T10:00Z.",
  )
})
