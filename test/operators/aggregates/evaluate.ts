/** An aggregate over rows that are cut into partials, kept as Parquet, merged in a drawn order and emitted. */
import fc from 'fast-check'
import { afterAll, expect } from 'vitest'
import { aggregate, aggregateStep } from '../../../operators/aggregate.ts'
import { groupBy } from '../../../operators/group-by.ts'
import { hopping } from '../../../operators/hopping.ts'
import { session } from '../../../operators/session.ts'
import { groupsContext } from '../../../src/plan/node.ts'
import { rowHidden } from '../../../src/plan/relation.ts'
import type { SqlRow } from '../../../src/core/ports.ts'
import type { ColumnTypes } from '../../../src/plan/relation.ts'
import type { PartialRows, Channel, Stateful } from '../../../src/plan/step.ts'
import { openTestDuckdb, type TestDuckdb } from '../../plan/duckdb.ts'

export interface InputRow<V> {
  readonly minute: number
  readonly key: 'a' | 'b' | null
  readonly x: V | null
  /** Another column to order by, BIGINT. */
  readonly by: number | null
  /** What every filter of these tests asks for. */
  readonly isWanted: boolean | null
  /** Its partial, and in which order partials are merged. */
  readonly part: number
}

export function inputRows<V>(
  x: fc.Arbitrary<V | null>,
  { maxLength = 12 }: { maxLength?: number } = {},
): fc.Arbitrary<InputRow<V>[]> {
  return fc.array(
    fc.record({
      minute: fc.integer({ min: 0, max: 89 }),
      key: fc.constantFrom('a' as const, 'a' as const, 'b' as const, null),
      x: fc.oneof({ weight: 6, arbitrary: x }, { weight: 1, arbitrary: fc.constant(null) }),
      by: fc.option(fc.integer({ min: -2, max: 2 })),
      isWanted: fc.option(fc.boolean()),
      part: fc.nat(3),
    }),
    { minLength: 1, maxLength },
  )
}

/** A row with its place in the ledger: `_row` counts from 0. */
export type Placed<V> = InputRow<V> & { readonly row: number }
/** Those that the filter of a call keeps. */
export const wanted = <V>(rows: readonly Placed<V>[]) => rows.filter(({ isWanted }) => isWanted === true)
/** The result of a window and group from all its rows, in ledger order. */
export type Oracle<V> = (rows: readonly Placed<V>[]) => unknown

export interface Evaluator extends AsyncDisposable {
  readonly db: TestDuckdb
  /**
   * Every window (one hour, every 30 minutes; and sessions) and group holds what the oracle says, whatever the cut: all rows
   * in one partial, and the drawn parts, each written to Parquet, merged in pairs and written again.
   *
   * @param type of column `x`. @param sql a value as SQL, without its type.
   */
  check<V>(
    type: string,
    sql: (value: V) => string,
    calls: Readonly<Record<string, object>>,
    rows: readonly InputRow<V>[],
    expected: Readonly<Record<string, Oracle<V>>>,
  ): Promise<void>
  /** The results for one window and group over these values of `x`, half of them in another partial. */
  one(
    type: string,
    values: readonly string[],
    calls: Readonly<Record<string, object>>,
  ): Promise<Record<string, unknown>>
  /** The results for every window and group of these relations, a partial each. @param byType of column `by` */
  of(
    type: string,
    relations: readonly string[],
    calls: Readonly<Record<string, object>>,
    byType?: string,
  ): Promise<readonly SqlRow[]>
  /** The first call's side rows of this relation. */
  side(type: string, relation: string, calls: Readonly<Record<string, object>>): Promise<readonly SqlRow[]>
}

const minuteUs = 60_000_000
const size = 60
const every = 30
/** Drawn rows are some minutes apart, so that sessions are of one row or of several. */
const gap = 7

/** One for all tests of a file, closed after them. */
export async function evaluatorForTests(): Promise<Evaluator> {
  const evaluator = await openEvaluator()
  afterAll(() => evaluator[Symbol.asyncDispose]())
  return evaluator
}

