import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { drawn, wholeFromEnvironment } from '../golden/drawn.ts'
import { type BoundTrial, bindTrial, drawCut, execute, openTrials, type TrialSession } from './execute.ts'
import { drawLedger, ended, stretched, type TrialLedger, whole } from './ledger.ts'
import { answerOf, type OracleResult } from './oracle.ts'
import { drawPlan, halfHours, type TrialOp, stretchedStep } from './plan.ts'
import { drawHaving, type Having, inOrder, latestOf, parsed, viewOf } from './views.ts'

/** Ledgers of each kind of window, each run in three cuts and replayed in two; MILLRACE_TRIALS=400 makes 2,000 runs of each. */
const ledgers = wholeFromEnvironment('MILLRACE_TRIALS', 2)
const ledgersOfPlan = 3

const windows = ['tumbling', 'hopping', 'cumulative', 'calendar', 'global'] as const

let session: TrialSession
beforeAll(async () => {
  session = await openTrials()
})
afterAll(() => session[Symbol.asyncDispose]())

/** What a control does wrong on purpose. */
interface Wrong {
  /** The receiver takes whatever comes, though it has had it. */
  readonly everyDelivery?: true
  /** Results are compared with none, as if all were new. */
  readonly nothingBefore?: true
  /** Of a window only the groups that rows touch are looked at. */
  readonly groupsAlone?: true
}

describe('changes come to the answer over what was accepted, at every commit, cut, merge and recovery (law 1, S15)', () => {
  test.each(
    windows.flatMap(op => [
      { op, name: op, isTop: false },
      { op, name: `${op} > topN`, isTop: true },
    ]),
  )(
    '$name',
    async ({ op, isTop }) => {
      const { random, label } = drawn()
      const { wrong, commits, deletes } = await trial({ op, isTop }, ledgers, random, {}, label)
      expect(wrong, label).toBe(0)
      expect(commits).toBeGreaterThan(0)
      if (ledgers >= 30) expect(deletes).toBeGreaterThan(0)
    },
    180_000 + ledgers * 20_000,
  )
})

describe('what is broken on purpose is found', () => {
  const broken = async (wrong: Wrong, isTop = false) => {
    const { random } = drawn()
    let found = 0
    for (let tries = 0; found === 0 && tries < 50; tries++)
      found += (await trial({ op: 'tumbling', isTop }, 3, random, wrong)).wrong
    return found
  }
  test('a receiver that takes an epoch again after a later one (P15)', { timeout: 600_000 }, async () => {
    expect(await broken({ everyDelivery: true })).toBeGreaterThan(0)
  })
  test('the difference of the touched groups alone, where ranks depend on others (S15)', {
    timeout: 600_000,
  }, async () => {
    expect(await broken({ groupsAlone: true }, true)).toBeGreaterThan(0)
  })
  test('a difference to nothing, by which no result ever goes', { timeout: 600_000 }, async () => {
    expect(await broken({ nothingBefore: true })).toBeGreaterThan(0)
  })
})

interface Kind {
  readonly op: TrialOp
  /** The largest of each window. */
  readonly isTop: boolean
}

