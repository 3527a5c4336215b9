import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { seededRandom } from '../../src/testing/index.ts'
import { drawn, wholeFromEnvironment } from '../golden/drawn.ts'
import { bindTrial, drawCut, execute, type Executed, openTrials, type TrialSession, type Wrong } from './execute.ts'
import { drawLedger, ended, stretched, type TrialLedger } from './ledger.ts'
import { answerOf, type OracleAnswer } from './oracle.ts'
import { drawPlan, halfHours, nameOf, stretchedStep, type TrialOp } from './plan.ts'

/** Ledgers of each chain, each run in three cuts and replayed in two; MILLRACE_TRIALS=400 makes 2,000 runs of each. */
const ledgers = wholeFromEnvironment('MILLRACE_TRIALS', 1)
/** Ledgers that share one plan: binding it costs more than running it. */
const ledgersOfPlan = 3

const chains: readonly (readonly TrialOp[])[] = [
  ['tumbling'],
  ['hopping'],
  ['cumulative'],
  ['dedupe'],
  ['session'],
  ['session', 'tumbling'],
  ['tumbling', 'session'],
  ['session', 'session'],
  ['dedupe', 'session'],
  ['session', 'dedupe'],
  ['hopping', 'session', 'tumbling'],
  ['dedupe', 'tumbling'],
  ['tumbling', 'dedupe'],
  ['tumbling', 'tumbling'],
  ['hopping', 'tumbling'],
  ['tumbling', 'hopping'],
  ['cumulative', 'tumbling'],
  ['tumbling', 'cumulative'],
  ['deltas'],
  ['tumbling', 'deltas'],
  ['deltas', 'tumbling'],
  ['keep last'],
  ['keep last', 'tumbling'],
  ['tumbling', 'keep last'],
  ['keep last', 'session'],
  ['session', 'keep last'],
  ['keep last', 'keep last'],
  ['dedupe', 'keep last', 'deltas'],
  ['tumbling', 'topN'],
  ['hopping', 'topN', 'tumbling'],
  ['cumulative', 'topN', 'keep last'],
  ['tumbling', 'keep last', 'topN'],
  ['tumbling', 'deltas', 'topN', 'tumbling', 'topN'],
  ['hopping', 'dedupe', 'topN'],
  ['calendar', 'topN'],
  ['global', 'topN'],
  ['global'],
  ['hopping', 'global'],
  ['calendar'],
  ['calendar', 'tumbling'],
  ['tumbling', 'calendar'],
  ['session', 'calendar'],
  ['dedupe', 'dedupe'],
  ['tumbling', 'tumbling', 'tumbling'],
  ['dedupe', 'hopping', 'tumbling'],
  ['hopping', 'dedupe', 'tumbling'],
  [['union'], 'tumbling'],
  [['union'], 'dedupe', 'hopping'],
  [['union', 'tumbling'], 'tumbling'],
  ['tumbling', ['union', 'session'], 'deltas'],
  ['tumbling', ['union', 'dedupe']],
  [['inner']],
  [['left']],
  [['right']],
  [['full']],
  [['semi']],
  [['anti']],
  [['full in tumbling']],
  [['inner in hopping'], 'tumbling'],
  [['anti in cumulative'], 'topN'],
  ['tumbling', ['full', 'hopping'], 'tumbling'],
  [['inner'], ['left'], 'tumbling'],
  [['anti'], ['semi', 'tumbling'], 'deltas'],
  [
    ['union', ['right']],
    ['left', 'session'],
  ],
]

let session: TrialSession
beforeAll(async () => {
  session = await openTrials()
})
afterAll(() => session[Symbol.asyncDispose]())

describe('random plans over random ledgers agree with the oracle in every cut, merge and recovery (law 1, S6, S8 to S13)', () => {
  test.each(chains.map(chain => ({ chain, name: chain.map(nameOf).join(' > ') })))(
    '$name',
    async ({ chain }) => {
      const { random, label } = drawn()
      const { wrong, late, rows } = await trial(chain, ledgers, random, {}, label)
      expect(wrong, label).toBe(0)
      // A trial in which nothing is late, or nothing comes out, tries nothing.
      if (ledgers >= 30) expect(Math.min(late, rows)).toBeGreaterThan(0)
    },
    180_000 + ledgers * 20_000,
  )
})

