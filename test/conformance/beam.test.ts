import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { parseAllDocuments } from 'yaml'
import {
  aggregate,
  collect,
  files,
  groupBy,
  json,
  max,
  min,
  pipeline,
  source,
  session,
  to,
  tumbling,
  where,
} from '../../src/index.ts'
import { type Lab, openLab, run } from '../engine/harness.ts'
import { sharedData } from '../shared-data.ts'

// Apache Beam's transcripts of triggers (docs/conformance.md): panes that come on time. A step is an object and an epoch. Elements are their own timestamps, in seconds; the delay is so long
// that only a mark, a row without a value, moves the watermark.

interface Pane {
  readonly window: readonly [first: number, last: number]
  readonly values?: readonly number[]
  readonly timestamp?: number
  readonly late?: boolean
  readonly early?: boolean
  readonly nonspeculative_index?: number
}

interface Transcript {
  readonly name: string
  readonly window_fn?: string
  readonly windowfn?: string
  readonly trigger_fn?: string
  readonly timestamp_combiner?: string
  readonly broken_on?: readonly string[]
  readonly error?: string
  readonly transcript: readonly {
    readonly input?: readonly number[]
    readonly watermark?: number
    readonly expect?: readonly Pane[]
  }[]
}

const data = sharedData('windowing')
const transcripts = data.isThere
  ? parseAllDocuments(await readFile(join(data.path, 'beam-trigger-transcripts.yaml'), 'utf8')).map(
      document => document.toJS() as Transcript,
    )
  : []

// The second is the first with a way of its own to stamp panes.
const fixed = ['FixedWindows(10)', 'CustomTimestampingFixedWindowsWindowFn(10)']
const isRun = (transcript: Transcript) =>
  fixed.includes(transcript.window_fn ?? transcript.windowfn ?? '') &&
  (transcript.trigger_fn ?? 'Default') === 'Default'
/** Beam's own tests of its runner: they must not pass. */
const mustFail = transcripts.filter(transcript => isRun(transcript) && transcript.error !== undefined)
const mustPass = transcripts.filter(transcript => isRun(transcript) && transcript.error === undefined)

let lab: Lab
beforeEach(async () => {
  lab = await openLab()
})
afterEach(() => lab[Symbol.asyncDispose]())

const delaySeconds = 1000
const at = (seconds: number) => new Date(seconds * 1000).toISOString()
const epochSeconds = (text: string | null | undefined) => Date.parse(`${text}Z`) / 1000

interface Seen {
  readonly window: readonly [first: number, last: number]
  readonly values: readonly number[]
  readonly earliest: number
  readonly latest: number
}

/** What came out after each step, and the late rows of all. */
async function play({
  transcript,
  window_fn,
}: Transcript): Promise<{ steps: readonly (readonly Seen[])[]; late: readonly string[] }> {
  const elements = source('elements', {
    objects: lab.input,
    format: json(),
    columns: { at: 'TIMESTAMP NOT NULL', value: 'INTEGER' },
    time: 'at',
    watermark: { delay: `${delaySeconds}s` },
  }).pipe(where('value is not null'))
  const windows = window_fn === 'Sessions(10)' ? elements.pipe(session('10s')) : elements.pipe(tumbling('10s'))
  const flow = windows.pipe(
    groupBy(),
    aggregate({ values: collect('value', { max: 100 }), earliest: min('at'), latest: max('at') }),
    to(files(lab.output, { format: 'parquet' })),
  )
  const steps: Seen[][] = []
  let known = 0
  for (const [index, step] of transcript.entries()) {
    if (step.input || step.watermark !== undefined) {
      const rows =
        step.watermark === undefined
          ? (step.input ?? []).map(value => ({ at: at(value), value }))
          : [{ at: at(step.watermark + delaySeconds), value: null }]
      await lab.lines(
        `${String(index).padStart(3, '0')}.jsonl`,
        rows.map(row => JSON.stringify(row)),
      )
      await run(pipeline('beam', { checkpoint: lab.checkpoint }, flow), { flush: false })
    }
    const all = (await lab.rows()).map(
      (row): Seen => ({
        window: [epochSeconds(row.window_start), epochSeconds(row.window_end) - 1],
        values: JSON.parse(row.values ?? '[]') as number[],
        earliest: epochSeconds(row.earliest),
        latest: epochSeconds(row.latest),
      }),
    )
    steps.push(all.slice(known))
    known = all.length
  }
  const late = (await lab.channels('late-')).map(
    row => `${row.value} for [${Number(row._window_start) / 1e6}, ${Number(row._window_end) / 1e6})`,
  )
  return { steps, late }
}

