import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { parseColumnType, sqlNames } from '../../src/core/types.ts'
import { checkedCast, type ColumnsAre } from '../../src/plan/checked-cast.ts'
import {
  type FunctionEntry,
  functionEntriesSql,
  functionRules,
  listAggregates,
  namedArgumentFunctions,
} from '../../src/plan/functions.ts'
import { createGate } from '../../src/plan/gate.ts'
import { id, text } from '../../src/plan/sql.ts'
import { seededRandom } from '../../src/testing/index.ts'
import { seed } from '../seed.ts'
import { columnsEach, type Company, openCompany } from './company.ts'
import { openTestDuckdb, type TestDuckdb } from './duckdb.ts'
import { enumType, pools } from './pools.ts'

// S24: a value is a function of its row. Rows are evaluated alone and among others, in every kind of vector.

// Two to three minutes of CPU; more beside other work.
vi.setConfig({ testTimeout: 900_000 })

const random = seededRandom(seed)
const pick = <T>(values: readonly T[]): T => values[Math.floor(random() * values.length)] as T

const types = Object.keys(pools)

let db: TestDuckdb
let company: Company
let gated: (sql: string) => Promise<string | undefined>
beforeAll(async () => {
  db = await openTestDuckdb()
  company = await openCompany(db, pools, random)
  const gate = createGate(db)
  gated = sql =>
    gate.expression(sql, company.read(sql), { step: 'where', field: 'where' }, '_in').then(
      passed => passed.sql,
      () => undefined,
    )
})
afterAll(async () => await db[Symbol.asyncDispose]())

/** What differs, of expressions over `_in`. */
async function differing(expressions: readonly string[], named: readonly string[] = expressions): Promise<string[]> {
  const found: string[] = []
  for (let at = 0; at < expressions.length; at += 12) {
    const differences = await company.differences(expressions.slice(at, at + 12))
    for (const [index, difference] of differences.entries())
      if (difference !== null) found.push(`${named[at + index]}: ${difference}`)
  }
  return found
}

/** What the gate lets through of these, as it writes it. */
async function passing(expressions: Iterable<string>): Promise<{ sql: string[]; written: string[] }> {
  const passed: { sql: string[]; written: string[] } = { sql: [], written: [] }
  for (const sql of expressions) {
    const written = await gated(sql)
    if (written !== undefined) {
      passed.sql.push(sql)
      passed.written.push(written)
    }
  }
  return passed
}

test('a plain cast to TIMESTAMPTZ is found to be no function of its row', async () => {
  const casts = [0, 1, 2].flatMap(at => [
    `CAST(${company.column('VARCHAR', at)} AS TIMESTAMPTZ)`,
    `TRY_CAST(${company.column('VARCHAR[]', at)} AS TIMESTAMPTZ[])`,
  ])
  expect(await differing(casts)).not.toEqual([])
})

// What a type that stands for several is tried as. The same place in each list fits together.
const generic: Readonly<Record<string, readonly string[]>> = {
  ANY: [
    'INTEGER',
    'VARCHAR',
    'DOUBLE',
    'TIMESTAMP WITH TIME ZONE',
    'VARCHAR[]',
    enumType,
    'STRUCT(a INTEGER, b VARCHAR)',
    'JSON',
  ],
  T: ['INTEGER', 'VARCHAR', 'DOUBLE', 'TIMESTAMP WITH TIME ZONE'],
  'T[]': ['INTEGER[]', 'VARCHAR[]', 'DOUBLE[]', 'TIMESTAMP WITH TIME ZONE[]'],
  'ANY[]': ['INTEGER[]', 'VARCHAR[]', 'DOUBLE[]', 'TIMESTAMP WITH TIME ZONE[]', 'STRUCT(k VARCHAR, v INTEGER)[]'],
  'T[][]': ['INTEGER[][]'],
  'FLOAT[ANY]': ['FLOAT[3]'],
  'DOUBLE[ANY]': ['DOUBLE[3]'],
  'MAP(K, V)': ['MAP(VARCHAR, INTEGER)'],
  K: ['VARCHAR'],
  V: ['INTEGER'],
  'K[]': ['VARCHAR[]'],
  'V[]': ['INTEGER[]'],
  'STRUCT(K, V)[]': ['STRUCT(k VARCHAR, v INTEGER)[]'],
  DECIMAL: ['DECIMAL(18,2)', 'DECIMAL(38,10)'],
  STRUCT: ['STRUCT(a INTEGER, b VARCHAR)'],
  UNION: ['UNION(i INTEGER, s VARCHAR)'],
  LAMBDA: ['lambda x: x', 'lambda x: x IS NOT NULL', 'lambda x, y: x'],
  // Of macros nothing is known.
  null: [
    'INTEGER[]',
    'VARCHAR',
    'DOUBLE[]',
    'INTEGER',
    'DOUBLE',
    'BOOLEAN[]',
    'MAP(VARCHAR, INTEGER)',
    'TIMESTAMP',
    'JSON',
    'VARCHAR[]',
  ],
}

