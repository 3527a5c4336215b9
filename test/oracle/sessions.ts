/**
 * Sessions row by row (S2, S6, S8, S10), in bigint microseconds. It knows neither DuckDB nor epochs nor any product code: the
 * sessions are the islands of all rows that were accepted, looked for anew wherever they are asked for.
 */
import type { OracleInput, OracleRow } from './oracle.ts'

export interface SessionInput extends Omit<OracleInput, 'windows'> {
  readonly gapUs: bigint
}

export interface OracleSession {
  readonly start: bigint
  readonly end: bigint
  readonly key: OracleRow['key']
  /** Its rows by time, and of one time in the ledger's order. */
  readonly rows: readonly OracleRow[]
}

export interface SessionOutput {
  readonly final: readonly OracleSession[]
  readonly open: readonly OracleSession[]
  /** `object` counts objects from 0 in ledger order, `row` rows of the object. */
  readonly late: readonly { readonly object: number; readonly row: number; readonly t: bigint }[]
  readonly watermark: bigint | null
}

export function sessionOracle({ ledger, gapUs, delayUs, flush, where }: SessionInput): SessionOutput {
  const accepted: OracleRow[] = []
  const late: { object: number; row: number; t: bigint }[] = []
  let watermark: bigint | null = null
  let highest: bigint | null = null
  let object = -1
  const raise = (to: bigint) => {
    if (watermark === null || to > watermark) watermark = to
  }
  for (const entry of flush ? [...ledger, 'flush' as const] : ledger) {
    if (entry === 'flush') {
      const mark: bigint | null = highest
      for (const { start, end } of islands(accepted, gapUs)) if (mark !== null && start <= mark) raise(end + gapUs)
      continue
    }
    object++
    const before: bigint | null = watermark
    for (const [row, found] of entry.rows.entries()) {
      if (found.t === null || (where && !where(found))) continue
      if (before !== null && found.t + gapUs <= before) late.push({ object, row, t: found.t })
      else accepted.push(found)
    }
    for (const { t } of entry.rows) {
      if (t === null || (entry.bounds && (t < entry.bounds[0] || t >= entry.bounds[1]))) continue
      if (highest === null || t > highest) highest = t
      raise(t - delayUs)
    }
  }
  const last: bigint | null = watermark
  const isFinal = ({ end }: OracleSession) => last !== null && end + gapUs <= last
  const all = islands(accepted, gapUs)
  return { final: all.filter(isFinal), open: all.filter(session => !isFinal(session)), late, watermark }
}

function islands(rows: readonly OracleRow[], gapUs: bigint): OracleSession[] {
  const byKey = new Map<string, OracleRow[]>()
  for (const row of rows) {
    const name = JSON.stringify(row.key.map(part => (part === null ? [] : [typeof part, String(part)])))
    byKey.set(name, [...(byKey.get(name) ?? []), row])
  }
  return [...byKey.values()].flatMap(own => {
    const sessions: { start: bigint; end: bigint; key: OracleRow['key']; rows: OracleRow[] }[] = []
    for (const row of own.toSorted((a, b) => ((a.t as bigint) < (b.t as bigint) ? -1 : Number(a.t !== b.t)))) {
      const t = row.t as bigint
      const open = sessions.at(-1)
      // Exactly a gap apart is apart.
      if (open && t < open.end) {
        open.end = t + gapUs
        open.rows.push(row)
      } else sessions.push({ start: t, end: t + gapUs, key: row.key, rows: [row] })
    }
    return sessions
  })
}
