/** Oracle ledgers as files, and what a checkpoint says about them in the oracle's words. */
import { count, max, min, sum } from '../../src/index.ts'
import type { OracleInput, OracleObject, OracleOutput, OracleRow, OracleWindow } from '../oracle/oracle.ts'
import { type Lab, type Place, quoted, type WindowedFlow } from './harness.ts'

/** The ledger with its objects in S7's order, so that files named after their places keep it. */
export function inKeyOrder(objects: readonly OracleObject[]): OracleObject[] {
  return objects.toSorted((a, b) => Number((a.bounds?.[0] ?? 0n) - (b.bounds?.[0] ?? 0n)))
}

/** `0003.parquet`, or `2022-01-02_0003.parquet` where the key names the object's bounds. */
export function keyOf(object: OracleObject, index: number, format: 'parquet' | 'json'): string {
  const period = object.bounds ? `${isoUs(object.bounds[0]).slice(0, 10)}_` : ''
  return `${period}${String(index).padStart(4, '0')}.${format === 'json' ? 'jsonl' : 'parquet'}`
}

export async function writeObject(
  lab: Lab,
  object: OracleObject,
  index: number,
  format: 'parquet' | 'json',
): Promise<void> {
  const key = keyOf(object, index, format)
  if (format === 'json') await lab.lines(key, object.rows.map(jsonLine))
  else await lab.parquet(key, parquetQuery(object.rows))
}

/** Event times: microseconds since 1970 as ISO 8601. */
export function isoUs(us: bigint): string {
  const ms = us / 1000n - (us % 1000n < 0n ? 1n : 0n)
  return new Date(Number(ms)).toISOString().replace('Z', `${String(us - ms * 1000n).padStart(3, '0')}Z`)
}

function jsonLine({ t, key: [k], values: [a, b] }: OracleRow, index: number): string {
  // By turns a null and no field at all: both are NULL.
  const field = (name: string, json: string | null | undefined) =>
    json === null || json === undefined ? (index % 2 === 0 ? [`"${name}":null`] : []) : [`"${name}":${json}`]
  return `{${[
    ...field('v', a?.toString()),
    ...field('t', t === null ? null : `"${isoUs(t)}"`),
    ...field('k', typeof k === 'string' ? JSON.stringify(k) : null),
    ...field('d', b === null || b === undefined ? null : `"${cents(b)}"`),
  ].join(',')}}`
}

/** Unscaled hundredths as decimal text. */
export function cents(value: bigint): string {
  const digits = (value < 0n ? -value : value).toString().padStart(3, '0')
  return `${value < 0n ? '-' : ''}${digits.slice(0, -2)}.${digits.slice(-2)}`
}

function parquetQuery(rows: readonly OracleRow[]): string {
  // Times that are not there: by turns NULL and infinite (S2).
  const time = (t: bigint | null, index: number) =>
    t === null ? (index % 2 === 0 ? 'NULL' : `TIMESTAMP 'infinity'`) : `make_timestamp(${t})`
  const text = (value: unknown) => (typeof value === 'string' ? quoted(value) : 'NULL')
  const values = rows.map(
    ({ t, key: [k], values: [a, b] }, index) =>
      `(${time(t, index)}, ${text(k)}, ${a ?? 'NULL'}::BIGINT, ${b === null || b === undefined ? 'NULL' : quoted(cents(b))}::DECIMAL(18,2))`,
  )
  const none = '(NULL::TIMESTAMP, NULL::VARCHAR, NULL::BIGINT, NULL::DECIMAL(18,2))'
  return `SELECT * FROM (VALUES ${values.length > 0 ? values.join(', ') : none}) AS x(t, k, v, d)${values.length > 0 ? '' : ' WHERE FALSE'}`
}

const second = 1_000_000n

/** The flow that computes what the oracle does: count, and sum, min and max of both values, by `k`. */
export function oracleFlow(
  { windows, delayUs, where }: OracleInput,
  format: 'parquet' | 'json',
  output: 'parquet' | 'json',
  isBounded: boolean,
): WindowedFlow {
  const duration = (us: bigint) => `${us / second}s`
  return {
    columns: { t: 'TIMESTAMP', k: 'VARCHAR', v: 'BIGINT', d: 'DECIMAL(18,2)' },
    format,
    output,
    delay: duration(delayUs),
    ...(isBounded ? { bounds: '{yyyy}-{MM}-{dd}_' } : {}),
    ...(where ? { where: 'v > 0' } : {}),
    size: duration(windows.sizeUs),
    ...(windows.everyUs === windows.sizeUs ? {} : { every: duration(windows.everyUs) }),
    keys: ['k'],
    aggregates: {
      n: count(),
      sum_v: sum('v'),
      min_v: min('v'),
      max_v: max('v'),
      sum_d: sum('d'),
      min_d: min('d'),
      max_d: max('d'),
    },
  }
}

/** What the oracle's `where` means in these files. */
export const isPositive = (row: OracleRow): boolean => {
  const [v] = row.values
  return v !== null && v !== undefined && v > 0n
}

export interface Found {
  readonly final: readonly string[]
  readonly open: readonly string[]
  readonly late: readonly string[]
  readonly quarantined: readonly string[]
  readonly watermark: string | null
}

