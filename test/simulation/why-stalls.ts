/** A drawn ledger that stops somewhere, a window to ask for, and the answer by plain arithmetic over its rows. */
import { whole } from '../trials/ledger.ts'

/** Three hours before clocks of Lord Howe Island go back by half an hour. */
export const beginningMs = Date.UTC(2024, 3, 6, 12)

const shapes = [
  'tumbling',
  'hopping',
  'cumulative',
  'session',
  'folded hours',
  'folded sessions',
  'folded last rows',
  'calendar',
  'inner join',
  'full join',
] as const

/** Times are minutes since the beginning. */
export interface Stall {
  /** Joins are of rows in the same hopping window. */
  readonly shape: (typeof shapes)[number]
  /** Of windows; of sessions the gap, of the last rows of a zone for how long no later one may come. */
  readonly size: number
  readonly every: number
  /** Of the windows that results are folded into. */
  readonly outer: number
  /** By source: the delay. */
  readonly delays: readonly number[]
  readonly objects: readonly StalledObject[]
  readonly objectsPerEpoch: number
  /** A time in the window that is asked for. */
  readonly at: number
  readonly zone: number | undefined
  /** The end of the listing closes what has rows. */
  readonly flush: boolean
  /** The row that is asked for. */
  readonly row: { readonly object: number; readonly row: number }
}

export interface StalledObject {
  readonly key: string
  readonly source: number
  /** A row without a time is a bad one. */
  readonly rows: readonly { readonly t: number | null; readonly zone: number }[]
}

export function drawStall(random: () => number): Stall {
  const shape = shapes[whole(random, 0, shapes.length - 1)] as Stall['shape']
  const size = 10 * whole(random, 1, 6)
  const isJoin = shape.endsWith('join')
  const sources = isJoin || random() < 0.5 ? 2 : 1
  const delays = Array.from({ length: sources }, () => 10 * whole(random, 0, 4))
  let now = whole(random, 0, 60)
  const objects = Array.from({ length: whole(random, 1, 8) }, (_, index) => {
    now += whole(random, 0, 40)
    const rows = Array.from({ length: whole(random, 1, 4) }, () => ({
      t: random() < 0.1 ? null : Math.max(0, now - whole(random, 0, 70)),
      zone: whole(random, 1, 3),
    }))
    return { key: `o${index}.jsonl`, source: whole(random, 0, delays.length - 1), rows }
  })
  const flush = !shape.startsWith('folded') && random() < 0.3
  const object = whole(random, 0, objects.length - 1)
  return {
    shape,
    flush,
    row: { object, row: whole(random, 0, (objects[object] as StalledObject).rows.length - 1) },
    size,
    every: size / (size % 20 === 0 ? 2 : 1),
    outer: size * whole(random, 2, 4),
    delays,
    objects,
    objectsPerEpoch: whole(random, 1, 3),
    at: whole(random, 0, now + 30),
    zone: !isJoin && random() < 0.4 ? whole(random, 1, 3) : undefined,
  }
}

/** What must be told of a window. */
export interface ToldWindow {
  readonly start: number
  readonly end: number
  readonly closesAt: number
  readonly stands:
    | {
        readonly is: 'open'
        /** Of a join null, as it has none. */
        readonly groups: number | null
        /** Open windows of the step before that lie in it. */
        readonly behind: number
        /** By source: the watermark that is needed, and the object that its own comes from. */
        readonly holds: readonly {
          readonly source: number
          readonly needed: number
          readonly key: string | undefined
        }[]
      }
    /** By an object; without a key by the end of the listing. */
    | { readonly is: 'closed'; readonly key: string | undefined; readonly results: number; readonly late: number }
}

interface Row {
  readonly source: number
  readonly t: number
  readonly zone: number
  /** The watermark of the first step before its object. */
  readonly before: number
}

type Window = readonly [start: number, end: number]

/** The windows that hold a time, in the order of their ends (S9). */
function windowsAt({ shape, size, every }: Stall, t: number): readonly Window[] {
  if (shape === 'calendar') return [hourAt(t)]
  const apart = shape === 'hopping' || shape.endsWith('join') ? every : size
  const last = startBelow(t, apart)
  if (shape === 'cumulative')
    return Array.from({ length: size / every }, (_, n): Window => [last, last + (n + 1) * every]).filter(
      ([, end]) => end > t,
    )
  return Array.from({ length: Math.ceil(size / apart) }, (_, n): Window => [last - n * apart, last - n * apart + size])
    .filter(([, end]) => end > t)
    .toReversed()
}

/** An hour as clocks of Lord Howe Island show it: 11 hours ahead of UTC, then ten and a half; one hour comes twice in half. */
function hourAt(t: number): Window {
  if (t >= 120 && t < 210) return [120, 210]
  const start = t < 120 ? Math.floor(t / 60) * 60 : 210 + Math.floor((t - 210) / 60) * 60
  return [start, start + 60]
}

const never = -Infinity

