import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import {
  aggregate,
  union,
  session,
  select,
  rows,
  deltas,
  dedupe,
  cumulative,
  applyLate,
  count,
  countDistinct,
  files,
  groupBy,
  hopping,
  inspect,
  json,
  late,
  max,
  pipeline,
  query,
  source,
  sum,
  to,
  topN,
  tumbling,
  verify,
  where,
} from '../../src/index.ts'
import { components } from '../../src/engine/components.ts'
import { examine } from '../../src/status/doctor/doctor.ts'
import { drawn } from '../golden/drawn.ts'
import { failure, type Lab, openLab, outputFiles, outputHashes, type Place, run } from './harness.ts'

let lab: Lab
beforeEach(async () => {
  lab = await openLab()
})
afterEach(() => lab[Symbol.asyncDispose]())

const minute = 60_000
const hour = 60 * minute
const delay = hour
const zero = Date.parse('2024-05-01T00:00:00Z')
const timeOf = (ms: number) => new Date(ms).toISOString().slice(0, 19).replace('T', ' ')
const below = (t: number, size: number) => Math.floor(t / size) * size

interface InputRow {
  readonly t: number
  readonly zone: string | null
  readonly n: number
  /** A whole number, or a power of two so large that its sums need bins of their own. */
  readonly x: number
}

interface Window {
  readonly start: number
  readonly end: number
}
type Windows = (t: number) => readonly Window[]

const huge = 2 ** 900

/** What the rules say of rows, object by object: plain arrays, no SQL. */
class Rules {
  readonly windows: Windows
  readonly retention: number
  watermark = Number.NEGATIVE_INFINITY
  readonly taken: { readonly row: InputRow; readonly window: Window }[] = []
  late: { readonly row: InputRow; readonly window: Window }[] = []

  constructor(windows: Windows, retention: number) {
    this.windows = windows
    this.retention = retention
  }

  read(object: readonly InputRow[]): void {
    for (const row of object)
      for (const window of this.windows(row.t)) {
        const pair = { row, window }
        if (window.end > this.watermark) this.taken.push(pair)
        else this.late.push(pair)
      }
    this.watermark = Math.max(this.watermark, Math.max(...object.map(({ t }) => t)) - delay)
  }

  /** @returns how many it takes */
  apply({ start = Number.NEGATIVE_INFINITY, end = Number.POSITIVE_INFINITY }: Partial<Window> = {}): number {
    const isTaken = ({ window }: { readonly window: Window }) =>
      window.start >= start && window.end <= end && window.end + this.retention > this.watermark
    const found = this.late.filter(isTaken)
    this.late = this.late.filter(pair => !found.includes(pair))
    this.taken.push(...found)
    return found.length
  }

  /** One batch over all rows that were taken, in windows that are closed. */
  results(isKept: (s: number) => boolean): readonly string[] {
    const groups = new Map<string, { readonly window: Window; readonly rows: InputRow[] }>()
    for (const { row, window } of this.taken) {
      const id = JSON.stringify([window.end, row.zone])
      const group = groups.get(id) ?? { window, rows: [] }
      group.rows.push(row)
      groups.set(id, group)
    }
    return [...groups.values()]
      .filter(({ window }) => window.end <= this.watermark)
      .map(({ window, rows }) => resultOf(window, rows))
      .filter(({ s }) => isKept(s))
      .map(row => JSON.stringify(row))
      .toSorted()
  }
}

function resultOf({ start, end }: Window, rows: readonly InputRow[]) {
  const total = (values: readonly number[]) => values.reduce((a, b) => a + b, 0)
  const isHuge = ({ x }: InputRow) => Math.abs(x) === huge
  // Each part is exact, and their sum is rounded once.
  const x = total(rows.filter(isHuge).map(row => row.x)) + total(rows.filter(row => !isHuge(row)).map(row => row.x))
  return {
    window_start: timeOf(start),
    window_end: timeOf(end),
    zone: rows[0]?.zone ?? null,
    trips: rows.length,
    s: total(rows.map(({ n }) => n)),
    kinds: new Set(rows.map(({ n }) => n)).size,
    x,
  }
}

