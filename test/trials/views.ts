/** What a receiver of changes makes of them, and what it is to have. */
import { whole } from './ledger.ts'
import type { OracleResult } from './oracle.ts'
import { changeRankWeight, distinctWeight, type TrialOp } from './plan.ts'

/** Which results are given, as SQL and as a rule. */
export interface Having {
  readonly sql: string
  is(n: number, s: number): boolean
}

export function drawHaving(random: () => number): Having {
  const least = whole(random, -6, 3)
  const all: readonly Having[] = [
    { sql: 'TRUE', is: () => true },
    { sql: `n >= 2 AND s > ${least}`, is: (n, s) => n >= 2 && s > least },
    { sql: `s BETWEEN ${least} AND 4`, is: (_, s) => s >= least && s <= 4 },
  ]
  return all[whole(random, 0, all.length - 1)] as Having
}

export const inOrder = (a: string, b: string) => (a < b ? -1 : a > b ? 1 : 0)

/** 'upsert end k v' */
export function parsed(change: string): { readonly op: string; readonly key: string; readonly row: string } {
  const [op = '', end, k, v] = change.split(' ')
  return { op, key: `${end} ${k}`, row: `${end} ${k} ${v}` }
}

export function latestOf(epochs: readonly (readonly string[])[], random: () => number): string[] {
  const last = new Map<string, { readonly epoch: number; readonly op: string; readonly row: string }>()
  const log = epochs.flatMap((changes, epoch) => changes.map(change => ({ epoch, ...parsed(change) })))
  for (const change of [...log, ...log.filter(() => random() < 0.3)].toSorted(() => random() - 0.5))
    if ((last.get(change.key)?.epoch ?? -1) <= change.epoch) last.set(change.key, change)
  return [...last.values()].flatMap(({ op, row }) => (op === 'upsert' ? [row] : []))
}

export function viewOf(results: readonly OracleResult[], op: TrialOp, having: Having, top: number): readonly string[] {
  const found = results
    .map(({ end, k, vs }) => ({ end: op === 'global' ? '-' : String(end), k, vs, s: vs.reduce((a, b) => a + b, 0) }))
    .filter(({ vs, s }) => having.is(vs.length, s))
  return found
    .flatMap(({ end, k, vs, s }) => {
      const before = found.filter(other => other.end === end && (other.s - s || k - other.k) > 0).length
      if (top > 0 && before >= top) return []
      const rank = top === 0 ? 0 : before + 1
      const v = changeRankWeight * rank + distinctWeight * new Set(vs.filter(v => v > 0)).size + s
      return [`${end} ${k} ${v}`]
    })
    .toSorted(inOrder)
}