/** Beam says when a pane's timestamp is: at the end of its window, or at its earliest or latest element. */
const timestampOf = (seen: Seen, combiner: string | undefined): number => {
  if (combiner === 'OUTPUT_AT_EARLIEST') return seen.earliest
  if (combiner === 'OUTPUT_AT_LATEST') return seen.latest
  // The window function of that transcript adds a hundred seconds, as a user's `derive` would.
  return combiner === 'OUTPUT_AT_EARLIEST_TRANSFORMED' ? seen.earliest + 100 : seen.window[1]
}

/** On-time panes as Beam expects them after each step; those that it holds back by its watermark without a timestamp. */
async function expectPanes(transcript: Transcript): Promise<void> {
  const { steps } = await play(transcript)
  const isHeld = transcript.name.startsWith('known_late_data')
  const wanted = transcript.transcript.map(({ expect: panes = [] }) =>
    panes
      .filter(({ late }) => late !== true)
      .map(({ window, values, timestamp }) => ({
        window,
        values: values?.toSorted((a, b) => a - b),
        ...(timestamp === undefined || isHeld ? {} : { timestamp }),
      })),
  )
  // What a step made final is expected at the next one, `expect`.
  const found: (typeof wanted)[number][] = wanted.map(() => [])
  for (const [index, seen] of steps.entries())
    for (const pane of seen) {
      const isExpectedNext =
        transcript.transcript[index]?.expect === undefined && transcript.transcript[index + 1]?.expect !== undefined
      const place = isExpectedNext ? index + 1 : index
      const stamped = wanted[place]?.find(({ window }) => window[0] === pane.window[0])?.timestamp !== undefined
      found[place]?.push({
        window: pane.window,
        values: pane.values.toSorted((a, b) => a - b),
        ...(stamped ? { timestamp: timestampOf(pane, transcript.timestamp_combiner) } : {}),
      })
    }
  expect(found).toEqual(wanted)
}

describe.skipIf(!data.isThere)('Beam', () => {
  test.each(mustPass)('$name', async transcript => {
    await expectPanes(transcript)
  })

  test('fixed_default_late_data: the late element is kept and not counted, as results are final', async () => {
    const transcript = transcripts.find(({ name }) => name === 'fixed_default_late_data') as Transcript
    const { steps, late } = await play(transcript)
    expect(late).toEqual(['7 for [0, 10)'])
    expect(steps.flat()).toHaveLength(3)
  })

  test('early_late_sessions: the pane on time has all elements so far, in one; those after it are late', async () => {
    const transcript = transcripts.find(({ name }) => name === 'early_late_sessions') as Transcript
    const panes = transcript.transcript.flatMap(({ expect: panes = [] }) => panes)
    const onTime = panes.find(({ early, nonspeculative_index }) => early !== true && nonspeculative_index === 0)
    const { steps, late } = await play(transcript)
    expect(steps.flat().map(({ window, values }) => ({ window, values: values.toSorted((a, b) => a - b) }))).toEqual([
      { window: onTime?.window, values: onTime?.values },
    ])
    expect(late.toSorted()).toEqual(['1 for [1, 11)', '3 for [3, 13)', '4 for [4, 14)'])
  })

  test('discarding_early_fixed: a window has at once what the panes of Beam have together', async () => {
    const transcript = transcripts.find(({ name }) => name === 'discarding_early_fixed') as Transcript
    const panes = transcript.transcript.flatMap(({ expect: panes = [] }) => panes)
    const together = [0, 10].map(start => ({
      window: [start, start + 9],
      values: panes.flatMap(({ window, values = [] }) => (window[0] === start ? values : [])),
    }))
    const { steps, late } = await play(transcript)
    expect(steps.flat().map(({ window, values }) => ({ window, values }))).toEqual(together)
    expect(late).toEqual([])
  })

  test.each(mustFail)('$name is told: $error', async transcript => {
    await expect(expectPanes(transcript)).rejects.toMatchObject({ name: 'AssertionError' })
  })

  test('docs/conformance.md names every transcript and every golden output', async () => {
    const page = await readFile(join(import.meta.dirname, '../../docs/conformance.md'), 'utf8')
    const rows = page.split('\n').flatMap(line => /^\| `([^`]+)`/.exec(line)?.[1] ?? [])
    const goldens = [
      'hourly_by_event_type',
      'month_loose_watermark',
      'most_active_driver_last_hour',
      'grouped_aggregates',
    ]
    expect(rows.toSorted()).toEqual([...new Set([...goldens, ...transcripts.map(({ name }) => name)])].toSorted())
  })
})
