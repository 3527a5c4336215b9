/** Random plans: a chain of steps over rows of (k, v), each as plain data that operators and oracle read alike. */
import type { Observable } from 'rxjs'
import {
  aggregate,
  calendar,
  count,
  countDistinct,
  cumulative,
  dedupe,
  deltas,
  derive,
  files,
  global,
  groupBy,
  hopping,
  join,
  type JoinKind,
  json,
  late,
  type Pipeline,
  pipeline,
  rename,
  select,
  session,
  source,
  sum,
  to,
  topN,
  tumbling,
  union,
  where,
} from '../../src/index.ts'
import { whole } from './ledger.ts'

export type TrialStep =
  | { readonly op: 'tumbling'; readonly size: number; readonly offset: number }
  | { readonly op: 'hopping'; readonly size: number; readonly every: number; readonly offset: number }
  | { readonly op: 'cumulative'; readonly size: number; readonly every: number; readonly offset: number }
  /** Of all rows; the ledger must be ended. */
  | { readonly op: 'global' }
  /** In Havana, where a midnight came twice. */
  | { readonly op: 'calendar'; readonly unit: 'hour' | 'day' }
  | { readonly op: 'session'; readonly gap: number }
  | { readonly op: 'dedupe'; readonly within: number }
  /** dedupe with keep: 'last'. */
  | { readonly op: 'keep last'; readonly within: number }
  | { readonly op: 'deltas'; readonly expireAfter: number }
  /** Behind windows. @see rankWeight */
  | { readonly op: 'topN'; readonly n: number; readonly direction: 'asc' | 'desc'; readonly isPerParity: boolean }
  /** Rows whose v is no multiple. */
  | { readonly op: 'where'; readonly not: number }
  /** With the rows of another branch from the source. */
  | { readonly op: 'union'; readonly other: readonly TrialStep[] }
  /** With rows of another branch, of the same k and from `lo` to `hi` after them. @see joinWeight */
  | {
      readonly op: 'join'
      readonly other: readonly TrialStep[]
      readonly lo: number
      readonly hi: number
      readonly kind: JoinKind
    }
  /** With rows of another branch, of the same k and in the same window. @see joinWeight */
  | {
      readonly op: 'window join'
      readonly other: readonly TrialStep[]
      readonly window: SharedWindow
      readonly kind: JoinKind
    }

/** Windows of which both sides of a join may have the same. */
export type SharedWindow = Extract<TrialStep, { readonly op: 'tumbling' | 'hopping' | 'cumulative' }>

/** An operator of a chain; of those that another branch comes to, with the operators of that branch. */
export type TrialOp = Exclude<TrialStep['op'], 'where' | MeetingOp> | readonly [TwoOp, ...TrialOp[]]
type TwoOp = 'union' | JoinKind | `${JoinKind} in ${SharedWindow['op']}`
type MeetingOp = 'union' | 'join' | 'window join'

/** The steps that keep state. */
export type StatefulStep = Exclude<TrialStep, { readonly op: 'where' | 'topN' | MeetingOp }>

export function nameOf(op: TrialOp): string {
  return typeof op === 'string'
    ? op
    : `${op[0]}(${op
        .slice(1)
        .map(each => nameOf(each as TrialOp))
        .join(' > ')})`
}