const kinds: readonly { readonly name: string; readonly window: never; readonly windows: Windows }[] = [
  {
    name: 'tumbling',
    window: tumbling('1 hour') as never,
    windows: t => [{ start: below(t, hour), end: below(t, hour) + hour }],
  },
  {
    name: 'tumbling with an offset',
    window: tumbling('1 hour', { offset: '20 minutes' }) as never,
    windows: t => {
      const start = below(t - 20 * minute, hour) + 20 * minute
      return [{ start, end: start + hour }]
    },
  },
  {
    name: 'hopping',
    window: hopping('90 minutes', '1 hour') as never,
    windows: t =>
      [0, 1]
        .map(back => ({ start: below(t, hour) - back * hour, end: below(t, hour) - back * hour + 90 * minute }))
        .filter(({ end }) => end > t),
  },
]

const trips = (retention: '30 days' | '5 hours') =>
  source('trips', {
    objects: lab.input,
    format: json(),
    columns: { t: 'TIMESTAMP NOT NULL', zone: 'VARCHAR', n: 'BIGINT', x: 'DOUBLE' },
    time: 't',
    watermark: { delay: '1 hour' },
    late: { retention },
  })

/** Results that are final, with a filter that rows may leave, and beside them changes of all of them. */
const flowsOf = (at: Place, window: never, retention: '30 days' | '5 hours') => {
  const sums = (trips(retention) as never as { pipe(...steps: unknown[]): ReturnType<typeof trips> }).pipe(
    window,
    groupBy('zone' as never),
    aggregate({ trips: count(), s: sum('n' as never), kinds: countDistinct('n' as never), x: sum('x' as never) }),
  )
  return pipeline(
    'late',
    { checkpoint: at.checkpoint },
    sums.pipe(where('s BETWEEN -25 AND 25' as never), to(files(join(at.output, 'final'), { format: 'json' }) as never)),
    sums.pipe(to(files(join(at.output, 'now'), { format: 'json' }) as never, { emit: 'update' })),
  )
}

/** Objects whose hours go on, with rows of up to ten hours before. */
function drawObjects(random: () => number, from: number, count: number): readonly (readonly InputRow[])[] {
  const whole = (least: number, most: number) => least + Math.floor(random() * (most - least + 1))
  return Array.from({ length: count }, (_, object) =>
    Array.from({ length: 25 }, (): InputRow => {
      const shift = random() < 0.3 ? -whole(0, 10 * 60) : whole(0, 59)
      return {
        t: zero + (from + object) * hour + shift * minute,
        zone: ['a', 'b', null][whole(0, 2)] as string | null,
        n: whole(-10, 10),
        x: random() < 0.02 ? (random() < 0.5 ? huge : -huge) : whole(-1000, 1000) / 4,
      }
    }),
  )
}

async function writeObjects(objects: readonly (readonly InputRow[])[], from: number): Promise<void> {
  for (const [index, rows] of objects.entries())
    await lab.lines(
      `f${String(from + index).padStart(3, '0')}.jsonl`,
      rows.map(({ t, ...row }) => JSON.stringify({ t: timeOf(t), ...row })),
    )
}

const textsOf = (rows: readonly object[]) => rows.map(row => JSON.stringify(row)).toSorted()

/** The latest view of a flow, as JSON has it. */
async function latestOf(at: Place, flow: 1 | 2): Promise<readonly string[]> {
  const { rows } = await query(
    at.checkpoint,
    `SELECT strftime(window_start, '%Y-%m-%d %H:%M:%S') AS window_start, strftime(window_end, '%Y-%m-%d %H:%M:%S') AS window_end, ` +
      `zone, CAST(trips AS INTEGER) AS trips, CAST(s AS INTEGER) AS s, CAST(kinds AS INTEGER) AS kinds, x FROM latest_flow_${flow}`,
  )
  return textsOf(rows)
}

const thirtyDays = '30 days'
const fiveHours = '5 hours'