/** Functions that make as much as a number asks for. */
const sized = new Set(
  'array_resize list_resize lpad rpad repeat range generate_series bitstring bar factorial ! !__postfix'.split(' '),
)

/** Calls of a function over columns, and over constants after the first argument. */
function callsOf(name: string, parameters: readonly (string | null)[]): string[] {
  const choices = parameters.map(type => generic[type ?? 'null'] ?? [type ?? ''])
  if (sized.has(name) && parameters.some(type => type?.startsWith('TIMESTAMP'))) return []
  if (choices.flat().some(type => !(type in pools) && !type.startsWith('lambda'))) return []
  const places = Math.max(1, ...choices.map(({ length }) => length))
  const together = Array.from({ length: places }, (_, place) => choices.map(types => types[place % types.length] ?? ''))
  const mixed = places > 1 ? Array.from({ length: 2 }, () => choices.map(pick)) : []
  const calls = [...together, ...mixed].flatMap(taken => {
    const argument = (type: string, at: number, isConstant: boolean) => {
      if (type.startsWith('lambda')) return type
      const column = company.column(type, Math.min(at, columnsEach - 1))
      if (sized.has(name) && /INT$|INTEGER$/.test(type)) return `CAST(${column} % 7 AS ${type})`
      return isConstant && at > 0 ? `CAST(${pick(pools[type] ?? [])} AS ${type})` : column
    }
    const call = (isConstant: boolean) => {
      const args = taken.map((type, at) => argument(type, at, isConstant))
      const isUpdate = name === 'struct_insert' || name === 'struct_update'
      const list = namedArgumentFunctions.has(name)
        ? args.map((arg, at) => (isUpdate && at === 0 ? arg : `n${at} := ${arg}`))
        : args
      return `${id(name)}(${list.join(', ')})`
    }
    return taken.length > 1 && !sized.has(name) ? [call(false), call(true)] : [call(false)]
  })
  return [...new Set(calls)]
}

