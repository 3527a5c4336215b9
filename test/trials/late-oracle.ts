/**
 * What late rows that are applied come to (S16), by the rules alone and one entry at a time: plain arrays, no SQL, nothing of
 * the product. It forgets nothing. Times are microseconds.
 */
import type { TrialEntry, TrialLedger } from './ledger.ts'
import { type OracleResult, type Windows, windowsOf } from './oracle.ts'
import type { SharedWindow, TrialStep } from './plan.ts'

export interface LateAnswer {
  /** After each entry: the results of the last step whose windows are closed, over all that was taken. */
  readonly results: readonly (readonly OracleResult[])[]
  /** Of each flush, by step: where its clock was moved. */
  readonly flushes: readonly ReadonlyMap<number, number>[]
  /** Late rows, each for one window: that were taken, and that stay late. */
  readonly taken: number
  readonly stays: number
}

const second = 1_000_000

/** A row of a step's input. One of a source has its place in the ledger for its name, a result its window and key. */
interface Row {
  readonly name: string
  readonly t: number
  readonly k: number
  readonly v: number
}

/** A row in one of its windows, in its latest version. */
interface Pair extends Row {
  readonly start: number
  readonly end: number
  readonly version: number
  readonly isGone: boolean
}

interface LateStep {
  readonly windows: Windows
  clock: number
  readonly pairs: Map<string, Pair>
  readonly late: { readonly pair: Pair; isTaken: boolean }[]
}

type Link = LateStep | { readonly not: number }

/** @param retentionSeconds so long after its end a window takes late rows */
export function lateAnswerOf(ledger: TrialLedger, steps: readonly TrialStep[], retentionSeconds: number): LateAnswer {
  const retention = retentionSeconds * second
  const chain = steps.map(linkOf)
  const last = chain.at(-1) as LateStep
  const results: (readonly OracleResult[])[] = []
  const flushes: ReadonlyMap<number, number>[] = []
  let watermark = Number.NEGATIVE_INFINITY
  let highest = Number.NEGATIVE_INFINITY
  for (const [at, entry] of ledger.entries.entries()) {
    const seq = at + 1
    if (entry.is === 'apply') apply(chain, entry, seq, retention)
    else {
      if (entry.is === 'tick') watermark = Math.max(watermark, entry.watermark * second)
      if (entry.is === 'object' && entry.mark !== null) {
        watermark = Math.max(watermark, (entry.mark - ledger.delay) * second)
        highest = Math.max(highest, entry.mark * second)
      }
      const read = entry.is === 'object' ? entry.rows : []
      const rows = read.map(({ t, k, v }, row) => ({ name: `${seq} ${row}`, t: t * second, k, v }))
      const moved = entry.is === 'flush' ? new Map<number, number>() : undefined
      pass(chain, rows, seq, { watermark, limit: highest }, moved)
      if (moved) flushes.push(moved)
    }
    results.push([...closedResults(last).values()])
  }
  const late = chain.flatMap(link => ('late' in link ? link.late : []))
  const taken = late.filter(({ isTaken }) => isTaken).length
  return { results, flushes, taken, stays: late.length - taken }
}

function linkOf(step: TrialStep): Link {
  if (step.op === 'where') return { not: step.not }
  return { windows: windowsOf(step as SharedWindow), clock: Number.NEGATIVE_INFINITY, pairs: new Map(), late: [] }
}

const pairKey = ({ name, end }: Pick<Pair, 'name' | 'end'>) => `${name}|${end}`
const groupKey = ({ end, k }: Pick<Pair, 'end' | 'k'>) => `${end} ${k}`

/** The latest version of a row in a window counts. */
function put({ pairs }: LateStep, pair: Pair): void {
  const before = pairs.get(pairKey(pair))
  if (before === undefined || before.version < pair.version) pairs.set(pairKey(pair), pair)
}

/** An object, a tick or a flush on its way through the chain. @param moved by a flush: clocks, by step */
function pass(
  chain: readonly Link[],
  read: readonly Row[],
  version: number,
  { watermark: first, limit: highest }: { readonly watermark: number; readonly limit: number },
  moved: Map<number, number> | undefined,
): void {
  let rows = read
  let watermark = first
  let limit = highest
  let index = 0
  for (const link of chain) {
    if ('not' in link) {
      rows = rows.filter(({ v }) => v % link.not !== 0)
      continue
    }
    const step = index++
    for (const row of rows)
      for (const window of link.windows(row.t)) {
        const pair = { ...row, ...window, version, isGone: false }
        if (window.end <= link.clock) link.late.push({ pair, isTaken: false })
        else put(link, pair)
      }
    const before = link.clock
    const pending = [...link.pairs.values()].filter(({ start, end }) => end > before && start <= limit)
    const value = moved && pending.length > 0 ? Math.max(...pending.map(({ end }) => end)) : Number.NEGATIVE_INFINITY
    if (value > before) moved?.set(step, value)
    link.clock = Math.max(before, watermark, value)
    const given = [...closedResults(link).values()].filter(({ end }) => end > before)
    const starts = new Map([...link.pairs.values()].map(({ start, end }) => [end, start]))
    const reached = given.filter(({ end }) => (starts.get(end) as number) <= limit).map(({ end }) => end - 1)
    rows = given.map(resultRow)
    watermark = link.clock
    limit = Math.max(limit, ...reached)
  }
}

/** Late rows that are named come in, and what changes of results goes on. */
function apply(
  chain: readonly Link[],
  { from, to }: Extract<TrialEntry, { readonly is: 'apply' }>,
  version: number,
  retention: number,
): void {
  let changed: readonly (Row & { readonly isGone: boolean })[] = []
  for (const link of chain) {
    if ('not' in link) {
      // A row that passed and does not any more is gone, and one that never passed is not known behind it.
      changed = changed.map(row => (row.v % link.not === 0 ? { ...row, isGone: true } : row))
      continue
    }
    const isOpen = (end: number) => end + retention > link.clock
    const before = closedResults(link)
    for (const found of link.late) {
      const { start, end } = found.pair
      const isNamed = (from === null || start >= from * second) && (to === null || end <= to * second)
      if (found.isTaken || !isNamed || !isOpen(end)) continue
      found.isTaken = true
      put(link, found.pair)
    }
    for (const row of changed)
      for (const window of link.windows(row.t)) if (isOpen(window.end)) put(link, { ...row, ...window, version })
    const after = closedResults(link)
    changed = [...new Set([...before.keys(), ...after.keys()])].flatMap(key => {
      const [was, is] = [before.get(key), after.get(key)]
      if (was && is && sorted(was) === sorted(is)) return []
      return [{ ...resultRow((is ?? was) as OracleResult), isGone: is === undefined }]
    })
  }
}

function closedResults({ pairs, clock }: LateStep): ReadonlyMap<string, OracleResult> {
  const results = new Map<string, OracleResult & { readonly vs: number[] }>()
  for (const pair of pairs.values()) {
    if (pair.isGone || pair.end > clock) continue
    const result = results.get(groupKey(pair)) ?? { end: pair.end, k: pair.k, vs: [] }
    result.vs.push(pair.v)
    results.set(groupKey(pair), result)
  }
  return results
}

const sorted = ({ vs }: OracleResult) => vs.toSorted((a, b) => a - b).join(' ')

function resultRow({ end, k, vs }: OracleResult): Row {
  return { name: `${end} ${k}`, t: end - 1, k, v: vs.reduce((a, b) => a + b, 0) }
}
