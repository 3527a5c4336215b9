import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { type WhyWindow, whyWindow } from '../../src/engine/inspect/why-window.ts'
import { windowText } from '../../src/engine/report/why.ts'
import {
  aggregate,
  count,
  files,
  groupBy,
  json,
  type Pipeline,
  pipeline,
  source,
  sum,
  to,
  tumbling,
  union,
} from '../../src/index.ts'
import { parseInstantUs } from '../../src/plan/key-period.ts'
import { failure, type Lab, openLab, run, windowed } from './harness.ts'

let lab: Lab
beforeEach(async () => {
  lab = await openLab()
})
afterEach(() => lab[Symbol.asyncDispose]())

const row = (at: string, zone = 1) => JSON.stringify({ at: `2024-03-01 ${at}`, zone })
const columns = { at: 'TIMESTAMP NOT NULL', zone: 'BIGINT' }
const flow = { columns, time: 'at', delay: '30 minutes', format: json(), keys: ['zone'], output: 'json' as const }

async function why(of: Pipeline, at: string, group: Readonly<Record<string, string>> = {}): Promise<WhyWindow> {
  return whyWindow(of, { timeUs: parseInstantUs(`2024-03-01 ${at}`) as bigint, group })
}

const textsOf = ({ windows, others }: WhyWindow) => [...windows.map(windowText), ...others]

describe('a window of one source', () => {
  let hours: Pipeline
  beforeEach(async () => {
    await lab.lines('a.jsonl', [row('09:10'), row('10:40', 74), row('11:12:05', 7)])
    await lab.lines('b.jsonl', [row('09:20'), row('10:50', 74)])
    hours = windowed(lab, lab, flow)
    await run(hours, { flush: false, objectsPerEpoch: 1 })
  })

  test('is open, held by the object with the highest time, until a row of its end and the delay (S2)', async () => {
    expect(textsOf(await why(hours, '10:30'))).toEqual([
      'The window 2024-03-01T10:00Z to 2024-03-01T11:00Z of flow-1 is open, and has rows of 1 group. ' +
        'It closes when the watermark reaches 2024-03-01T11:00Z; it is at 2024-03-01T10:42:05Z. ' +
        "Source in holds it: its latest time is 2024-03-01T11:12:05Z ('a.jsonl'), less its delay of 30 minutes. " +
        'An object of in with a time of 2024-03-01T11:30Z or later moves it far enough.',
    ])
    await lab.lines('c.jsonl', [row('11:29:59')])
    await run(hours, { flush: false })
    expect((await why(hours, '10:30')).windows).toMatchObject([{ stands: { is: 'open' } }])
    await lab.lines('d.jsonl', [row('11:30:00')])
    await run(hours, { flush: false })
    expect((await why(hours, '10:30')).windows).toMatchObject([
      { stands: { is: 'closed', results: 1, at: { epoch: 4, by: { key: 'd.jsonl' } } } },
    ])
  })

  test('is open without rows, and so is a group of it', async () => {
    expect((await why(hours, '15:30')).windows).toMatchObject([{ stands: { is: 'open', groups: 0 } }])
    expect((await why(hours, '10:30', { zone: '7' })).windows).toMatchObject([{ stands: { groups: 0 } }])
    expect((await why(hours, '10:30', { zone: '74' })).windows).toMatchObject([
      { group: 'zone 74', stands: { groups: 1 } },
    ])
  })

  test('was closed in an epoch, has results, and rows that came late', async () => {
    expect(textsOf(await why(hours, '09:30'))).toEqual([
      "The window 2024-03-01T09:00Z to 2024-03-01T10:00Z of flow-1 was closed in epoch 1: 'a.jsonl' of source in took " +
        'the watermark to 2024-03-01T10:42:05Z. It has 1 result, in part-00000001-flow-1.jsonl. ' +
        '1 row came later and is in the late ledger, not in the result.',
    ])
    expect((await why(hours, '09:30', { zone: '2' })).windows).toMatchObject([{ stands: { results: 0, late: 0 } }])
    expect((await why(hours, '08:30')).windows).toMatchObject([{ stands: { is: 'closed', results: 0, late: 0 } }])
  })

  test('is closed by the end of a backfill', async () => {
    await lab.lines('c.jsonl', [row('11:13')])
    await run(hours)
    expect((await why(hours, '11:30')).windows).toMatchObject([
      { stands: { is: 'closed', results: 2, at: { by: { is: 'flush' } } } },
    ])
  })

  test('names what it does not have: a key, a value, a flow', async () => {
    expect((await failure(why(hours, '10:30', { zne: '1' }))).message).toContain(
      "group: 'zne' is not valid; expected a key",
    )
    expect((await failure(why(hours, '10:30', { zone: 'x' }))).message).toContain("group: zone: 'x' is not valid")
    const other = whyWindow(hours, { timeUs: 0n, group: {}, flow: 'flow-2' })
    expect((await failure(other)).message).toContain("flow: 'flow-2' is not valid; expected one of flow-1")
  })
})