describe('a rule that is broken on purpose is found', () => {
  /** Whether a trial differs, from this seed on. Few do, so the first is one that does; one after it does if plans change. */
  const isFound = async (ops: readonly TrialOp[], wrong: Wrong, seed: number) => {
    for (let next = seed; next < seed + 100; next++)
      if ((await trial(ops, ledgersOfPlan, seededRandom(next), wrong)).wrong > 0) return true
    return false
  }

  test('one flush value for all stages of a chain (S6)', { timeout: 600_000 }, async () => {
    expect(await isFound(['tumbling', 'tumbling'], { oneFlushValue: true }, 3)).toBe(true)
  })

  test('the death of a session row by its own columns (S10, P11)', { timeout: 600_000 }, async () => {
    expect(await isFound(['session'], { rowLocalDeath: true }, 10)).toBe(true)
  })
})

/** @returns runs that differ from the oracle, and how much there was to compare. */
async function trial(ops: readonly TrialOp[], count: number, random: () => number, wrong: Wrong, label?: string) {
  const seen = { wrong: 0, late: 0, rows: 0 }
  for (let first = 0; first < count; first += ledgersOfPlan) {
    const isLong = ops.includes('calendar')
    const lastKey = ops.includes('topN') ? 3 : 1
    const plan = drawPlan(random, ops)
    const steps = isLong ? plan.map(stretchedStep) : plan
    const hasLateFlows = random() < 0.5
    const bound = await bindTrial(session, steps, { hasLateFlows })
    for (let index = first; index < Math.min(count, first + ledgersOfPlan); index++) {
      const short = ops.includes('global') ? ended(drawLedger(random, lastKey)) : drawLedger(random, lastKey)
      const ledger = isLong ? stretched(short, halfHours.times, halfHours.from) : short
      const answer = answerOf(ledger, steps)
      seen.late += answer.late.length
      seen.rows += answer.rows.length
      const runs = (['each', 'few', 'drawn'] as const).flatMap(kind => [
        { kind, known: undefined },
        ...(kind === 'each' || wrong.oneFlushValue ? [] : [{ kind, known: answer.flushes }]),
      ])
      for (const { kind, known } of runs) {
        const cut = drawCut(random, ledger, kind, known !== undefined)
        const got = await execute(bound, ledger, cut, random, known ? { wrong, known } : { wrong })
        const difference = differenceOf(ledger, cut, got, hasLateFlows, answer)
        if (difference === undefined) continue
        seen.wrong++
        if (label !== undefined)
          expect
            .soft(difference, `${label}, cut ${cut.join(' ')}: ${JSON.stringify(steps)} over ${JSON.stringify(ledger)}`)
            .toBeUndefined()
      }
    }
  }
  return seen
}

/** Where the execution and the oracle differ, or undefined. */
function differenceOf(
  ledger: TrialLedger,
  cut: readonly number[],
  got: Executed,
  hasLateFlows: boolean,
  answer: OracleAnswer,
): unknown {
  const epochOf = cut.flatMap((size, epoch) => Array.from({ length: size }, () => epoch))
  const epochs = cut.map((): string[] => [])
  for (const { seq, k, v } of answer.rows) epochs[epochOf[seq - 1] as number]?.push(`${k} ${v}`)
  const late = answer.late.map(({ step, seq, row, end, port = '' }) => `${step} ${seq} ${row} ${end} ${port}`)
  const lateFlows = cut.map((): string[] => [])
  for (const { step, seq, k, v, end, port = '' } of hasLateFlows ? answer.late : [])
    lateFlows[epochOf[seq - 1] as number]?.push(`${step} ${port} ${end} ${k} ${v}`)
  const sorted = (lists: readonly (readonly string[])[]) => lists.map(list => list.toSorted())
  const flushes = (maps: readonly ReadonlyMap<number, number>[]) =>
    maps.map(map => [...map].toSorted(([a], [b]) => a - b))
  const wanted = {
    epochs: sorted(epochs),
    late: late.toSorted(),
    lateFlows: sorted(lateFlows),
    flushes: flushes(answer.flushes),
  }
  const found = {
    epochs: sorted(got.epochs),
    late: got.late.toSorted(),
    lateFlows: sorted(got.lateFlows),
    flushes: flushes(got.flushes),
  }
  return JSON.stringify(wanted) === JSON.stringify(found)
    ? undefined
    : { entries: ledger.entries.length, wanted, found }
}