/** What no list of types makes: constants that have a meaning, operators, casts where they are written. */
function handWritten(): string[] {
  const [v, w] = [company.column('VARCHAR'), company.column('VARCHAR', 1)]
  const [json, list, numbers, doubles] = ['JSON', 'VARCHAR[]', 'INTEGER[]', 'DOUBLE[]'].map(type =>
    company.column(type),
  )
  const [zoned, struct, map] = [
    'TIMESTAMP WITH TIME ZONE',
    'STRUCT(a INTEGER, b VARCHAR)',
    'MAP(VARCHAR, INTEGER)',
  ].map(type => company.column(type))
  const union = company.column('UNION(i INTEGER, s VARCHAR)')
  const [whole, named, offset] = ['%Y-%m-%d %H:%M:%S', '%Y-%m-%d %H:%M:%S %Z', '%Y-%m-%d %H:%M:%S%z'].map(text)
  const formats = [named, `[${named}, ${whole}]`, `[${offset}, ${whole}]`, `[${offset}, ${named}, ${whole}]`]
  const shapes = ['"TIMESTAMPTZ"', '["TIMESTAMPTZ"]', '{"a": "TIMESTAMPTZ"}', '{"a": "INTEGER"}'].map(text)
  const readers = ['from_json', 'from_json_strict', 'json_transform', 'json_transform_strict']
  const aggregators = ['list_aggr', 'list_aggregate', 'array_aggr', 'array_aggregate', 'aggregate']
  const parts = 'year quarter month week day hour minutes second ms epoch isoyear decade century era'.split(' ')
  const distances = ['date_diff', 'datediff', 'date_sub', 'datesub'].flatMap(distance =>
    ['TIMESTAMP', 'TIMESTAMP WITH TIME ZONE', 'DATE', 'TIME'].flatMap(type =>
      (distance.includes('_') ? parts : ['hour']).map(
        part => `${distance}('${part}', ${company.column(type)}, ${company.column(type, 1)})`,
      ),
    ),
  )
  const parsed = [
    ...['strptime', 'try_strptime'].flatMap(read => formats.map(format => `${read}(${v}, ${format})`)),
    ...readers.flatMap(read => shapes.flatMap(shape => [`${read}(${json}, ${shape})`, `${read}(${v}, ${shape})`])),
    `${v}[1:2]`,
    `${json} -> 'a'`,
    `${json} ->> '$.b[2].c'`,
    `parse_path(${v}, '/')`,
    `split_part(${v}, ' ', 2)`,
    `regexp_replace(${v}, '([0-9]+)-([0-9]+)', '\\2x', 'g')`,
    `regexp_extract(${v}, '([0-9]+)-(.)', ['y', 'm'])`,
  ]
  const cast = [
    `CAST(${v} AS TIMESTAMPTZ)`,
    `TRY_CAST(${v} AS TIMESTAMPTZ)`,
    `TRY(${v}::TIMESTAMPTZ)`,
    `${v}::TIMESTAMPTZ > ${zoned}`,
    `coalesce(TRY_CAST(${v} AS TIMESTAMPTZ), ${zoned})`,
    `TRY_CAST(${v} || '' AS TIMESTAMPTZ) AT TIME ZONE ${w}`,
    `epoch(TRY_CAST(trim(${v}) AS TIMESTAMPTZ))`,
    `CASE WHEN ${v} LIKE '2024%' THEN CAST(${v} AS TIMESTAMPTZ) END`,
    `TRY_CAST(strftime(TRY_CAST(${v} AS TIMESTAMPTZ), '%c') AS TIMESTAMPTZ)`,
    `list_transform(${list}, lambda x: TRY_CAST(x AS TIMESTAMPTZ))`,
    `[x::TIMESTAMPTZ FOR x IN ${list}]`,
    `CAST(list_transform(${list}, lambda x: TRY_CAST(x AS TIMESTAMPTZ)) AS TIMESTAMPTZ[])`,
    `CAST(${json} AS TIMESTAMPTZ[])`,
    `TRY_CAST(${json} AS STRUCT(a TIMESTAMPTZ))`,
    `CAST(CAST(${company.column('TIMESTAMP')} AS TIMESTAMP_S) AS DATE)`,
  ]
  const compared = [
    `${v} LIKE ${w}`,
    `${v} SIMILAR TO 'a.*'`,
    `${v} IN ('a', ${w})`,
    `${v} BETWEEN 'a' AND ${w}`,
    `constant_or_null(1, ${v})`,
    `switch(${v}, MAP {'a': 1})`,
    `extract(epoch FROM ${zoned})`,
    `date_part(['year', 'epoch'], ${zoned})`,
    `datepart('julian', ${zoned})`,
  ]
  const nested = [
    ...[...listAggregates].flatMap(name => [numbers, doubles, list].map(of => `list_aggregate(${of}, ${text(name)})`)),
    ...aggregators.map(aggregate => `${aggregate}(${numbers}, 'quantile_cont', 0.5)`),
    ...['list_append', 'array_append', 'array_push_back', 'array_push_front'].map(
      append => `${append}(${numbers}, ${numbers}[1])`,
    ),
    ...['list_prepend', 'array_prepend'].map(prepend => `${prepend}(${numbers}[1], ${numbers})`),
    ...['struct_contains', 'struct_has', 'struct_indexof', 'struct_position'].map(
      find => `${find}(row(${v}, 'a'), ${w})`,
    ),
    `${list}[1]`,
    `${list}[2:]`,
    `${struct}.b`,
    `pi() * ${doubles}[1]`,
    `array_length(${list}, 1)`,
    `struct_extract(${struct}, 'a')`,
    `struct_extract_at(${struct}, 2)`,
    `union_extract(${union}, 's')`,
    `cardinality(${map})`,
    `map_concat(${map}, ${map})`,
    `map_contains_value(${map}, 1)`,
    `map_contains_entry(${map}, 'a', 1)`,
  ]
  return [...distances, ...parsed, ...cast, ...compared, ...nested]
}