/** The watermarks after each object: of the sources, and of what they feed together. */
function clocksOf({ objects, delays }: Stall) {
  const sources = delays.map(() => ({ watermark: never, key: undefined as string | undefined }))
  let clock = never
  const after: { readonly key: string; readonly clock: number }[] = []
  const rows: Row[] = []
  for (const object of objects) {
    const times = object.rows.flatMap(({ t, zone }) =>
      t === null ? [] : [{ source: object.source, t, zone, before: clock }],
    )
    rows.push(...times)
    const mark = Math.max(never, ...times.map(({ t }) => t)) - (delays[object.source] as number)
    const source = sources[object.source] as (typeof sources)[number]
    if (mark > source.watermark) Object.assign(source, { watermark: mark, key: object.key })
    clock = Math.max(clock, Math.min(...sources.map(({ watermark }) => watermark)))
    after.push({ key: object.key, clock })
  }
  return { sources, clock, after, rows }
}

/** Where the end of the listing takes the watermark of the step: to the last end of windows that have rows (S6). */
function flushedTo(stall: Stall): number {
  if (!stall.flush) return never
  if (stall.shape === 'session') return Math.max(never, ...islandsOf(stall).map(({ last }) => last + 2 * stall.size))
  const { rows } = clocksOf(stall)
  const ends = rows.flatMap(({ t, before }) => windowsAt(stall, t).flatMap(([, end]) => (end > before ? [end] : [])))
  return Math.max(never, ...ends)
}

/** Minutes from 1970, to which windows align (S9), to the beginning. */
const beginning = beginningMs / 60_000

/** The last start of a window at or below this time. */
const startBelow = (t: number, apart: number) => Math.floor((t + beginning) / apart) * apart - beginning

/** The windows that hold the time, in the order of their ends. */
export function toldOf(stall: Stall): readonly ToldWindow[] {
  const { shape, outer, at } = stall
  if (shape === 'session') return toldSessions(stall)
  if (!shape.startsWith('folded')) return windowsAt(stall, at).map(([start, end]) => toldFixed(stall, start, end))
  const start = startBelow(at, outer)
  return [toldFolded(stall, start, start + outer)]
}

const isAsked =
  ({ zone }: Stall) =>
  (row: { readonly zone: number }) =>
    zone === undefined || row.zone === zone
const zonesOf = (rows: readonly { readonly zone: number }[]) => new Set(rows.map(({ zone }) => zone)).size

function toldFixed(stall: Stall, start: number, end: number): ToldWindow {
  const { clock, rows } = clocksOf(stall)
  const inside = rows.filter(({ t }) => t >= start && t < end).filter(isAsked(stall))
  const onTime = inside.filter(({ before }) => end > before)
  if (end > Math.max(clock, flushedTo(stall)))
    return { start, end, closesAt: end, stands: openBy(stall, end, isJoin(stall) ? null : zonesOf(onTime), 0) }
  const late = inside.length - onTime.length
  return {
    start,
    end,
    closesAt: end,
    stands: {
      is: 'closed',
      key: end > clock ? undefined : closedBy(stall, end),
      results: isJoin(stall) ? joined(stall, onTime) : zonesOf(onTime),
      late,
    },
  }
}

const isJoin = ({ shape }: Stall) => shape.endsWith('join')

/** Rows that a join of the sources gives of a window. */
function joined({ shape }: Stall, rows: readonly Row[]): number {
  const results = [...new Set(rows.map(({ zone }) => zone))].map(zone => {
    const [left, right] = [0, 1].map(side => rows.filter(row => row.zone === zone && row.source === side).length)
    const pairs = (left as number) * (right as number)
    return pairs > 0 || shape === 'inner join' ? pairs : (left as number) + (right as number)
  })
  return results.reduce((sum, n) => sum + n, 0)
}

/** The sources that have not come so far. */
function openBy(stall: Stall, needed: number, groups: number | null, behind: number): ToldWindow['stands'] {
  const holds = clocksOf(stall).sources.flatMap(({ watermark, key }, source) =>
    watermark < needed ? [{ source, needed, key }] : [],
  )
  return { is: 'open', groups, behind, holds }
}

function closedBy(stall: Stall, needed: number): string {
  const found = clocksOf(stall).after.find(({ clock }) => clock >= needed)
  if (!found) throw new Error('the oracle has closed a window that nothing closes')
  return found.key
}

interface Island {
  readonly zone: number
  readonly first: number
  readonly last: number
}

/** Sessions of the rows that were on time (S10). */
function islandsOf(stall: Stall): readonly Island[] {
  const { rows } = clocksOf(stall)
  const gap = stall.size
  const islands: Island[] = []
  for (const { t, zone } of rows.filter(row => row.t + gap > row.before).toSorted((a, b) => a.t - b.t)) {
    const at = islands.findLastIndex(island => island.zone === zone)
    const last = islands[at]
    if (last && t < last.last + gap) islands[at] = { ...last, last: t }
    else islands.push({ zone, first: t, last: t })
  }
  return islands
}

