import { afterEach, beforeEach, expect, test } from 'vitest'
import { whyRow } from '../../src/engine/inspect/why-row.ts'
import { whyWindow } from '../../src/engine/inspect/why-window.ts'
import { type WindowFacts, windowText } from '../../src/engine/report/why.ts'
import {
  aggregate,
  calendar,
  count,
  cumulative,
  dedupe,
  files,
  groupBy,
  hopping,
  join,
  json,
  type Pipeline,
  pipeline,
  select,
  session,
  source,
  sum,
  to,
  tumbling,
  union,
} from '../../src/index.ts'
import { type Lab, openLab, run } from '../engine/harness.ts'
import { drawn, wholeFromEnvironment } from '../golden/drawn.ts'
import { beginningMs, drawStall, type Stall, toldOf, toldRowOf, type ToldWindow } from './why-stalls.ts'

/** Ledgers that stop somewhere; MILLRACE_STALLS=500 searches longer. */
const stalls = wholeFromEnvironment('MILLRACE_STALLS', 12)

let lab: Lab
beforeEach(async () => {
  lab = await openLab()
})
afterEach(() => lab[Symbol.asyncDispose]())

const us = (minutes: number) => BigInt(beginningMs + minutes * 60_000) * 1_000n
/** '2024-04-06T21:10Z' */
const shown = (minutes: number) => `${new Date(beginningMs + minutes * 60_000).toISOString().slice(0, 16)}Z`
const minutes = (size: number) => `${size} minutes` as const

/** The stall as a pipeline, in a folder of its own. */
function pipelineOf({ shape, size, every, outer, delays }: Stall, folder: string): Pipeline {
  const sources = delays.map((delay, index) =>
    source(`s${index}`, {
      objects: `${lab.input}/${folder}/s${index}`,
      format: json(),
      columns: { at: 'TIMESTAMP NOT NULL', zone: 'BIGINT' },
      time: 'at',
      watermark: { delay: minutes(delay) },
      onBadRow: 'quarantine',
    }),
  )
  const [first, second] = sources as [(typeof sources)[number], (typeof sources)[number] | undefined]
  const ended = to(files(`${lab.root}/${folder}-out`, { format: 'json' }))
  const place = { checkpoint: `${lab.root}/${folder}-ck` }
  if (second && shape.endsWith('join')) {
    const [left, right] = [first, second].map(one =>
      one.pipe(select('zone'), hopping(minutes(size), minutes(every)) as never),
    ) as [typeof first, typeof second]
    const kind = shape === 'full join' ? 'full' : 'inner'
    const pairs = left.pipe(join(right as never, { on: ['zone'], window: true, kind } as never))
    return pipeline('stalled', place, pairs.pipe(ended))
  }
  const rows = second ? union(first, second) : first
  const window =
    shape === 'hopping'
      ? hopping(minutes(size), minutes(every))
      : shape === 'cumulative'
        ? cumulative(minutes(size), minutes(every))
        : shape === 'calendar'
          ? calendar('hour', { timeZone: 'Australia/Lord_Howe' })
          : shape.includes('session')
            ? session(minutes(size))
            : tumbling(minutes(size))
  const windows = rows.pipe(window as ReturnType<typeof tumbling>, groupBy('zone' as never), aggregate({ n: count() }))
  const isOfRows = shape === 'folded last rows'
  const lasts = rows.pipe(dedupe('zone' as never, minutes(size), { keep: 'last' })) as unknown as typeof windows
  const folded = (isOfRows ? lasts : windows).pipe(
    tumbling(minutes(outer)) as never,
    groupBy('zone' as never),
    aggregate({ n: isOfRows ? count() : sum('n' as never) }),
  ) as typeof windows
  return pipeline('stalled', place, (shape.startsWith('folded') ? folded : windows).pipe(ended))
}

test('why is right of every window of a ledger that stops somewhere (S2, S4, S8, S9, S10, S13)', async () => {
  const { random, label } = drawn()
  for (let n = 0; n < stalls; n++) {
    const stall = drawStall(random)
    const folder = `n${n}`
    for (const index of stall.delays.keys()) await lab.lines(`${folder}/s${index}/none.txt`, [])
    for (const { key, source: of, rows } of stall.objects)
      await lab.lines(
        `${folder}/s${of}/${key}`,
        rows.map(({ t, zone }) => JSON.stringify({ at: t === null ? null : shown(t).slice(0, 16), zone })),
      )
    const of = pipelineOf(stall, folder)
    await run(of, { flush: stall.flush, objectsPerEpoch: stall.objectsPerEpoch })
    const epochs = new Map(
      (await lab.channel('ledger', { checkpoint: `${lab.root}/${folder}-ck`, output: '' })).map(row => [
        row.key,
        Number(row.epoch),
      ]),
    )
    const where = `${label}, stall ${n}: ${JSON.stringify(stall)}`
    await checkRow(of, stall, where)
    const found = await whyWindow(of, {
      timeUs: us(stall.at),
      group: stall.zone === undefined ? {} : { zone: String(stall.zone) },
    })
    const told = toldOf(stall)
    expect(
      found.windows.map(facts => compared(facts, stall)),
      where,
    ).toEqual(told.map(window => expected(window, epochs, stall)))
    expect(found.more + found.others.length, where).toBe(told.length === 0 ? 1 : 0)
    for (const [index, facts] of found.windows.entries())
      for (const words of wordsOf(told[index] as ToldWindow, stall)) expect(windowText(facts), where).toContain(words)
  }
}, 3_600_000)

