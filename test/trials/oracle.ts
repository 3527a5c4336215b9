/**
 * What a chain of steps gives for a ledger, by the rules alone and one entry at a time: plain arrays, no SQL, nothing of the
 * product. Times are microseconds.
 */
import type { TrialLedger } from './ledger.ts'
import { deltaWeight, distinctWeight, joinWeight, rankWeight, type StatefulStep, type TrialStep } from './plan.ts'

export interface OracleRow {
  readonly seq: number
  readonly row: number
  /** Tells rows apart that meet with one place in the ledger. */
  readonly ordinal?: number
  readonly t: number
  readonly k: number
  readonly v: number
}

/** A late row of a step, with the end of its window where there is one. */
export interface OracleLate {
  readonly step: number
  readonly seq: number
  readonly row: number
  readonly k: number
  readonly v: number
  readonly end: number | null
  /** Of a step with several inputs: which one. */
  readonly port?: string
}

export interface OracleAnswer {
  /** What comes out at the end of the chain, with the entry that it belongs to. */
  readonly rows: readonly OracleRow[]
  readonly late: readonly OracleLate[]
  /** Of each flush, by step: where its clock was moved. Steps are numbered over the stateful ones. */
  readonly flushes: readonly ReadonlyMap<number, number>[]
  /** After each entry: every result of the last step so far, final or not; empty where it has no windows. */
  readonly results: readonly (readonly OracleResult[])[]
}

/** What the rows of a window and group come to. */
export interface OracleResult {
  readonly end: number
  readonly k: number
  readonly vs: readonly number[]
}

const second = 1_000_000
/** No row is later. */
const endOfTime = 2 ** 62

/** One stateful step that sees the ledger entry by entry. */
interface OracleStep {
  clock: number
  /** How far behind its clock it may still give rows (S13). */
  readonly hold: number
  /** Takes the rows of an entry, judged by the clock before it; of a join those of both sides. */
  take(rows: readonly OracleRow[], others: readonly OracleRow[]): void
  /** The largest end among what is open and begins at or below the limit (S6). */
  flushAt(limit: number): number | null
  /** What its results are so far. */
  results?(): readonly OracleResult[]
  /** What belongs to this entry, after the clock has moved; in order, and where each begins. */
  give(seq: number): readonly { readonly row: OracleRow; readonly start: number }[]
}

/** A step of a chain, with the chain that meets it. */
type Link =
  | Extract<TrialStep, { readonly op: 'where' | 'topN' }>
  | { readonly op: 'union'; readonly other: readonly Link[] }
  | { readonly op: 'state'; readonly index: number; readonly state: OracleStep; readonly other?: readonly Link[] }

/** What goes from one step to the next at an entry of the ledger. */
interface Passing {
  readonly rows: readonly OracleRow[]
  readonly watermark: number
  /** Of a flush. */
  readonly limit: number
}

export function answerOf(ledger: TrialLedger, steps: readonly TrialStep[]): OracleAnswer {
  const late: OracleLate[] = []
  const rows: OracleRow[] = []
  const flushes: ReadonlyMap<number, number>[] = []
  const results: (readonly OracleResult[])[] = []
  const chain = linksOf(steps, late)
  let watermark = Number.NEGATIVE_INFINITY
  let highest = Number.NEGATIVE_INFINITY
  for (const [at, entry] of ledger.entries.entries()) {
    const seq = at + 1
    if (entry.is === 'tick') watermark = Math.max(watermark, entry.watermark * second)
    if (entry.is === 'object' && entry.mark !== null) {
      watermark = Math.max(watermark, (entry.mark - ledger.delay) * second)
      highest = Math.max(highest, entry.mark * second)
    }
    const read = entry.is === 'object' ? entry.rows : []
    const limit = entry.is === 'flush' && entry.isFinal ? endOfTime : highest
    const source = { rows: read.map(({ t, k, v }, row) => ({ seq, row, t: t * second, k, v })), watermark, limit }
    const moved = new Map<number, number>()
    rows.push(...pass(chain, source, seq, entry.is === 'flush' ? moved : undefined).rows)
    if (entry.is === 'flush') flushes.push(moved)
    const last = chain.at(-1)
    results.push(last && 'state' in last ? (last.state.results?.() ?? []) : [])
  }
  return { rows, late, flushes, results }
}