/** The open ones: closed sessions are looked for among the results. */
function toldSessions(stall: Stall): readonly ToldWindow[] {
  const { size: gap, at } = stall
  const clock = Math.max(clocksOf(stall).clock, flushedTo(stall))
  const open = islandsOf(stall)
    .filter(isAsked(stall))
    .filter(({ first, last }) => first <= at && at < last + gap && last + 2 * gap > clock)
  const borders = new Map(open.map(({ first, last }) => [`${last} ${first}`, { first, last }]))
  return [...borders.values()]
    .toSorted((a, b) => a.last - b.last || a.first - b.first)
    .map(({ first, last }) => {
      const groups = open.filter(island => island.first === first && island.last === last).length
      const closesAt = last + 2 * gap
      return { start: first, end: last + gap, closesAt, stands: openBy(stall, closesAt, groups, 0) }
    })
}

/** Results of the step before: where they lie, and the watermark that gives them. */
function innerResults(
  stall: Stall,
): readonly { readonly zone: number; readonly start: number; readonly end: number; readonly givenAt: number }[] {
  const { size } = stall
  if (stall.shape === 'folded sessions')
    return islandsOf(stall).map(({ zone, first, last }) => ({
      zone,
      start: first,
      end: last + size,
      givenAt: last + 2 * size,
    }))
  const { rows } = clocksOf(stall)
  const windows = rows.flatMap(({ t, zone, before }) => {
    const start = startBelow(t, size)
    return start + size > before ? [{ zone, start, end: start + size, givenAt: start + size }] : []
  })
  return [...new Map(windows.map(window => [`${window.zone} ${window.start}`, window])).values()]
}

/** Rows that no later one of their zone follows within the horizon (S11), of those that were on time. */
function lastRows(stall: Stall): readonly Row[] {
  const rows = clocksOf(stall).rows.filter(({ t, before }) => t >= before)
  const inOrder = rows.toSorted((a, b) => a.t - b.t)
  return inOrder.filter((row, index) => {
    const next = inOrder.slice(index + 1).find(({ zone }) => zone === row.zone)
    return !next || next.t > row.t + stall.size
  })
}

/** Last rows in the window that counts them: its step waits for the horizon of the step before it too (S13). */
function toldOfLast(stall: Stall, start: number, end: number): ToldWindow {
  const { clock } = clocksOf(stall)
  const inside = lastRows(stall).filter(({ t }) => t >= start && t < end)
  const asked = inside.filter(isAsked(stall))
  const needed = end + stall.size
  if (needed <= clock) {
    const by = { key: closedBy(stall, needed), results: zonesOf(asked), late: 0 }
    return { start, end, closesAt: end, stands: { is: 'closed', ...by } }
  }
  // A row is given when no other can come within the horizon any more.
  const given = asked.filter(({ t }) => t + stall.size < clock)
  return { start, end, closesAt: end, stands: openBy(stall, needed, zonesOf(given), 0) }
}

function toldFolded(stall: Stall, start: number, end: number): ToldWindow {
  if (stall.shape === 'folded last rows') return toldOfLast(stall, start, end)
  const { clock } = clocksOf(stall)
  const hold = stall.shape === 'folded sessions' ? stall.size : 0
  const inside = innerResults(stall).filter(result => result.end > start && result.end <= end)
  const needed = end + hold
  const asked = inside.filter(isAsked(stall))
  if (needed <= clock)
    return {
      start,
      end,
      closesAt: end,
      stands: { is: 'closed', key: closedBy(stall, needed), results: zonesOf(asked), late: 0 },
    }
  const given = asked.filter(({ givenAt }) => givenAt <= clock)
  const waiting = inside.filter(({ givenAt }) => givenAt > clock)
  const windows = new Set(waiting.map(one => `${one.start} ${one.end}`)).size
  return { start, end, closesAt: end, stands: openBy(stall, needed, zonesOf(given), windows) }
}

/** What must be told of the row that is asked for. */
export type ToldRow =
  | { readonly is: 'bad' }
  /** The windows of the first step that it is late for, and those that count it; where it has none whether it is late. */
  | { readonly is: 'good'; readonly late: readonly Window[]; readonly counted: readonly Window[] }
  | { readonly is: 'without windows'; readonly isLate: boolean }

export function toldRowOf(stall: Stall): ToldRow {
  const { objects, row } = stall
  const asked = objects[row.object] as StalledObject
  const { t } = asked.rows[row.row] as StalledObject['rows'][number]
  if (t === null) return { is: 'bad' }
  // The clock before its object: that of the objects before it.
  const before = clocksOf({ ...stall, objects: objects.slice(0, row.object) }).clock
  if (stall.shape.includes('session')) return { is: 'without windows', isLate: t + stall.size <= before }
  if (stall.shape === 'folded last rows') return { is: 'without windows', isLate: t < before }
  const windows = windowsAt(stall, t)
  const isLate = ([, end]: Window) => end <= before
  return { is: 'good', late: windows.filter(isLate), counted: windows.filter(window => !isLate(window)) }
}