test.each([
  { kind: kinds[0], retention: thirtyDays },
  { kind: kinds[1], retention: fiveHours },
  { kind: kinds[2], retention: thirtyDays },
  { kind: kinds[2], retention: fiveHours },
] as const)(
  'results are those of one batch over all rows within the retention (S16): $kind.name, $retention',
  async ({ kind, retention }) => {
    const { window, windows } = kind as NonNullable<typeof kind>
    const { random, label } = drawn()
    const at = lab.place('a')
    const flows = flowsOf(at, window, retention)
    const rules = new Rules(windows, retention === thirtyDays ? 30 * 24 * hour : 5 * hour)
    let objects = 0
    let taken = 0
    for (let round = 0; round < 3; round++) {
      const fresh = drawObjects(random, objects, 5)
      await writeObjects(fresh, objects)
      objects += fresh.length
      for (const object of fresh) rules.read(object)
      await run(flows, { flush: false, objectsPerEpoch: 1 + round })
      const before = await outputHashes(at.output)
      const from = zero + 4 * hour
      const asked = round === 1 ? { window: `${new Date(from).toISOString().slice(0, 19)}Z/` } : {}
      const named = round === 1 ? { start: from } : {}
      const { rows: told } = await applyLate(at.checkpoint, { ...asked, dryRun: true })
      const { rows } = await applyLate(at.checkpoint, asked)
      expect(rows, label).toBe(told)
      expect(rows, label).toBe(rules.apply(named))
      taken += rows
      await run(flows, { flush: false })
      // What is there stays as it is, byte for byte.
      expect(await outputHashes(at.output)).toMatchObject(before)
      expect(await latestOf(at, 1), `${label}, round ${round}`).toEqual(rules.results(s => Math.abs(s) <= 25))
      const closed = (await latestOf(at, 2)).filter(row => JSON.parse(row).window_end <= timeOf(rules.watermark))
      expect(closed, `${label}, round ${round}`).toEqual(rules.results(() => true))
    }
    expect((await applyLate(at.checkpoint)).rows).toBe(0)
    expect((await inspect(at.checkpoint)).totals.applied, label).toBe(taken)
    expect(taken, label).toBeGreaterThan(5)
    expect((await verify(flows)).differences).toEqual([])
  },
)

test('corrections are changes that fit what was given, each with its epoch', async () => {
  const { random, label } = drawn()
  const at = lab.place('a')
  const flows = flowsOf(at, kinds[0]?.window as never, '30 days')
  const objects = drawObjects(random, 0, 12)
  await writeObjects(objects, 0)
  await run(flows, { flush: false })
  const rowsIn = async (folder: string) => {
    const names = (await outputFiles(join(at.output, 'final'))).filter(name => name.startsWith('_') === (folder !== ''))
    const texts = await Promise.all(names.map(name => readFile(join(at.output, 'final', name), 'utf8')))
    return texts.flatMap(text => text.split('\n').flatMap(line => (line === '' ? [] : [JSON.parse(line)])))
  }
  const given = await rowsIn('')
  await applyLate(at.checkpoint)
  const { run: done } = await run(flows, { flush: false })
  expect(done.epochs).toBe(1)
  const changes = await rowsIn('_corrections')
  const view = new Map(given.map(row => [JSON.stringify([row.window_end, row.zone]), JSON.stringify(row)]))
  const before = view.size
  for (const { _op, _epoch, ...row } of changes) {
    const id = JSON.stringify([row.window_end, row.zone])
    expect(_epoch, label).toBe((await lab.head(at)).manifest.epoch)
    if (_op === 'delete') {
      expect(view.get(id), label).toBe(JSON.stringify(row))
      view.delete(id)
    } else {
      expect(view.get(id), label).not.toBe(JSON.stringify(row))
      view.set(id, JSON.stringify(row))
    }
  }
  expect(new Set(changes.map(({ _op }) => _op)), label).toEqual(new Set(['upsert', 'delete']))
  expect(before, label).toBeGreaterThan(5)
  const rules = new Rules(kinds[0]?.windows as Windows, 30 * 24 * hour)
  for (const object of objects) rules.read(object)
  rules.apply()
  expect([...view.values()].toSorted(), label).toEqual(rules.results(s => Math.abs(s) <= 25))
})