/** S14: the first rows of each window, which is told by its time, in a total order. */
function topOf(rows: readonly OracleRow[], step: Extract<TrialStep, { readonly op: 'topN' }>): readonly OracleRow[] {
  const sign = step.direction === 'asc' ? 1 : -1
  const isTogether = (a: OracleRow, b: OracleRow) => a.t === b.t && (!step.isPerParity || a.k % 2 === b.k % 2)
  return rows.flatMap(own => {
    const before = rows.filter(other => isTogether(own, other) && (sign * (other.v - own.v) || inOrder(other, own)) < 0)
    return before.length < step.n ? [{ ...own, v: own.v + rankWeight * (before.length + 1) }] : []
  })
}

function linksOf(steps: readonly TrialStep[], late: OracleLate[]): readonly Link[] {
  let stateful = 0
  const link = (step: TrialStep): Link => {
    if (step.op === 'where' || step.op === 'topN') return step
    if (step.op === 'union') return { op: 'union', other: step.other.map(link) }
    // Stages are in order of their inputs.
    const other = 'other' in step ? step.other.map(link) : undefined
    const index = stateful++
    const tell = (row: OracleRow, end: number | null, port?: 'left' | 'right') =>
      late.push({ step: index, seq: row.seq, row: row.row, k: row.k, v: row.v, end, ...(port && { port }) })
    const meeting = (state: OracleStep): Link => ({ op: 'state', index, state, ...(other && { other }) })
    if (step.op === 'join') return meeting(joinStep(step, tell))
    if (step.op === 'window join') return meeting(windowJoinStep(step, tell))
    return { op: 'state', index, state: stateOf(step, tell) }
  }
  return steps.map(link)
}

/** An entry of the ledger on its way through a chain. @param moved by a flush: clocks, by step */
function pass(chain: readonly Link[], source: Passing, seq: number, moved: Map<number, number> | undefined): Passing {
  return chain.reduce((before: Passing, link): Passing => {
    if (link.op === 'where') return { ...before, rows: before.rows.filter(({ v }) => v % link.not !== 0) }
    if (link.op === 'topN') return { ...before, rows: topOf(before.rows, link) }
    if (link.op === 'union') return together(before, pass(link.other, source, seq, moved))
    const { state, index } = link
    const beside = link.other && pass(link.other, source, seq, moved)
    const { watermark, limit } = beside ? together(before, beside) : before
    state.take(before.rows, beside?.rows ?? [])
    const value = moved ? state.flushAt(limit) : null
    if (value !== null && value > state.clock) moved?.set(index, value)
    state.clock = Math.max(state.clock, watermark, value ?? Number.NEGATIVE_INFINITY)
    const given = state.give(seq)
    return {
      rows: given.map(({ row }) => row),
      watermark: state.clock - state.hold,
      limit: Math.max(limit, ...given.filter(({ start }) => start <= limit).map(({ row }) => row.t)),
    }
  }, source)
}

/** S4: rows of both, the lower watermark. Rows of one place are in order by what they came through. */
function together(a: Passing, b: Passing): Passing {
  const rows = [a, b].flatMap(({ rows: own }, index) =>
    own.map(row => ({ ...row, ordinal: (row.ordinal ?? 0) * 2 + index })),
  )
  return {
    rows: rows.toSorted(inOrder),
    watermark: Math.min(a.watermark, b.watermark),
    limit: Math.max(a.limit, b.limit),
  }
}

function inOrder(a: OracleRow, b: OracleRow): number {
  return a.seq - b.seq || a.row - b.row || (a.ordinal ?? 0) - (b.ordinal ?? 0)
}