export function drawStep(random: () => number, op: TrialOp): TrialStep {
  if (typeof op !== 'string') {
    const [name, ...ops] = op
    // No multiple of 5: no branch is equal to another, as those would be one.
    const other = [{ op: 'where', not: 5 } as const, ...drawPlan(random, ops)]
    if (name === 'union') return { op: name, other }
    const [kind, window] = name.split(' in ') as [JoinKind, SharedWindow['op'] | undefined]
    if (window) return { op: 'window join', other, window: drawStep(random, window) as SharedWindow, kind }
    const lo = whole(random, -12, 6)
    return { op: 'join', other, lo, hi: lo + whole(random, 0, 14), kind }
  }
  if (op === 'topN')
    return { op, n: whole(random, 1, 3), direction: random() < 0.5 ? 'asc' : 'desc', isPerParity: random() < 0.3 }
  if (op === 'dedupe' || op === 'keep last') return { op, within: whole(random, 1, 12) }
  if (op === 'session') return { op, gap: whole(random, 1, 10) }
  if (op === 'deltas') return { op, expireAfter: whole(random, 1, 20) }
  if (op === 'global') return { op }
  if (op === 'calendar') return { op, unit: random() < 0.5 ? 'hour' : 'day' }
  // Half of the windows begin where those without the option do.
  const offset = Math.max(0, whole(random, -8, 8))
  if (op === 'tumbling') return { op, size: whole(random, 2, 25), offset }
  const every = whole(random, 1, 8)
  if (op === 'cumulative') return { op, every, size: every * whole(random, 1, 5), offset }
  return { op, every, size: every + whole(random, 0, 14), offset }
}

/** The operators of the chain, with a where between some of them. */
export function drawPlan(random: () => number, ops: readonly TrialOp[]): readonly TrialStep[] {
  const steps: TrialStep[] = []
  for (const op of ops) {
    const step = reaching(drawStep(random, op), steps.at(-1))
    if (random() < 0.25) steps.push({ op: 'where', not: whole(random, 2, 4) })
    steps.push(step)
  }
  return steps
}

/** Behind windows `deltas` refuses to look less far back than the last one. */
function reaching(step: TrialStep, before: TrialStep | undefined): TrialStep {
  if (step.op !== 'deltas' || before?.op !== 'tumbling') return step
  return { ...step, expireAfter: Math.max(step.expireAfter, before.size) }
}

/** Half an hour in the place of a second, about when a midnight came twice in Havana: on 2024-11-03, at 4:00 and 5:00 UTC. */
export const halfHours = { times: 1_800, from: 1_730_577_600 }

/** The same steps for a ledger that is stretched so. */
export function stretchedStep(step: TrialStep): TrialStep {
  const { times } = halfHours
  switch (step.op) {
    case 'where':
    case 'topN':
    case 'global':
    case 'calendar':
      return step
    case 'union':
      return { ...step, other: step.other.map(stretchedStep) }
    case 'join':
      return { ...step, other: step.other.map(stretchedStep), lo: step.lo * times, hi: step.hi * times }
    case 'window join':
      return { ...step, other: step.other.map(stretchedStep), window: stretchedStep(step.window) as SharedWindow }
    case 'session':
      return { ...step, gap: step.gap * times }
    case 'deltas':
      return { ...step, expireAfter: step.expireAfter * times }
    case 'dedupe':
    case 'keep last':
      return { ...step, within: step.within * times }
    case 'tumbling':
      return { ...step, size: step.size * times, offset: step.offset * times }
    case 'hopping':
    case 'cumulative':
      return { ...step, size: step.size * times, every: step.every * times, offset: step.offset * times }
  }
}

/** What deltas give as v: the row's own, and so often the difference, or this where there is none. */
export const deltaWeight = { times: 7, without: 1_000 }

/** What topN gives as v: the row's own, and so often its rank. */
export const rankWeight = 100

/** What a join gives as v: so often the v of the left row, and that of the right row. */
export const joinWeight = 100

/** What a session gives as v: its sum, and so much for each value above 0 that differs. */
export const distinctWeight = 1000

/** Operators as a chain that is put together at run time sees them: no columns are known to the compiler. */
interface Operate {
  (rows: Observable<unknown>): Observable<unknown>
  readonly step: { readonly op: string; readonly is?: string; readonly takes?: string }
}
const untyped = (...operators: readonly unknown[]) => operators as readonly Operate[]

