import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { drawn, wholeFromEnvironment } from '../golden/drawn.ts'
import { type BoundTrial, bindTrial, drawCut, execute, openTrials, type TrialSession } from './execute.ts'
import { lateAnswerOf } from './late-oracle.ts'
import { drawLedger, type TrialLedger, whole, withApplied } from './ledger.ts'
import type { OracleResult } from './oracle.ts'
import { drawPlan, type TrialOp } from './plan.ts'
import { drawHaving, type Having, inOrder, parsed, viewOf } from './views.ts'

/** Ledgers of each chain, each run in three cuts and replayed in two; MILLRACE_TRIALS=125 makes 1,000 ledgers of all. */
const ledgers = wholeFromEnvironment('MILLRACE_TRIALS', 2)
/** So many of the five ways to run a ledger are drawn for it. */
const waysMax = wholeFromEnvironment('MILLRACE_WAYS', 5)
const ledgersOfPlan = 3

const chains: readonly (readonly TrialOp[])[] = [
  ['tumbling'],
  ['hopping'],
  ['tumbling', 'tumbling'],
  ['hopping', 'tumbling'],
  ['tumbling', 'hopping'],
  ['hopping', 'hopping'],
  ['tumbling', 'tumbling', 'tumbling'],
]

let session: TrialSession
beforeAll(async () => {
  session = await openTrials()
})
afterAll(() => session[Symbol.asyncDispose]())

describe('results with corrections are those of one batch over all that was taken, at every commit and cut (law 1, S16)', () => {
  test.each([
    ...chains.map(ops => ({ ops, name: ops.join(' > '), isTop: false })),
    { ops: ['tumbling'] as const, name: 'tumbling > topN', isTop: true },
  ])(
    '$name',
    async ({ ops, isTop }) => {
      const { random, label } = drawn()
      const { wrong, taken, stays, deletes } = await trial({ ops, isTop }, ledgers, random, {}, label)
      expect(wrong, label).toBe(0)
      expect(taken).toBeGreaterThan(0)
      if (ledgers >= 30) expect(Math.min(stays, deletes)).toBeGreaterThan(0)
    },
    180_000 + ledgers * 20_000,
  )
})

/** What a control does wrong on purpose. */
interface Wrong {
  /** State goes when its window closes, as without the option. */
  readonly dead?: true
  /** A correction is taken for one more row. */
  readonly everyVersion?: true
}

describe('what is broken on purpose is found', () => {
  const broken = async (ops: readonly TrialOp[], wrong: Wrong) => {
    const { random } = drawn()
    let found = 0
    for (let tries = 0; found === 0 && tries < 50; tries++)
      found += (await trial({ ops, isTop: false }, 3, random, wrong)).wrong
    return found
  }
  test('state that goes when its window closes', { timeout: 600_000 }, async () => {
    expect(await broken(['tumbling'], { dead: true })).toBeGreaterThan(0)
  })
  test('a step that counts a result in all its versions', { timeout: 600_000 }, async () => {
    expect(await broken(['tumbling', 'tumbling'], { everyVersion: true })).toBeGreaterThan(0)
  })
})

interface Kind {
  readonly ops: readonly TrialOp[]
  /** The largest of each window. */
  readonly isTop: boolean
}

async function trial({ ops, isTop }: Kind, count: number, random: () => number, wrong: Wrong, label?: string) {
  const seen = { wrong: 0, taken: 0, stays: 0, deletes: 0 }
  for (let first = 0; first < count; first += ledgersOfPlan) {
    const steps = drawPlan(random, ops)
    const having = drawHaving(random)
    const top = isTop ? whole(random, 1, 3) : 0
    const retention = random() < 0.5 ? 10_000 : whole(random, 1, 40)
    const bound = broken(await bindTrial(session, steps, { changes: { having: having.sql, top, retention } }), wrong)
    for (let index = first; index < Math.min(count, first + ledgersOfPlan); index++) {
      const ledger = withApplied(random, drawLedger(random, isTop ? 4 : 1))
      const answer = lateAnswerOf(ledger, steps, retention)
      seen.taken += answer.taken
      seen.stays += answer.stays
      const runs = (['each', 'few', 'drawn'] as const).flatMap(kind => [
        { kind, known: undefined },
        ...(kind === 'each' ? [] : [{ kind, known: answer.flushes }]),
      ])
      for (const { kind, known } of runs.toSorted(() => random() - 0.5).slice(0, waysMax)) {
        const cut = drawCut(random, ledger, kind, known !== undefined)
        const { epochs } = await execute(bound, ledger, cut, random, known ? { known } : {})
        seen.deletes += epochs.flat().filter(change => change.startsWith('delete')).length
        const found = firstWrong(epochs, cut, answer.results, ops, having, top)
        if (found === undefined) continue
        seen.wrong++
        if (label !== undefined)
          expect
            .soft(found, `${label}, cut ${cut.join(' ')}: ${told(steps, having, retention, ledger)}`)
            .toBeUndefined()
      }
    }
  }
  return seen
}

const told = (steps: unknown, { sql }: Having, retention: number, ledger: TrialLedger) =>
  `${JSON.stringify(steps)} having ${sql}, retention ${retention}, over ${JSON.stringify(ledger)}`

function broken(bound: BoundTrial, { dead, everyVersion }: Wrong): BoundTrial {
  if (!dead && !everyVersion) return bound
  for (const stage of bound.context.stages)
    for (const channel of stage.step.channels) {
      const isKept = Object.hasOwn(channel.columns, '_result')
      if (dead)
        Object.assign(channel, { closesAt: isKept ? '_window_end' : channel.closesAt.replace(/ \+ \d+\)$/, ')') })
      // Versions are told apart, as if each were a result of its own.
      if (everyVersion && isKept) {
        const { changed } = stage.step.corrections ?? {}
        const wrongly: typeof changed = (rows, us) =>
          `SELECT * REPLACE (_result || ' again' AS _result) FROM (${changed?.(rows, us)}) WHERE NOT _is_gone`
        Object.assign(stage.step.corrections ?? {}, { changed: wrongly })
      }
    }
  return bound
}

/** The first commit after which a reader of the results and corrections has another view than the oracle. */
function firstWrong(
  epochs: readonly (readonly string[])[],
  cut: readonly number[],
  results: readonly (readonly OracleResult[])[],
  ops: readonly TrialOp[],
  having: Having,
  top: number,
): unknown {
  const view = new Map<string, string>()
  let entries = 0
  for (const [index, size] of cut.entries()) {
    entries += size
    for (const change of epochs[index] ?? []) {
      const isGiven = !/^(upsert|delete) /.test(change)
      const { op, key, row } = parsed(isGiven ? `upsert ${change}` : change)
      // A result is given once, and what is gone was there. A change may be one of a column that is not in the view.
      if (isGiven ? view.has(key) : op === 'delete' && !view.has(key))
        return { epoch: index + 1, change, before: view.get(key) }
      if (op === 'delete') view.delete(key)
      else view.set(key, row)
    }
    const wanted = viewOf(results[entries - 1] ?? [], ops.at(-1) as TrialOp, having, top)
    const found = [...view.values()].toSorted(inOrder)
    if (found.join('\n') !== wanted.join('\n')) return { epoch: index + 1, found, wanted }
  }
  return undefined
}