async function openEvaluator(): Promise<Evaluator> {
  const db = await openTestDuckdb()
  const [allowed] = await db.rows("SELECT current_setting('allowed_directories')[1] AS folder")
  const folder = String(allowed?.folder)
  let files = 0

  /** DuckDB's long name as the short one. */
  async function describe(sql: string): Promise<Record<string, string>> {
    const found = Object.entries(await db.describe(sql))
    return Object.fromEntries(
      found.map(([name, type]) => [name, type.replaceAll('TIMESTAMP WITH TIME ZONE', 'TIMESTAMPTZ')]),
    )
  }

  async function stored(table: Channel, sql: string): Promise<string> {
    const file = `${folder}${files++}.parquet`
    expect(await describe(sql)).toEqual(table.columns)
    await db.rows(`COPY (${sql}) TO '${file}' (FORMAT parquet)`)
    expect(await describe(`FROM '${file}'`)).toEqual(table.columns)
    return `SELECT * FROM '${file}'`
  }

  /** Rows that close first are one part, all others another, as where an epoch's own rows begin above the state's. */
  async function inParts({ closesAt, life }: Channel, sql: string, isMerged: boolean): Promise<readonly PartialRows[]> {
    // What lives with others is one part: it shows only together what closes first.
    if (life.is === 'merged') return [{ sql, isMerged }]
    const [row] = await db.rows(`SELECT min(${closesAt}) AS first FROM (${sql})`)
    const first = (row?.first ?? 0n) as bigint
    const parts = [`<= ${first}`, `> ${first}`]
    return parts.map(part => ({ sql: `SELECT * FROM (${sql}) WHERE ${closesAt} ${part}`, isMerged }))
  }

  async function partialsOf(step: Stateful, relations: readonly string[], columns: ColumnTypes) {
    const tables = new Map<string, readonly PartialRows[]>()
    const [main] = step.channels
    for (const table of step.channels) {
      const parts: string[] = []
      for (const sql of relations) parts.push(await stored(table, table.partial(timed(sql, columns))))
      if (table.neededBy !== undefined) {
        const all = tables.get(main.name)?.map(({ sql }) => sql) ?? [emptyOf(main)]
        const needed = await db.rows(`SELECT sum("${table.neededBy}") AS n FROM (${all.join(' UNION ALL ')})`)
        const rows = await db.rows(`SELECT count(*) AS n FROM (${parts.join(' UNION ALL ')})`)
        expect(Number(needed[0]?.n ?? 0) === 0).toBe(Number(rows[0]?.n) === 0)
        if (Number(needed[0]?.n ?? 0) === 0) continue
      }
      if (parts.length === 1) {
        tables.set(table.name, await inParts(table, parts[0] as string, true))
        continue
      }
      // In pairs, the last two first; the rest stays apart, as the newest segments do.
      while (parts.length > 2) {
        const [a, b] = parts.splice(-2)
        parts.push(await stored(table, table.merge(`${b} UNION ALL ${a}`)))
      }
      tables.set(table.name, await inParts(table, parts.join(' UNION ALL '), false))
    }
    return tables
  }

  async function emitted(step: Stateful, relations: readonly string[], columns: ColumnTypes) {
    const tables = await partialsOf(step, relations, columns)
    const { sql, columns: output } = step.emit({
      rows: { sql: 'SELECT 1', columns: {}, hidden: [] },
      partials: table => tables.get(table.name) ?? [],
      committed: emptyOf,
      own: emptyOf,
      fromUs: null,
      toUs: 10n ** 12n,
    })
    const names = Object.keys(output)
      .map(name => `"${name}"`)
      .join(', ')
    const plain = Object.fromEntries(
      Object.entries(output).map(([name, type]) => [name, type.replace(/ NOT NULL$/, '')]),
    )
    expect(await describe(`SELECT ${names} FROM (${sql})`)).toEqual(plain)
    // As a number of JavaScript a DECIMAL of 38 digits would lose most of them.
    const wide = Object.keys(plain).filter(
      name => plain[name]?.startsWith('DECIMAL(38,') && !plain[name].endsWith('[]'),
    )
    const exact = wide.map(name => `CAST("${name}" AS VARCHAR) AS "${name}"`)
    const items = `* ${exact.length > 0 ? `REPLACE (${exact.join(', ')})` : ''}`
    return await db.rows(`SELECT ${items} FROM (SELECT ${names} FROM (${sql})) ORDER BY window_start, k`)
  }

  const columnsOf = (type: string, byType = 'BIGINT'): ColumnTypes => ({
    t: 'TIMESTAMP NOT NULL',
    k: 'VARCHAR',
    x: type,
    by: byType,
    wanted: 'BOOLEAN',
  })

  const relation = (type: string, rows: readonly Omit<Placed<string>, 'part'>[]) => {
    const values = rows.map(
      ({ row, minute, key, x, by, isWanted }) =>
        `(1, ${row}, NULL::BIGINT, make_timestamp(${minute * minuteUs}), ${key === null ? 'NULL::VARCHAR' : `'${key}'`}, ` +
        `CAST(${x ?? 'NULL'} AS ${type}), ${by ?? 'NULL'}::BIGINT, ${isWanted ?? 'NULL'}::BOOLEAN)`,
    )
    return `SELECT * FROM (VALUES ${values.join(', ')}) AS v(_seq, _row, _watermark, t, k, x, "by", wanted)`
  }

  return {
    db,
    async check<V>(
      type: string,
      sql: (value: V) => string,
      calls: Readonly<Record<string, object>>,
      rows: readonly InputRow<V>[],
      expected: Readonly<Record<string, Oracle<V>>>,
    ) {
      const columns = columnsOf(type)
      const step = foldOf(columns, calls)
      const placed = rows.map((row, index) => ({ ...row, row: index }))
      const sqlRows = placed.map(row => ({ ...row, x: row.x === null ? null : sql(row.x) }))
      const parts = [0, 1, 2, 3]
        .map(part => sqlRows.filter(row => row.part === part))
        .filter(some => some.length > 0)
        .map(some => relation(type, some))
      const found = await emitted(step, parts, columns)
      expect(await emitted(step, [relation(type, sqlRows)], columns)).toEqual(found)
      const result = (own: readonly Placed<V>[]) =>
        Object.fromEntries(Object.entries(expected).map(([name, oracle]) => [name, oracle(own)]))
      const sessions = foldOf(columns, calls, session(`${gap} minutes`))
      const islands = sessionsOf(placed).map(own => ({ ...sessionPlace(own), ...result(own) }))
      expect(await emitted(sessions, parts, columns)).toEqual(islands)
      const groups = []
      for (let start = -every; start < 90; start += every)
        for (const key of ['a', 'b', null] as const) {
          const own = placed.filter(row => row.key === key && row.minute >= start && row.minute < start + size)
          if (own.length > 0)
            groups.push({
              window_start: new Date((start * minuteUs) / 1000),
              window_end: new Date(((start + size) * minuteUs) / 1000),
              k: key,
              ...result(own),
            })
        }
      expect(found).toEqual(groups)
    },
    async one(type, values, calls) {
      const columns = columnsOf(type)
      const rows = values.map((x, row) => ({ row, minute: 40, key: null, x, by: row, isWanted: true }))
      const parts = [rows.filter(({ row }) => row % 2 === 0), rows.filter(({ row }) => row % 2 === 1)]
      const step = foldOf(columns, calls)
      const found = await emitted(
        step,
        parts.filter(some => some.length > 0).map(some => relation(type, some)),
        columns,
      )
      expect(await emitted(step, [relation(type, rows)], columns)).toEqual(found)
      const { window_start: _start, window_end: _end, k: _k, ...results } = found[0] ?? {}
      return results
    },
    async of(type, relations, calls, byType) {
      const columns = columnsOf(type, byType)
      return await emitted(foldOf(columns, calls), relations, columns)
    },
    async side(type, sql, calls) {
      const columns = columnsOf(type)
      const [, side] = foldOf(columns, calls).channels
      if (side === undefined) throw new Error('no side table')
      return await db.rows(side.partial(timed(sql, columns)))
    },
    [Symbol.asyncDispose]: () => db[Symbol.asyncDispose](),
  }
}