/** The real operators. After a window the rows are (k, v) again, so that any step may follow. */
function operatorsOf(step: Exclude<TrialStep, { readonly op: MeetingOp }>): readonly Operate[] {
  const byKey = [groupBy('k' as never), aggregate({ n: count(), s: sum('v' as never) })]
  const fold = [...byKey, derive({ v: ['BIGINT', 's' as string] }), select('k' as never, 'v' as never)]
  switch (step.op) {
    case 'where':
      return untyped(where(`v % ${step.not} <> 0`))
    case 'topN':
      return untyped(
        derive({ odd: ['BOOLEAN', 'k % 2 = 1' as string] }),
        topN(step.n, { by: [['v', step.direction]], ...(step.isPerParity ? { per: ['odd'] } : {}) } as never),
        derive({ v: ['BIGINT', `v + ${rankWeight} * rank` as string] }),
        select('k' as never, 'v' as never),
      )
    case 'dedupe':
      return untyped(dedupe('k' as never, `${step.within} seconds`))
    case 'keep last':
      return untyped(dedupe('k' as never, `${step.within} seconds`, { keep: 'last' }))
    case 'deltas':
      return untyped(
        deltas({ of: ['v'], per: ['k'], expireAfter: `${step.expireAfter} seconds` } as never),
        derive({ v: ['BIGINT', `v + coalesce(${deltaWeight.times} * v_delta, ${deltaWeight.without})` as string] }),
        select('k' as never, 'v' as never),
      )
    case 'tumbling':
    case 'hopping':
    case 'cumulative':
      return untyped(windowOf(step), ...fold)
    case 'global':
      return untyped(global({ unbounded: true }), ...fold)
    case 'calendar':
      return untyped(calendar(step.unit, { timeZone: 'America/Havana' }), ...fold)
    case 'session':
      // Distinct values lie in a channel of a finer grain, which lives with the sessions of the main one, and has fewer rows.
      return untyped(
        session(`${step.gap} seconds`),
        groupBy('k' as never),
        aggregate({ s: sum('v' as never), d: countDistinct('v' as never, { filter: 'v > 0' as string }) }),
        derive({ v: ['BIGINT', `${distinctWeight} * d + s` as string] }),
        select('k' as never, 'v' as never),
      )
  }
}

function windowOf(step: SharedWindow): unknown {
  const offset = { offset: `${step.offset} seconds` } as const
  if (step.op === 'tumbling') return tumbling(`${step.size} seconds`, offset)
  const of = step.op === 'hopping' ? hopping : cumulative
  return of(`${step.size} seconds`, `${step.every} seconds`, offset)
}

/** Of which results changes are given. */
export interface TrialChanges {
  /** SQL over the count n, the sum s, the distinct values d. */
  readonly having: string
  /** So many of a window, the largest sums first; 0: all. */
  readonly top: number
  /** Results are given once, and late rows are applied to windows that ended no longer ago: seconds. */
  readonly retention?: number
}

/** What a change has in its v for each rank. */
export const changeRankWeight = 1_000_000

/** The results of the last window, as they are after each epoch. */
function changesOf(step: TrialStep, { having, top, retention }: TrialChanges): readonly unknown[] {
  if ('other' in step) throw new Error(`a ${step.op} has no results that change`)
  const [window] = operatorsOf(step)
  const calls = { n: count(), s: sum('v' as never), d: countDistinct('v' as never, { filter: 'v > 0' as string }) }
  return [
    window,
    groupBy('k' as never),
    aggregate(calls),
    where(having as never),
    ...(top === 0 ? [derive({ rank: ['BIGINT', '0'] })] : [topN(top, { by: [['s', 'desc']] } as never)]),
    derive({ v: ['BIGINT', `${changeRankWeight} * rank + ${distinctWeight} * d + s` as string] } as never),
    to(files('out', { format: 'parquet' }), { emit: retention === undefined ? 'update' : 'final' }),
  ]
}

/** What a trial's pipeline has beside the results of its chain, each once. */
export interface TrialExtras {
  /** Changes of the results of the last step, in the place of those that are final. */
  readonly changes?: TrialChanges
  /** The late rows of each step are flows of their own. */
  readonly hasLateFlows?: boolean
}