/** Names of functions that stand in a call. */
function calledIn(expressions: readonly string[]): Set<string> {
  return new Set(
    expressions.flatMap(sql =>
      [...sql.matchAll(/([a-z_0-9]+)\(|"((?:[^"]|"")+)"\(/gi)].map(at => at[1] ?? at[2] ?? ''),
    ),
  )
}

describe('S24: the value of an expression is a function of its row', () => {
  test('every function on the list of the gate, and what is written with it', async () => {
    const entries = (await db.rows(functionEntriesSql)) as unknown as FunctionEntry[]
    const rules = functionRules(entries)
    const overloads = await db.rows(
      `SELECT DISTINCT function_name AS "name", len(parameters) AS arity, to_json(parameter_types)::VARCHAR AS "types", varargs
       FROM duckdb_functions() WHERE function_type IN ('scalar', 'macro') ORDER BY ALL`,
    )
    // The gate knows names in lower case.
    const allowed = overloads.filter(
      ({ name, arity }) =>
        String(name) === String(name).toLowerCase() && rules(String(name), Number(arity)) === 'allowed',
    )
    const calls = allowed.flatMap(({ name, arity, types: declared, varargs }) => {
      const own = (JSON.parse(String(declared)) as (string | null)[] | null) ?? Array<null>(Number(arity)).fill(null)
      const more = varargs === null ? [0] : [1, 2]
      return more.flatMap(count => callsOf(String(name), [...own, ...Array<string>(count).fill(String(varargs))]))
    })
    const { sql, written } = await passing([...calls, ...handWritten()])
    expect(await differing(written, sql)).toEqual([])

    // A function that no call reached would pass by not being looked at.
    const called = calledIn(sql)
    const unseen = new Set(allowed.map(({ name }) => String(name)).filter(name => !called.has(name)))
    expect([...unseen]).toEqual([])
  }, 900_000)

  test('every cast that the gate lets through', async () => {
    const times = 'DATE TIME TIMETZ TIMESTAMP TIMESTAMP_S TIMESTAMP_MS TIMESTAMP_NS TIMESTAMPTZ INTERVAL'.split(' ')
    const numbers = 'TINYINT BIGINT HUGEINT UBIGINT FLOAT DOUBLE DECIMAL(18,2) DECIMAL(38,10)'.split(' ')
    const nested = ['VARCHAR[]', 'INTEGER[]', 'TIMESTAMP[]', 'TIMESTAMPTZ[]', 'DOUBLE[3]', 'TIMESTAMPTZ[2]']
    const targets = [...times, ...numbers, ...nested, 'BOOLEAN', 'VARCHAR', 'BLOB', 'BIT', 'UUID', 'JSON', enumType]
    const structs = ['STRUCT(a INTEGER, b VARCHAR)', 'STRUCT(a TIMESTAMPTZ)', 'MAP(VARCHAR, TIMESTAMPTZ)']
    const casts = types.flatMap(from =>
      [...targets, ...structs].flatMap(to =>
        ['CAST', 'TRY_CAST'].map(cast => `${cast}(${company.column(from)} AS ${to})`),
      ),
    )
    const { sql, written } = await passing(casts)
    expect(sql.length).toBeGreaterThan(1_000)
    expect(await differing(written, sql)).toEqual([])
  }, 900_000)

  test('every declarable type, read from every type that a file may have', async () => {
    const scalars = [...sqlNames, 'DECIMAL(18,2)', 'DECIMAL(38,10)']
    const names: string[] = []
    const expressions: string[] = []
    for (const declared of [...scalars, ...scalars.map(name => `${name}[]`)]) {
      for (const from of types) {
        for (const columns of (from === 'VARCHAR' ? ['typed', 'text'] : ['typed']) as ColumnsAre[]) {
          const column = `_in.${company.column(from)}`
          const cast = checkedCast(column, from, parseColumnType(declared, ''), columns)
          if ('impossible' in cast) continue
          const misfit = cast.misfit?.(cast.value) ?? 'FALSE'
          names.push(`${from} as ${declared}, ${columns}`)
          // The engine computes the value of every row; it means something where it fits.
          expressions.push(`[CAST(${cast.value} AS VARCHAR), 'a misfit'][CASE WHEN ${misfit} THEN 2 ELSE 1 END]`)
        }
      }
    }
    expect(names.length).toBeGreaterThan(300)
    expect(await differing(expressions, names)).toEqual([])
  }, 900_000)
})