/** The rows with their event time, as the engine hands them over. */
function timed(sql: string, columns: ColumnTypes) {
  return { sql: `SELECT *, epoch_us(t) AS _time FROM (${sql})`, columns, hidden: rowHidden }
}

function emptyOf({ columns }: Channel): string {
  const items = Object.entries(columns).map(([name, type]) => `CAST(NULL AS ${type}) AS "${name}"`)
  return `SELECT ${items.join(', ')} WHERE FALSE`
}

/** Rows of a key of which each comes less than the gap after the one before it; by start, then by key, NULL last. */
function sessionsOf<V>(rows: readonly Placed<V>[]): Placed<V>[][] {
  const found: Placed<V>[][] = []
  for (const key of ['a', 'b', null] as const) {
    let lastMinute = Number.NEGATIVE_INFINITY
    for (const row of rows.filter(row => row.key === key).toSorted((a, b) => a.minute - b.minute)) {
      if (row.minute - lastMinute < gap) found.at(-1)?.push(row)
      else found.push([row])
      lastMinute = row.minute
    }
  }
  const first = ([row]: readonly Placed<V>[]) => row?.minute ?? 0
  // In ledger order, as an oracle wants them.
  return found.toSorted((a, b) => first(a) - first(b)).map(own => own.toSorted((a, b) => a.row - b.row))
}