export function pipelineOf(steps: readonly TrialStep[], { changes, hasLateFlows = false }: TrialExtras): Pipeline {
  const rows = source('rows', {
    objects: 'in',
    format: json(),
    columns: { at: 'TIMESTAMP NOT NULL', k: 'BIGINT', v: 'BIGINT' },
    time: 'at',
    ...(changes?.retention !== undefined && { late: { retention: `${changes.retention} seconds` } }),
  })
  const lateFlows: Observable<unknown>[] = []
  const piped = (stream: Observable<unknown>, operators: readonly Operate[]) =>
    operators.reduce((before, operate) => {
      const after = before.pipe(operate as never) as Observable<unknown>
      if (hasLateFlows) lateFlows.push(...lateFlowsOf(after, operate))
      return after
    }, stream)
  const branch = (branchSteps: readonly TrialStep[]) =>
    branchSteps.reduce(applied, rows.pipe(select('k', 'v')) as unknown as Observable<unknown>)
  const applied = (stream: Observable<unknown>, step: TrialStep): Observable<unknown> => {
    if (step.op === 'union') return (union as Union)(stream, branch(step.other))
    if (step.op === 'join' || step.op === 'window join') return piped(stream, joinOf(branch(step.other), step))
    if (step.op !== 'global') return piped(stream, operatorsOf(step))
    return operatorsOf(step).reduce((before, operate) => before.pipe(operate as never), stream)
  }
  const last = steps.at(-1)
  const isChanging = changes !== undefined && last !== undefined
  const end = isChanging
    ? untyped(...changesOf(last, changes))
    : untyped(select('k' as never, 'v' as never), to(files('out', { format: 'parquet' })))
  const before = branch(isChanging ? steps.slice(0, -1) : steps)
  const flow = end.reduce((stream, operate) => stream.pipe(operate as never), before)
  return pipeline('trial', { checkpoint: 'ck' }, ...([flow, ...lateFlows] as never[]))
}

/** The late rows of a step that keeps state, as (k, v, end), of each of its sides. */
function lateFlowsOf(flow: Observable<unknown>, { step }: Operate): readonly Observable<unknown>[] {
  if (step.is !== 'stateful') return []
  const hasWindows = step.takes === 'groups' || step.takes === 'two windows'
  const sides = step.takes?.startsWith('two') ? [['left'], ['right']] : [[]]
  return sides.map(side => {
    const end = hasWindows ? 'epoch_us(late_window_end)' : 'NULL'
    const named = side[0] === 'right' ? [derive({ v: ['BIGINT', 'w' as string] } as never)] : []
    const operators = untyped(
      ...named,
      derive({ e: ['BIGINT', end as string] } as never),
      select('k' as never, 'v' as never, 'e' as never),
      to(files(`late-${step.op}`, { format: 'parquet' })),
    )
    return operators.reduce(
      (before, operate) => before.pipe(operate as never) as Observable<unknown>,
      (late as unknown as Late)(flow, ...side),
    )
  })
}
type Late = (flow: Observable<unknown>, ...side: readonly string[]) => Observable<unknown>

function joinOf(
  right: Observable<unknown>,
  step: Extract<TrialStep, { readonly op: 'join' | 'window join' }>,
): readonly Operate[] {
  const { kind } = step
  const isOfLeft = kind === 'semi' || kind === 'anti'
  const other = right.pipe(rename({ v: 'w' } as never) as never) as Observable<unknown>
  const weighted = `${joinWeight} * coalesce(v, 0) + ${isOfLeft ? '0' : 'coalesce(w, 0)'}`
  const window = step.op === 'window join' ? untyped(windowOf(step.window)) : []
  const meeting =
    step.op === 'join'
      ? join(other as never, { on: ['k'], within: [`${step.lo} seconds`, `${step.hi} seconds`], kind } as never)
      : join(
          window.reduce((before, operate) => operate(before), other) as never,
          { on: ['k'], window: true, kind } as never,
        )
  return untyped(...window, meeting, derive({ v: ['BIGINT', weighted as string] }), select('k' as never, 'v' as never))
}

type Union = (...flows: readonly Observable<unknown>[]) => Observable<unknown>
