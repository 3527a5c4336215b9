import { text } from './sql.ts'
import { filled, type Tree, zoned } from './trees.ts'

/** Parts of time whose distance DuckDB's calendar holds, however far two times lie apart. */
const calendarPart =
  /^(y|yrs?|years?|quarters?|mons?|months?|w|weeks?|d|days?|dec|decs|decades?|c|cent|cents|century|centuries|mil|mils|millennium|millennia|millenniums)$/i

const distances: ReadonlySet<string> = new Set(['date_diff', 'datediff', 'date_sub', 'datesub'])

/** Whether this call over TIMESTAMPTZ could end DuckDB's session. */
export function isFarDistance(name: string, args: readonly Tree[]): boolean {
  if (!distances.has(name)) return false
  const part = args[0]?.class === 'CONSTANT' ? (args[0].value as Tree).value : undefined
  return typeof part !== 'string' || !calendarPart.test(part)
}

/** Puts a guard around a parsed call of `date_diff` or `date_sub`. */
export type DistanceGuard = (call: Tree) => Tree

/**
 * DuckDB 1.5 counts what lies between two TIMESTAMPTZ in 32 bits: more than 2^31 hours end its session, and more
 * minutes or seconds give a wrong number. In UTC, which every session has, it is what lies between two TIMESTAMP.
 *
 * @param parse DuckDB's tree of an expression
 */
export async function createDistanceGuard(parse: (sql: string) => Promise<Tree>): Promise<DistanceGuard> {
  const isZoned = (value: string) => `typeof(${value}) = ${text(zoned)}`
  const local = (value: string) => `CAST(CAST(${value} AS TIMESTAMPTZ) AS TIMESTAMP)`
  // DuckDB knows types when it binds: of the guard around other values nothing is left.
  const guard = await parse(`CASE WHEN ${isZoned('"a"')} OR ${isZoned('"b"')} THEN "local" ELSE "call" END`)
  const [left, right] = [await parse(local('"a"')), await parse(local('"b"'))]
  return call => {
    const [part, a, b] = call.children as readonly [Tree, Tree, Tree]
    const children = [part, filled(left, { a }), filled(right, { b })]
    return filled(guard, { a, b, call, local: { ...call, children } })
  }
}