/** One row of the ledger, by plain arithmetic. */
async function checkRow(of: Pipeline, stall: Stall, where: string): Promise<void> {
  const { object, row } = stall.row
  const found = await whyRow(of, { key: stall.objects[object]?.key ?? '', row })
  const told = toldRowOf(stall)
  const [{ stands } = { stands: undefined }] = found.rows
  if (told.is === 'bad') {
    expect(stands, where).toMatchObject({ is: 'bad', faults: [{ row, column: 'at' }] })
    return
  }
  const fates = stands?.is === 'good' ? stands.flows.flatMap(flow => flow.fates) : []
  const late = fates.find(fate => fate.is === 'late')
  if (told.is === 'without windows') {
    expect(late !== undefined, where).toBe(told.isLate)
    expect(fates, where).toHaveLength(1)
    return
  }
  const borders = (windows: readonly (readonly [number, number])[]) =>
    windows.map(([start, end]) => ({ startUs: us(start), endUs: us(end) }))
  const plain = (windows: readonly { readonly startUs: bigint; readonly endUs: bigint }[]) =>
    windows.map(({ startUs, endUs }) => ({ startUs, endUs }))
  const counted = fates.find(fate => fate.is === 'counted' || fate.is === 'handed-on')
  expect(plain(late?.windows ?? []), where).toEqual(borders(told.late))
  expect(plain(counted?.windows ?? []), where).toEqual(borders(told.counted))
}

const byName = (a: { readonly source: string }, b: { readonly source: string }) => (a.source < b.source ? -1 : 1)

function compared({ startUs, endUs, stands }: WindowFacts, { flush }: Stall): object {
  if (stands.is === 'closed') {
    const { at, results, late } = stands
    const by = at?.by.is === 'object' ? { key: at.by.key, epoch: at.epoch } : { is: at?.by.is }
    return { startUs, endUs, is: 'closed', by, results, late }
  }
  const { groups, behind, hold } = stands
  const holds = hold.sources.map(({ source: name, neededUs, by }) => ({
    source: name,
    neededUs,
    ...(flush ? {} : { key: by?.is === 'object' ? by.key : undefined }),
  }))
  const windows = behind.reduce((total, one) => total + one.windows, 0)
  return { startUs, endUs, is: 'open', groups, behind: windows, holds: holds.toSorted(byName) }
}

function expected(
  { start, end, stands }: ToldWindow,
  epochs: ReadonlyMap<string | null | undefined, number>,
  { flush }: Stall,
): object {
  const borders = { startUs: us(start), endUs: us(end), is: stands.is }
  if (stands.is === 'closed') {
    const { key, results, late } = stands
    const by = key === undefined ? { is: 'flush' } : { key, epoch: epochs.get(key) }
    return { ...borders, by, results, late }
  }
  const holds = stands.holds.map(({ source: index, needed, key }) => ({
    source: `s${index}`,
    neededUs: us(needed),
    // The end of a listing may have taken the source further than its objects have.
    ...(flush ? {} : { key }),
  }))
  return { ...borders, groups: stands.groups, behind: stands.behind, holds: holds.toSorted(byName) }
}

/** What a reader goes by: the object that holds the window, and the time that moves it. */
function wordsOf({ start, end, stands }: ToldWindow, { delays, flush }: Stall): readonly string[] {
  const name = `The window ${shown(start)} to ${shown(end)} of flow-1`
  if (stands.is === 'closed')
    return [name, 'was closed in epoch', stands.key === undefined ? 'the end of a backfill' : `'${stands.key}'`]
  if (flush) return [name, 'is open']
  return [
    name,
    'is open',
    ...stands.holds.flatMap(({ source: index, needed, key }) =>
      key === undefined
        ? [`Source s${index} holds it: `]
        : [`('${key}')`, `An object of s${index} with a time of ${shown(needed + (delays[index] as number))} or later`],
    ),
  ]
}