async function trial({ op, isTop }: Kind, count: number, random: () => number, wrong: Wrong, label?: string) {
  const seen = { wrong: 0, commits: 0, deletes: 0 }
  for (let first = 0; first < count; first += ledgersOfPlan) {
    const isLong = op === 'calendar'
    const plan = drawPlan(random, [op])
    const steps = isLong ? plan.map(stretchedStep) : plan
    const having = drawHaving(random)
    const top = isTop ? whole(random, 1, 3) : 0
    const lastKey = isTop ? 4 : 1
    const bound = broken(await bindTrial(session, steps, { changes: { having: having.sql, top } }), wrong)
    for (let index = first; index < Math.min(count, first + ledgersOfPlan); index++) {
      const short = op === 'global' && random() < 0.5 ? ended(drawLedger(random, lastKey)) : drawLedger(random, lastKey)
      const ledger = isLong ? stretched(short, halfHours.times, halfHours.from) : short
      const answer = answerOf(ledger, steps)
      const runs = (['each', 'few', 'drawn'] as const).flatMap(kind => [
        { kind, known: undefined },
        ...(kind === 'each' ? [] : [{ kind, known: answer.flushes }]),
      ])
      for (const { kind, known } of runs) {
        const cut = drawCut(random, ledger, kind, known !== undefined)
        const { epochs } = await execute(bound, ledger, cut, random, known ? { known } : {})
        seen.commits += cut.length
        seen.deletes += epochs.flat().filter(change => change.startsWith('delete')).length
        const found = firstWrong(epochs, cut, answer.results, { op, having, top, random, wrong })
        if (found === undefined) continue
        seen.wrong++
        if (label !== undefined)
          expect.soft(found, `${label}, cut ${cut.join(' ')}: ${told(steps, having, ledger)}`).toBeUndefined()
      }
    }
  }
  return seen
}

const told = (steps: unknown, { sql }: Having, ledger: TrialLedger) =>
  `${JSON.stringify(steps)} having ${sql} over ${JSON.stringify(ledger)}`

function broken(bound: BoundTrial, { nothingBefore, groupsAlone }: Wrong): BoundTrial {
  if (!nothingBefore && !groupsAlone) return bound
  const stages = bound.context.stages.map(stage => {
    const { updates } = stage.step
    if (!updates) return stage
    let calls = 0
    const wrong: typeof updates = {
      ...updates,
      touched: (unit, fresh, fromUs) => updates.touched(groupsAlone ? 'group' : unit, fresh, fromUs),
      results: (unit, partials, touched, fromUs) => {
        const none = nothingBefore && calls++ % 2 === 0
        return updates.results(groupsAlone ? 'group' : unit, none ? () => [] : partials, touched, fromUs)
      },
    }
    return { ...stage, step: { ...stage.step, updates: wrong } }
  })
  return { ...bound, context: { ...bound.context, stages } }
}

interface Judged {
  readonly op: TrialOp
  readonly having: Having
  readonly top: number
  readonly random: () => number
  readonly wrong: Wrong
}

/** The first commit after which a receiver has another view than the oracle. */
function firstWrong(
  epochs: readonly (readonly string[])[],
  cut: readonly number[],
  results: readonly (readonly OracleResult[])[],
  { op, having, top, random, wrong }: Judged,
): unknown {
  const ordered = new Map<string, string>()
  let taken = 0
  let entries = 0
  const deliver = (epoch: number) => {
    if (epoch <= taken && !wrong.everyDelivery) return
    applyTo(ordered, epochs[epoch - 1] ?? [])
    taken = Math.max(taken, epoch)
  }
  for (const [index, size] of cut.entries()) {
    entries += size
    const epoch = index + 1
    // A crash between the commit and the answer of the receiver: the epoch comes again, perhaps with those before it.
    const again = random() < 0.35 ? whole(random, 0, 2) : -1
    if (random() < 0.5 || again < 0) deliver(epoch)
    for (let from = Math.max(1, epoch - again); again >= 0 && from <= epoch; from++) deliver(from)
    // A process that others have replaced gives an old one once more.
    if (random() < 0.3 && epoch > 1) deliver(whole(random, 1, epoch - 1))
    const wanted = viewOf(results[entries - 1] ?? [], op, having, top)
    // Files may be read in any order, and twice.
    const logged = latestOf(epochs.slice(0, epoch), random)
    for (const found of [[...ordered.values()], logged].map(rows => rows.toSorted(inOrder)))
      if (found.join('\n') !== wanted.join('\n')) return { epoch, found, wanted }
  }
  return undefined
}

function applyTo(view: Map<string, string>, changes: readonly string[]): void {
  for (const { op, key, row } of changes.map(parsed))
    if (op === 'delete') view.delete(key)
    else view.set(key, row)
}