test('a session is open until the watermark is two gaps behind its last row (S10)', async () => {
  await lab.lines('a.jsonl', [row('09:00', 1), row('09:20', 1), row('10:09', 2)])
  const sessions = windowed(lab, lab, { ...flow, delay: '10 minutes', gap: '30 minutes' })
  await run(sessions, { flush: false })
  const found = await why(sessions, '09:30')
  expect(textsOf(found)).toEqual([
    'The window 2024-03-01T09:00Z to 2024-03-01T09:50Z of flow-1 is open, and has rows of 1 group. ' +
      'It closes when the watermark reaches 2024-03-01T10:20Z; it is at 2024-03-01T09:59Z. ' +
      "Source in holds it: its latest time is 2024-03-01T10:09Z ('a.jsonl'), less its delay of 10 minutes. " +
      'An object of in with a time of 2024-03-01T10:30Z or later moves it far enough.',
  ])
  expect((await why(sessions, '09:30', { zone: '2' })).others).toHaveLength(1)
})

test('a source without a watermark closes nothing before the end of a backfill', async () => {
  await lab.lines('a.jsonl', [row('09:00')])
  const { delay: _, ...without } = flow
  const hours = windowed(lab, lab, without)
  await run(hours, { flush: false })
  expect(textsOf(await why(hours, '09:30'))[0]).toContain('Source in has no watermark')
})

/** Two sources in one window, and hours that are folded into days. */
function together(): Pipeline {
  const of = (name: string, idle?: '15 minutes') =>
    source(name, {
      objects: `${lab.input}/${name}`,
      format: json(),
      columns: { at: 'TIMESTAMP NOT NULL', zone: 'BIGINT' },
      time: 'at',
      watermark: { delay: '1 hour', ...(idle && { idle }) },
    })
  return pipeline(
    'together',
    { checkpoint: lab.checkpoint },
    union(of('trips'), of('payments', '15 minutes')).pipe(
      tumbling('1 hour'),
      groupBy('zone'),
      aggregate({ n: count() }),
      tumbling('1 day'),
      groupBy('zone'),
      aggregate({ n: sum('n') }),
      to(files(lab.output, { format: 'json' })),
    ),
  )
}

test('a source that has not come holds what several feed, and windows of an earlier step are told (S4, S13)', async () => {
  await lab.lines('trips/a.jsonl', [row('09:00'), row('23:30')])
  await lab.lines('payments/z.txt', [])
  const days = together()
  await run(days, { flush: false })
  expect(textsOf(await why(days, '12:00'))).toEqual([
    'The window 2024-03-01T00:00Z to 2024-03-02T00:00Z of flow-1 is open, and no row of it has come to its step. ' +
      '2 open windows of the aggregate before it lie in it, and give their results to it when they close. ' +
      'It closes when the watermark reaches 2024-03-02T00:00Z; there is none yet. ' +
      'Source payments holds it: nothing of it has been read yet. ' +
      'A run that follows waits 15 minutes for it, and then goes on without it. ' +
      "Source trips holds it: its latest time is 2024-03-01T23:30Z ('a.jsonl'), less its delay of 1 hour. " +
      'An object of trips with a time of 2024-03-02T01:00Z or later moves it far enough. It waits for each of them.',
  ])
})