test.each([thirtyDays, fiveHours] as const)(
  'a step behind another one has its results of what that has in the end, through a filter, within %s',
  async retention => {
    const { random, label } = drawn()
    const at = lab.place('a')
    const { windows } = kinds[0] as (typeof kinds)[number]
    const rules = new Rules(windows, retention === thirtyDays ? 30 * 24 * hour : 5 * hour)
    const flows = pipeline(
      'late',
      { checkpoint: at.checkpoint },
      trips(retention).pipe(
        tumbling('1 hour'),
        groupBy('zone'),
        aggregate({ trips: count(), s: sum('n') }),
        where('s > -10'),
        tumbling('6 hours'),
        groupBy('zone'),
        aggregate({ hours: count(), trips: sum('trips'), most: max('s'), kinds: countDistinct('s') }),
        where('hours < 6'),
        to(files(at.output, { format: 'parquet' })),
      ),
    )
    let objects = 0
    for (let round = 0; round < 2; round++) {
      const fresh = drawObjects(random, objects, 9)
      await writeObjects(fresh, objects)
      objects += fresh.length
      for (const object of fresh) rules.read(object)
      await run(flows, { flush: false, objectsPerEpoch: 2 + round })
      expect((await applyLate(at.checkpoint)).rows, label).toBe(rules.apply())
      await run(flows, { flush: false })
      const { rows } = await query(
        at.checkpoint,
        `SELECT strftime(window_start, '%Y-%m-%d %H:%M:%S') AS window_start, zone, CAST(hours AS INTEGER) AS hours, ` +
          'CAST(trips AS INTEGER) AS trips, CAST(most AS INTEGER) AS most, CAST(kinds AS INTEGER) AS kinds FROM latest',
      )
      expect(textsOf(rows), `${label}, round ${round}`).toEqual(sixHours(rules))
    }
    expect((await query(at.checkpoint, 'FROM corrections_flow_1')).rows.length, label).toBeGreaterThan(0)
    expect((await verify(flows)).differences).toEqual([])
  },
)

/** The results of hours, summed up by six hours, as far as those are closed. */
function sixHours(rules: Rules): readonly string[] {
  const results = rules.results(s => s > -10).map(row => JSON.parse(row) as ReturnType<typeof resultOf>)
  const groups = new Map<string, { readonly start: number; readonly rows: ReturnType<typeof resultOf>[] }>()
  for (const row of results) {
    const start = below(Date.parse(`${row.window_start}Z`), 6 * hour)
    const id = JSON.stringify([start, row.zone])
    const group = groups.get(id) ?? { start, rows: [] }
    group.rows.push(row)
    groups.set(id, group)
  }
  return [...groups.values()]
    .filter(({ start, rows }) => start + 6 * hour <= rules.watermark && rows.length < 6)
    .map(({ start, rows }) => ({
      window_start: timeOf(start),
      zone: rows[0]?.zone ?? null,
      hours: rows.length,
      trips: rows.reduce((sum, row) => sum + row.trips, 0),
      most: Math.max(...rows.map(({ s }) => s)),
      kinds: new Set(rows.map(({ s }) => s)).size,
    }))
    .map(row => JSON.stringify(row))
    .toSorted()
}