function stateOf(step: StatefulStep, tell: (row: OracleRow, end: number | null) => void) {
  switch (step.op) {
    case 'dedupe':
      return dedupeStep(step.within, tell)
    case 'keep last':
      return keepLastStep(step.within, tell)
    case 'deltas':
      return deltasStep(step.expireAfter, tell)
    case 'session':
      return sessionStep(step.gap, tell)
    case 'global':
      return windowStep(() => [{ start: -endOfTime, end: endOfTime + 86_400 * second }], tell, endOfTime)
    case 'calendar':
      return windowStep(havanaOf(step.unit), tell)
    default:
      return windowStep(windowsOf(step), tell)
  }
}

export type Windows = (t: number) => readonly { readonly start: number; readonly end: number }[]

const [hour, day] = [3_600 * second, 86_400 * second]
/** The hour and the day that were longer: clocks went from 1:00 back to 0:00 at 5:00 UTC. */
const backAt = 1_730_610_000 * second

/** Hours and days in Havana around 2024-11-03 (S23). Hours began with those of UTC, but for the midnight that came again. */
function havanaOf(unit: 'hour' | 'day'): Windows {
  return t => {
    if (unit === 'hour') {
      const start = Math.floor(t / hour) * hour
      if (start === backAt) return [{ start: start - hour, end: start + hour }]
      return [{ start, end: start + (start + hour === backAt ? 2 : 1) * hour }]
    }
    const nextDay = backAt + day
    if (t >= nextDay) {
      const start = Math.floor((t - nextDay) / day) * day + nextDay
      return [{ start, end: start + day }]
    }
    const start = Math.min(Math.floor((t - backAt + hour) / day) * day + backAt - hour, backAt - hour)
    return [{ start, end: start === backAt - hour ? nextDay : start + day }]
  }
}

/** The windows that hold a time (S9). */
export function windowsOf(step: Extract<TrialStep, { readonly offset: number }>): Windows {
  const size = step.size * second
  const every = step.op === 'tumbling' ? size : step.every * second
  const distance = step.op === 'cumulative' ? size : every
  const offset = step.offset * second
  return t => {
    const found: { start: number; end: number }[] = []
    for (let start = Math.floor((t - offset) / distance) * distance + offset; start + size > t; start -= distance) {
      const first = step.op === 'cumulative' ? start + every : start + size
      for (let end = first; end <= start + size; end += every) if (end > t) found.push({ start, end })
    }
    return found
  }
}

/** S10: final sessions are the islands of all accepted rows. It forgets nothing and looks at all of them each time. */
function sessionStep(gapSeconds: number, tell: (row: OracleRow, end: number) => void): OracleStep {
  const gap = gapSeconds * second
  const accepted: OracleRow[] = []
  const given = new Set<string>()
  const sessions = () => {
    const found: { readonly k: number; readonly first: number; last: number; readonly vs: number[] }[] = []
    for (const { k, t, v } of accepted.toSorted((a, b) => a.k - b.k || a.t - b.t)) {
      const open = found.at(-1)
      if (open && open.k === k && t - open.last < gap) {
        open.last = t
        open.vs.push(v)
      } else found.push({ k, first: t, last: t, vs: [v] })
    }
    return found.filter(({ k, first }) => !given.has(`${k} ${first}`))
  }
  return {
    clock: Number.NEGATIVE_INFINITY,
    hold: gap,
    take(rows) {
      for (const row of rows)
        if (row.t + gap <= this.clock) tell(row, row.t + gap)
        else accepted.push(row)
    },
    flushAt(limit) {
      const ends = sessions()
        .filter(({ first }) => first <= limit)
        .map(({ last }) => last + 2 * gap)
      return ends.length === 0 ? null : Math.max(...ends)
    },
    give(seq) {
      const closing = sessions().filter(({ last }) => last + 2 * gap <= this.clock)
      for (const { k, first } of closing) given.add(`${k} ${first}`)
      return closing
        .toSorted((a, b) => a.last - b.last || a.first - b.first || a.k - b.k)
        .map(({ k, first, last, vs }, row) => {
          const v = vs.reduce((a, b) => a + b) + distinctWeight * new Set(vs.filter(v => v > 0)).size
          return { row: { seq, row, t: last + gap - 1, k, v }, start: first }
        })
    },
  }
}

