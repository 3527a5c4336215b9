/** Backfills in processes that are killed, life after life: what they read, how they die, and what must be there. */
import { expect } from 'vitest'
import type { Ended } from '../cli/child.ts'
import { type Lab, openLab } from '../engine/harness.ts'
import { drawn } from '../golden/drawn.ts'

/** Of `flowsOver`: a line for each row that must be there, in an order of their own. */
export interface KilledDays {
  readonly lab: Lab
  readonly expected: { readonly plain: string; readonly latest: string }
}

/** The columns of a line of each flow, in SQL; NULL is empty. */
export const lineItems = {
  plain: "t, coalesce(k::VARCHAR, ''), n",
  latest: "window_start, coalesce(k::VARCHAR, ''), rows, total",
} as const

const days = 4

/** An object a day. The next day's takes a window of the one before back: -total, so `where` drops its result. */
export async function openKilledDays(): Promise<KilledDays> {
  const lab = await openLab()
  for (let day = 1; day <= days; day++)
    await lab.parquet(
      `day_${day}.parquet`,
      `SELECT TIMESTAMP '2024-05-01' + to_days(${day - 1}) + to_seconds(i * 977 % 80000) AS t, CASE WHEN i % 4 < 3 THEN i % 4 END AS k, i AS n
       FROM range(1, 301) AS r(i) ${day > 1 ? `UNION ALL SELECT TIMESTAMP '2024-05-01' + to_days(${day - 2}), 1, -sum(i)::BIGINT FROM range(1, 301) AS r(i) WHERE i % 4 = 1` : ''}`,
    )
  const rows = `read_parquet('${lab.input}/*.parquet')`
  const lines = async (items: string, rest: string) => {
    const found = await lab.sql(`SELECT concat_ws('|', ${items}) AS line FROM ${rows} ${rest}`)
    return joined(found.map(({ line }) => String(line)))
  }
  const expected = {
    plain: await lines(lineItems.plain, 'WHERE n % 2 = 0'),
    latest: await lines(
      "date_trunc('day', t)::TIMESTAMP, coalesce(k::VARCHAR, ''), count(*), sum(n)",
      "GROUP BY date_trunc('day', t), k HAVING sum(n) <> 0",
    ),
  }
  return { lab, expected }
}

/** Lines in one order, as one text. */
export const joined = (lines: readonly string[]): string => lines.toSorted().join('\n')

/** When a process dies at a call. */
export type When = 'before' | 'after' | 'during'

/** How one of the kills is done. */
export interface Kills<P> {
  /** So many at least. */
  readonly kills: number
  /** A life without a kill has more calls than that. */
  readonly callsMin: number
  newPlace(): Promise<P>
  /** @param killAt the number of the call; absent: it lives to its end */
  live(place: P, killAt?: number, when?: When): Promise<Ended>
  /** All rows are there, once. @param where names the lives in failures */
  expectAll(place: P, where: string): Promise<void>
}

/** Lives to the end once without a kill; then, in place after place, after one to three deaths at drawn calls. */
export async function expectAllAfterKills<P>({ kills, callsMin, newPlace, live, expectAll }: Kills<P>): Promise<void> {
  const { label, random } = drawn()
  const whole = (least: number, most: number) => least + Math.floor(random() * (most - least + 1))
  const straight = await newPlace()
  const { stdout, stderr } = await live(straight)
  const calls = Number(stdout.trim().split('\n').at(-1))
  expect(calls, stderr).toBeGreaterThan(callsMin)
  await expectAll(straight, 'straight')
  const whens: readonly When[] = ['before', 'after', 'during']
  for (let done = 0; done < kills; ) {
    const place = await newPlace()
    const lives: string[] = []
    // Several deaths one after the other, and then a life to the end.
    for (let deaths = whole(1, 3); deaths > 0 && done < kills; deaths--) {
      const killAt = whole(1, lives.length === 0 ? calls : 25)
      const when = whens[whole(0, 2)] as When
      lives.push(`${when} call ${killAt} of ${calls}`)
      const ended = await live(place, killAt, when)
      // Of what is left there may be fewer calls than that.
      expect(ended.code === null || ended.code === 0, `${label}, ${lives}: ${ended.stderr}`).toBe(true)
      if (ended.code === null) done++
    }
    const { code, stderr: said } = await live(place)
    expect(code, `${label}, ${lives}: ${said}`).toBe(0)
    await expectAll(place, `${label}, ${lives}`)
  }
}