function sessionPlace<V>(own: readonly Placed<V>[]) {
  const minutes = own.map(({ minute }) => minute)
  const time = (minute: number) => new Date((minute * minuteUs) / 1000)
  return {
    window_start: time(Math.min(...minutes)),
    window_end: time(Math.max(...minutes) + gap),
    k: own[0]?.key ?? null,
  }
}

/** The step after a window and `groupBy('k')`; the filter of every call stands for `wanted`. */
function foldOf(
  columns: ColumnTypes,
  calls: Readonly<Record<string, object>>,
  window: object = hopping('1h', '30m'),
): Stateful {
  const source = {
    op: 'source',
    options: { time: 't', columns },
    inputs: [],
    columns,
    step: { is: 'source', op: 'source', columns: (input: ColumnTypes) => input },
  } as const
  const windowed = { ...source, ...window, op: 'window', inputs: [source], columns } as never
  const grouped = { ...source, ...groupBy('k' as never), op: 'groupBy', inputs: [windowed], columns } as never
  const { options } = aggregate(calls as never)
  const filtered = Object.values(calls).filter(call => 'filter' in call)
  return aggregateStep.fold(
    groupsContext(grouped, 'aggregate'),
    options as never,
    filtered.map(() => '"_in"."wanted"'),
  )
}

/** SQL of a DOUBLE, with -0, NaN and the infinities. */
export function doubleSql(value: number): string {
  return `'${Object.is(value, -0) ? '-0' : value}'`
}

/** NaN after everything else, -0 as 0. */
export function compareDoubles(a: number, b: number): number {
  if (Number.isNaN(a) || Number.isNaN(b)) return Number(Number.isNaN(a)) - Number(Number.isNaN(b))
  return a < b ? -1 : a > b ? 1 : 0
}

/** Doubles that come up twice: few, and all that are special. */
export const fewDoubles: fc.Arbitrary<number> = fc.constantFrom(
  0,
  -0,
  1,
  1.5,
  -1.5,
  0.1,
  Number.NaN,
  Infinity,
  -Infinity,
  5e-324,
  Number.MAX_VALUE,
)