/** S8, S9, S13: each window once, by the first entry whose watermark reaches its end. */
/** @param closedFrom the least limit of a flush that closes any */
function windowStep(
  windows: Windows,
  tell: (row: OracleRow, end: number) => void,
  closedFrom = Number.NEGATIVE_INFINITY,
): OracleStep {
  const open = new Map<string, { readonly start: number; readonly end: number; readonly k: number; sum: number }>()
  const all = new Map<string, OracleResult & { readonly vs: number[] }>()
  return {
    clock: Number.NEGATIVE_INFINITY,
    hold: 0,
    take(rows) {
      for (const row of rows)
        for (const { start, end } of windows(row.t)) {
          if (end <= this.clock) {
            tell(row, end)
            continue
          }
          const id = `${end} ${row.k}`
          const window = open.get(id) ?? { start, end, k: row.k, sum: 0 }
          window.sum += row.v
          open.set(id, window)
          const result = all.get(id) ?? { end, k: row.k, vs: [] }
          result.vs.push(row.v)
          all.set(id, result)
        }
    },
    results: () => [...all.values()].map(({ end, k, vs }) => ({ end, k, vs: [...vs] })),
    flushAt(limit) {
      if (limit < closedFrom) return null
      const ends = [...open.values()].filter(({ start }) => start <= limit).map(({ end }) => end)
      return ends.length === 0 ? null : Math.max(...ends)
    },
    give(seq) {
      const closing = [...open].filter(([, { end }]) => end <= this.clock)
      for (const [id] of closing) open.delete(id)
      return closing
        .map(([, window]) => window)
        .toSorted((a, b) => a.end - b.end || a.k - b.k)
        .map(({ start, end, k, sum }, row) => ({ row: { seq, row, t: end - 1, k, v: sum }, start }))
    },
  }
}

const byTime = (a: OracleRow, b: OracleRow) => a.t - b.t || inOrder(a, b)

/** S25: rows of a key in (t, seq, row) order, each once the clock is above its time. It forgets nothing. */
function deltasStep(expireSeconds: number, tell: (row: OracleRow, end: null) => void): OracleStep {
  const accepted: OracleRow[] = []
  const given = new Set<OracleRow>()
  return {
    clock: Number.NEGATIVE_INFINITY,
    hold: 0,
    take(rows) {
      for (const row of rows)
        if (row.t < this.clock) tell(row, null)
        else accepted.push(row)
    },
    flushAt(limit) {
      const due = accepted.filter(({ t }) => t <= limit).map(({ t }) => t + 1)
      return due.length === 0 ? null : Math.max(...due)
    },
    give(seq) {
      const due = accepted.filter(row => row.t < this.clock && !given.has(row)).toSorted(byTime)
      for (const row of due) given.add(row)
      return due.map((own, row) => {
        const before = accepted
          .filter(other => other.k === own.k && byTime(other, own) < 0)
          .toSorted(byTime)
          .at(-1)
        const isNear = before !== undefined && own.t - before.t <= expireSeconds * second
        const v = own.v + (isNear ? deltaWeight.times * (own.v - before.v) : deltaWeight.without)
        return { row: { seq, row, t: own.t, k: own.k, v }, start: own.t }
      })
    },
  }
}

/** S11: kept iff no accepted row of the key that came earlier lies within the horizon. It forgets nothing. */
function dedupeStep(withinSeconds: number, tell: (row: OracleRow, end: null) => void): OracleStep {
  const within = withinSeconds * second
  const seen: OracleRow[] = []
  let kept: OracleRow[] = []
  return {
    clock: Number.NEGATIVE_INFINITY,
    hold: 0,
    take(rows) {
      for (const row of rows) {
        if (row.t + within <= this.clock) {
          tell(row, null)
          continue
        }
        if (!seen.some(({ k, t }) => k === row.k && Math.abs(t - row.t) <= within)) kept.push(row)
        seen.push(row)
      }
    },
    flushAt: () => null,
    give() {
      const given = kept.map(row => ({ row, start: row.t }))
      kept = []
      return given
    },
  }
}