test('what was asked for waits in the checkpoint, once for each time, and is told of as applied', async () => {
  const { random } = drawn()
  const at = lab.place('a')
  const flows = flowsOf(at, kinds[0]?.window as never, '30 days')
  await writeObjects(drawObjects(random, 0, 12), 0)
  await run(flows, { flush: false })
  const early = `/${new Date(zero + 3 * hour).toISOString().slice(0, 19)}Z`
  const first = await applyLate(at.checkpoint, { window: early })
  const [step] = first.steps
  expect(step).toMatchObject({ flows: ['flow-1', 'flow-2'], rows: first.rows, expired: 0, applied: 0 })
  const all = await applyLate(at.checkpoint)
  expect(all.steps[0]).toMatchObject({ rows: all.rows, applied: first.rows })
  expect(first.rows).toBeGreaterThan(0)
  expect(all.rows).toBeGreaterThan(0)
  expect(await inspect(at.checkpoint)).toMatchObject({ applyLate: 2, totals: { applied: 0 } })
  const { run: done, totals } = await run(flows, { flush: false })
  expect(done.epochs).toBe(2)
  expect(totals.applied).toBe(first.rows + all.rows)
  expect((await inspect(at.checkpoint)).applyLate).toBe(0)
  const entries = (await lab.channel('ledger', at)).filter(({ is }) => is === 'apply')
  const toUs = String((zero + 3 * hour) * 1000)
  expect(entries.map(({ applied }) => JSON.parse(applied ?? ''))).toEqual([
    { beforeSeq: 13, fromUs: null, toUs, rows: first.rows },
    { beforeSeq: 13, fromUs: null, toUs: null, rows: all.rows },
  ])
  const state = await lab.channels(`segment-${step?.step}`, at)
  const lateRows = await lab.channel(`late-${step?.step}`, at)
  const [found] = (await examine(components, flows, {})).filter(({ check }) => check === 'state')
  expect(found?.message).toMatch(
    new RegExp(
      `^flow-1, flow-2, step ${step?.step}: late: { retention } keeps the state of windows for 30 days after their end. ` +
        `The checkpoint has ${state.length} rows, [\\d.]+ kB of state, open windows among them, and ${lateRows.length} rows, ` +
        `[\\d.]+ kB in the late ledger$`,
    ),
  )
  const none = await applyLate(at.checkpoint)
  expect(none.rows).toBe(0)
  expect(none.steps[0]).toMatchObject({ rows: 0, windows: 0, from: null, to: null, applied: first.rows + all.rows })
  // Nothing new has come, so the end of the listing has nothing to flush but what it had before.
  expect((await run(flows, { flush: false })).nothingToDo).toBe(true)
})

test('a checkpoint whose source keeps no state for late rows is refused, and so is one that is sealed', async () => {
  const { random } = drawn()
  await writeObjects(drawObjects(random, 0, 3), 0)
  const plain = lab.place('plain')
  const flow = source('trips', {
    objects: lab.input,
    format: json(),
    columns: { t: 'TIMESTAMP NOT NULL', zone: 'VARCHAR' },
    time: 't',
    watermark: { delay: '1 hour' },
  }).pipe(
    tumbling('1 hour'),
    groupBy('zone'),
    aggregate({ trips: count() }),
    to(files(plain.output, { format: 'json' })),
  )
  await run(pipeline('plain', { checkpoint: plain.checkpoint }, flow))
  const refused = await failure(applyLate(plain.checkpoint))
  expect(refused).toMatchObject({ kind: 'user', code: 'late-not-kept' })
  expect(refused.message).toContain("source trips has no late: { retention: '30 days' }")
  const sealed = lab.place('sealed')
  await run(flowsOf(sealed, kinds[0]?.window as never, '30 days'), { final: true })
  const isSealed = await failure(applyLate(sealed.checkpoint))
  expect(isSealed).toMatchObject({ kind: 'user', code: 'sealed' })
  expect(isSealed.message).toContain(
    'begin again with a new checkpoint and output folder: run backfill without --final',
  )
  for (const [window, found] of [
    ['2024-01-02/2024-01-01', 'a second time after the first'],
    ['2024-01-02', 'two times with / between them'],
    ['today/', 'apply-late: window'],
  ] as const)
    expect((await failure(applyLate(sealed.checkpoint, { window }))).message).toContain(found)
})