/** Output, open state, late ledger, quarantine and watermark of a place, as sorted lines. */
export async function found(
  lab: Lab,
  at: Place,
  keys: readonly string[],
  windows: OracleInput['windows'],
): Promise<Found> {
  const head = await lab.head(at)
  const marks = head.manifest.engine.watermarks as Record<string, { watermarkUs: string | null }>
  const watermark = marks.in?.watermarkUs ?? null
  const final = (await lab.rows(at)).map(row => {
    const number = (text: string | null | undefined) => (text === null || text === undefined ? 'NULL' : text)
    const decimal = (text: string | null | undefined) =>
      text === null || text === undefined ? 'NULL' : cents(hundredths(text))
    return line(
      timeUs(row.window_start ?? ''),
      timeUs(row.window_end ?? ''),
      row.k ?? null,
      number(row.n),
      [row.sum_v, row.min_v, row.max_v].map(number),
      [row.sum_d, row.min_d, row.max_d].map(decimal),
    )
  })
  const place = (object: string | null | undefined) => keys.indexOf(object ?? '')
  return {
    final: final.toSorted(),
    open: openLines(await lab.channels('segment-', at), windows, watermark === null ? null : BigInt(watermark)),
    late: (await lab.channels('late-', at))
      .map(row => `${place(row._object)} ${row._row} [${row._window_start},${row._window_end})`)
      .toSorted(),
    quarantined: (await lab.channel('quarantine', at)).map(row => `${place(row.object)} ${row._row}`).toSorted(),
    watermark,
  }
}

export function expected({ final, open, late, quarantined, watermark }: OracleOutput): Found {
  const lines = (windows: readonly OracleWindow[]) =>
    windows
      .map(({ windowStart, windowEnd, key: [k = null], count, values: [v, d] }) =>
        line(
          windowStart,
          windowEnd,
          k as string | null,
          `${count}`,
          [v?.sum, v?.min, v?.max].map(value => `${value ?? 'NULL'}`),
          [d?.sum, d?.min, d?.max].map(value => (value === null || value === undefined ? 'NULL' : cents(value))),
        ),
      )
      .toSorted()
  return {
    final: lines(final),
    open: lines(open),
    late: late.map(l => `${l.object} ${l.row} [${l.windowStart},${l.windowEnd})`).toSorted(),
    quarantined: quarantined.map(q => `${q.object} ${q.row}`).toSorted(),
    watermark: watermark?.toString() ?? null,
  }
}

function line(
  start: bigint,
  end: bigint,
  key: string | null,
  count: string,
  v: readonly string[],
  d: readonly string[],
): string {
  return `[${start},${end}) ${JSON.stringify(key)} n=${count} v=${v.join()} d=${d.join()}`
}

/** '2022-01-01 00:00:00.5', or ISO 8601 in JSON output. */
function timeUs(text: string): bigint {
  const match = /^(\d{4}-\d\d-\d\d)[ T](\d\d:\d\d:\d\d)(?:\.(\d{1,6}))?/.exec(text)
  if (!match) throw new Error(`no time: ${text}`)
  return BigInt(Date.parse(`${match[1]}T${match[2]}Z`)) * 1000n + BigInt((match[3] ?? '').padEnd(6, '0'))
}

function hundredths(text: string): bigint {
  const [whole = '', fraction = ''] = text.replace('-', '').split('.')
  const value = BigInt(whole + fraction.padEnd(2, '0'))
  return text.startsWith('-') ? -value : value
}

/**
 * Open windows out of segments, by S9's own words: the window [s, e) merges the panes inside it with from_end <= e.
 * Tumbling state has a start instead of a pane and an end to come from.
 */
function openLines(
  segments: readonly Readonly<Record<string, string | null>>[],
  { sizeUs, everyUs }: OracleInput['windows'],
  watermark: bigint | null,
): string[] {
  const groups = new Map<
    string,
    { start: bigint; key: string | null; parts: Readonly<Record<string, string | null>>[] }
  >()
  for (const part of segments) {
    const pane = BigInt(part._start ?? part._pane ?? '')
    const below = (pane / everyUs) * everyUs
    for (let start = below > pane ? below - everyUs : below; start + sizeUs > pane; start -= everyUs) {
      const end = start + sizeUs
      if (watermark !== null && end <= watermark) continue
      if (part._from_end !== undefined && BigInt(part._from_end ?? '') > end) continue
      const name = `${start} ${JSON.stringify(part.k)}`
      if (!groups.has(name)) groups.set(name, { start, key: part.k ?? null, parts: [] })
      groups.get(name)?.parts.push(part)
    }
  }
  const integers = (
    parts: readonly Readonly<Record<string, string | null>>[],
    column: string,
    of: (text: string) => bigint,
  ) =>
    parts.flatMap(part => {
      const value = part[`_${column}`]
      return value === null || value === undefined ? [] : [of(value)]
    })
  return [...groups.values()]
    .map(({ start, key, parts }) => {
      const fold = (column: string, of: (text: string) => bigint, show: (value: bigint) => string) => {
        const all = (aggregate: string) => integers(parts, `${aggregate}_${column}.${aggregate}`, of)
        const extreme = (values: readonly bigint[], isBetter: (a: bigint, b: bigint) => boolean) =>
          values.length === 0 ? 'NULL' : show(values.reduce((a, b) => (isBetter(b, a) ? b : a)))
        const sums = all('sum')
        return [
          sums.length === 0 ? 'NULL' : show(sums.reduce((a, b) => a + b)),
          extreme(all('min'), (a, b) => a < b),
          extreme(all('max'), (a, b) => a > b),
        ]
      }
      const n = integers(parts, 'n.count', BigInt).reduce((a, b) => a + b, 0n)
      return line(start, start + sizeUs, key, `${n}`, fold('v', BigInt, String), fold('d', hundredths, cents))
    })
    .toSorted()
}