/** S11: kept iff no accepted row of the key that is later in (t, seq, row) lies within the horizon after it. It forgets nothing. */
function keepLastStep(withinSeconds: number, tell: (row: OracleRow, end: null) => void): OracleStep {
  const within = withinSeconds * second
  const accepted: OracleRow[] = []
  const given = new Set<OracleRow>()
  const waiting = () =>
    accepted.filter(
      row =>
        !given.has(row) &&
        !accepted.some(other => other.k === row.k && byTime(other, row) > 0 && other.t <= row.t + within),
    )
  return {
    clock: Number.NEGATIVE_INFINITY,
    hold: within,
    take(rows) {
      for (const row of rows)
        if (row.t < this.clock) tell(row, null)
        else accepted.push(row)
    },
    flushAt(limit) {
      const due = waiting().filter(({ t }) => t <= limit)
      return due.length === 0 ? null : Math.max(...due.map(({ t }) => t + within + 1))
    },
    give(seq) {
      const due = waiting().filter(({ t }) => t + within < this.clock)
      for (const row of due) given.add(row)
      return due.toSorted(byTime).map((own, row) => ({ row: { ...own, seq, row }, start: own.t }))
    },
  }
}

/** S12: the batch join of the accepted rows, each of its rows by the first entry that gives or closes it. It forgets nothing. */
function joinStep(
  { lo: loSeconds, hi: hiSeconds, kind }: Extract<TrialStep, { readonly op: 'join' }>,
  tell: (row: OracleRow, end: null, port: 'left' | 'right') => void,
): OracleStep {
  const [lo, hi] = [loSeconds * second, hiSeconds * second]
  const accepted = { left: [] as OracleRow[], right: [] as OracleRow[] }
  // One row of the source may be on both sides.
  const given = { left: new Set<OracleRow>(), right: new Set<OracleRow>() }
  const isPair = (l: OracleRow, r: OracleRow) => l.k === r.k && r.t - l.t >= lo && r.t - l.t <= hi
  const diesAt = { left: (row: OracleRow) => row.t + hi + 1, right: (row: OracleRow) => row.t - lo + 1 }
  const isAlone = {
    left: (row: OracleRow) => !accepted.right.some(other => isPair(row, other)),
    right: (row: OracleRow) => !accepted.left.some(other => isPair(other, row)),
  }
  const outer = (['left', 'right'] as const).filter(
    side => kind === 'full' || kind === side || (kind === 'anti' && side === 'left'),
  )
  const waiting = () =>
    outer.flatMap(side =>
      accepted[side]
        .filter(row => !given[side].has(row) && isAlone[side](row))
        .map(row => ({ row, side, at: diesAt[side](row) })),
    )
  interface Found {
    readonly l?: OracleRow
    readonly r?: OracleRow
  }
  const inPlace = (a: Found, b: Found) => {
    const compared = (x: OracleRow | undefined, y: OracleRow | undefined) =>
      x && y ? inOrder(x, y) : x ? -1 : y ? 1 : 0
    return compared(a.l, b.l) || compared(a.r, b.r)
  }
  return {
    clock: Number.NEGATIVE_INFINITY,
    hold: Math.max(
      0,
      ['left', 'full', 'semi', 'anti'].includes(kind) ? hi : 0,
      ['right', 'full'].includes(kind) ? -lo : 0,
    ),
    take(left, right) {
      for (const [side, rows] of [
        ['left', left],
        ['right', right],
      ] as const)
        for (const row of rows)
          if (row.t < this.clock) tell(row, null, side)
          else accepted[side].push(row)
    },
    flushAt(limit) {
      const ends = waiting()
        .filter(({ row }) => row.t <= limit)
        .map(({ at }) => at)
      return ends.length === 0 ? null : Math.max(...ends)
    },
    give(seq) {
      const found: Found[] = []
      for (const l of accepted.left) {
        const partners = accepted.right.filter(r => isPair(l, r))
        if (kind === 'semi') {
          if (partners.length > 0 && !given.left.has(l)) found.push({ l })
          if (partners.length > 0) given.left.add(l)
        } else if (kind !== 'anti') for (const r of partners) if (Math.max(l.seq, r.seq) === seq) found.push({ l, r })
      }
      for (const { row, side, at } of waiting())
        if (at <= this.clock) {
          given[side].add(row)
          found.push(side === 'left' ? { l: row } : { r: row })
        }
      return found.toSorted(inPlace).map(({ l, r }, row) => {
        const t = Math.max(l?.t ?? Number.NEGATIVE_INFINITY, r?.t ?? Number.NEGATIVE_INFINITY)
        const v = joinWeight * (l?.v ?? 0) + (r?.v ?? 0)
        return { row: { seq, row, t, k: (l ?? r)?.k as number, v }, start: t }
      })
    },
  }
}