describe('a flow to whose results nothing can be added is refused when it starts, with what to write', () => {
  type Pipe = { pipe(...steps: unknown[]): ReturnType<typeof trips> }
  const hours = () => [tumbling('1 hour'), groupBy('zone' as never), aggregate({ n: count() })] as const
  const end = () => to(files(lab.output, { format: 'json' }) as never)
  const piped = (...steps: unknown[]) => (trips('30 days') as never as Pipe).pipe(...steps)
  const only = 'only aggregate({...}) over tumbling(...) or hopping(...) takes rows into windows that have closed'
  test.each([
    [
      'sessions',
      () => piped(session('1 hour'), ...hours().slice(1), end()),
      `behind aggregate over session(...): ${only}`,
    ],
    [
      'cumulative',
      () => piped(cumulative('1 day', '1 hour'), ...hours().slice(1), end()),
      `over cumulative(...): ${only}`,
    ],
    ['dedupe', () => piped(dedupe('zone' as never, '1 hour'), ...hours(), end()), `behind dedupe: ${only}`],
    ['deltas', () => piped(...hours(), deltas({ of: ['n'], expireAfter: '1 day' } as never), end()), 'behind deltas'],
    [
      'a union',
      () => {
        const one = trips('30 days')
        return union(one, one).pipe(...(hours() as never as [never]), end() as never)
      },
      'behind union, where several inputs meet',
    ],
    [
      'a rank between two steps',
      () =>
        piped(
          ...hours(),
          topN(3, { by: ['n'] } as never),
          tumbling('1 day'),
          groupBy(),
          aggregate({ m: count() }),
          end(),
        ),
      'where topN stands between two steps that keep state',
    ],
    [
      'rows that are handed over',
      () => piped(...hours(), rows()),
      "write rows({ emit: 'update' }), which tells what changes",
    ],
    [
      'a key that is dropped',
      () => piped(...hours(), select('window_start' as never, 'n' as never), end()),
      "tells results apart by their column 'zone', which select does not hand on",
    ],
  ] as const)('%s', async (_, flow, message) => {
    const refused = await failure(run(pipeline('late', { checkpoint: lab.checkpoint }, flow() as never)))
    expect(refused).toMatchObject({ kind: 'user', code: 'plan' })
    expect(refused.message).toContain('source trips has late: { retention }, and its late rows cannot be applied')
    expect(refused.message).toContain(message)
    expect(refused.message).toContain('let this flow begin with a source of its own that has no such option')
  })

  test('but not one of the late rows themselves, which are given once', async () => {
    const { random } = drawn()
    await writeObjects(drawObjects(random, 0, 8), 0)
    const hourly = piped(...hours())
    const lateRows = (late(hourly as never) as never as Pipe).pipe(
      to(files(join(lab.root, 'late'), { format: 'json' }) as never),
    )
    const flows = pipeline('late', { checkpoint: lab.checkpoint }, hourly.pipe(end() as never), lateRows as never)
    await run(flows, { flush: false })
    const before = await outputHashes(join(lab.root, 'late'))
    expect(Object.keys(before).length).toBeGreaterThan(0)
    expect((await applyLate(lab.checkpoint)).rows).toBeGreaterThan(0)
    await run(flows, { flush: false })
    expect(await outputHashes(join(lab.root, 'late'))).toEqual(before)
    expect((await outputFiles(lab.output)).some(name => name.startsWith('_corrections/'))).toBe(true)
  })

  test('the option is part of the plan: it cannot be added to a checkpoint', async () => {
    const { random } = drawn()
    await writeObjects(drawObjects(random, 0, 2), 0)
    const of = (late: object) =>
      pipeline(
        'late',
        { checkpoint: lab.checkpoint },
        source('trips', {
          objects: lab.input,
          format: json(),
          columns: { t: 'TIMESTAMP NOT NULL', zone: 'VARCHAR' },
          time: 't',
          watermark: { delay: '1 hour' },
          ...late,
        }).pipe(...(hours() as never as [never]), end() as never),
      )
    await run(of({}))
    const refused = await failure(run(of({ late: { retention: '30 days' } })))
    expect(refused).toMatchObject({ kind: 'user', code: 'plan-changed' })
    expect(refused.message).toContain('late')
  })
})