/** S25: all that a window has is given when it closes; a row is late for each window that has closed. It forgets nothing. */
function windowJoinStep(
  { window, kind }: Extract<TrialStep, { readonly op: 'window join' }>,
  tell: (row: OracleRow, end: number, port: 'left' | 'right') => void,
): OracleStep {
  interface Placed {
    readonly row: OracleRow
    readonly start: number
    readonly end: number
  }
  const sides = { left: [] as Placed[], right: [] as Placed[] }
  const isOpen = new Set<Placed>()
  const windows = windowsOf(window)
  const isPair = (l: Placed, r: Placed) => l.row.k === r.row.k && l.start === r.start && l.end === r.end
  return {
    clock: Number.NEGATIVE_INFINITY,
    hold: 0,
    take(left, right) {
      for (const [side, rows] of [
        ['left', left],
        ['right', right],
      ] as const)
        for (const row of rows)
          for (const { start, end } of windows(row.t)) {
            const placed = { row, start, end }
            if (end <= this.clock) tell(row, end, side)
            else {
              sides[side].push(placed)
              isOpen.add(placed)
            }
          }
    },
    // The windows that have any row, before it is known what comes of it.
    flushAt(limit) {
      const ends = [...isOpen].filter(({ start }) => start <= limit).map(({ end }) => end)
      return ends.length === 0 ? null : Math.max(...ends)
    },
    give(seq) {
      const closing = (side: 'left' | 'right') =>
        sides[side].filter(placed => isOpen.has(placed) && placed.end <= this.clock)
      const [left, right] = [closing('left'), closing('right')]
      for (const placed of [...left, ...right]) isOpen.delete(placed)
      const pairs = left.flatMap(l => right.filter(r => isPair(l, r)).map(r => [l, r] as const))
      const alone = {
        left: left.filter(l => !right.some(r => isPair(l, r))).map(l => [l, undefined] as const),
        right: right.filter(r => !left.some(l => isPair(l, r))).map(r => [undefined, r] as const),
      }
      const matched = left.filter(l => right.some(r => isPair(l, r))).map(l => [l, undefined] as const)
      const found: readonly (readonly [Placed | undefined, Placed | undefined])[] = {
        inner: pairs,
        left: [...pairs, ...alone.left],
        right: [...pairs, ...alone.right],
        full: [...pairs, ...alone.left, ...alone.right],
        semi: matched,
        anti: alone.left,
      }[kind]
      const inPlace = (a: Placed | undefined, b: Placed | undefined) =>
        a && b ? inOrder(a.row, b.row) : a ? -1 : b ? 1 : 0
      return found
        .map(([l, r]) => ({ l, r, ...((l ?? r) as Placed) }))
        .toSorted((a, b) => a.end - b.end || a.start - b.start || inPlace(a.l, b.l) || inPlace(a.r, b.r))
        .map(({ l, r, start, end }, row) => {
          const v = joinWeight * (l?.row.v ?? 0) + (r?.row.v ?? 0)
          return { row: { seq, row, t: end - 1, k: ((l ?? r) as Placed).row.k, v }, start }
        })
    },
  }
}
