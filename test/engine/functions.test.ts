import { rm } from 'node:fs/promises'
import { makeVector, type RecordBatch, Table, tableFromArrays, vectorFromArray } from 'apache-arrow'
import fc from 'fast-check'
import { tap } from 'rxjs'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import {
  aggregate,
  type BackfillOptions,
  count,
  derive,
  files,
  filterRows,
  first,
  type FunctionOptions,
  groupBy,
  json,
  last,
  mapBatches,
  mapRows,
  pipeline,
  rows,
  select,
  source,
  sum,
  to,
  topK,
  tumbling,
  verify,
  where,
} from '../../src/index.ts'
import { explain } from '../../src/engine/explain.ts'
import { inputs } from '../oracle/generate.ts'
import { type OracleObject, oracle } from '../oracle/oracle.ts'
import {
  failure,
  type Lab,
  openLab,
  outputHashes,
  type Place,
  quoted,
  run,
  runs,
  sourceOf,
  windowed,
  type WindowedFlow,
} from './harness.ts'
import { expected, found, inKeyOrder, isPositive, keyOf, oracleFlow, writeObject } from './ledger-files.ts'

let lab: Lab
beforeEach(async () => {
  lab = await openLab()
})
afterEach(() => lab[Symbol.asyncDispose]())

/** Options are plain here, and rows what they are at run time: the types that guard them have tests of their own. */
type Loose = Readonly<Record<string, unknown>>
type Steps = NonNullable<WindowedFlow['steps']>
const mapped = (of: (row: Loose) => unknown, columns: Loose, options?: FunctionOptions) =>
  mapRows(of as never, columns as never, options) as never
const filtered = (of: (row: Loose) => unknown, options?: FunctionOptions) => filterRows(of as never, options) as never
const batched = (of: (batch: RecordBatch) => unknown, columns: Loose, options?: FunctionOptions) =>
  mapBatches(of as never, columns as never, options) as never

const oracleColumns = { t: 'TIMESTAMP', k: 'VARCHAR', v: 'BIGINT', d: 'DECIMAL(18,2)' }
/** Three ways to say `v > 0` beside SQL. */
const positive: Readonly<Record<string, Steps>> = {
  filterRows: head => head.pipe(filtered(row => typeof row.v === 'bigint' && row.v > 0n)),
  mapRows: head => head.pipe(mapped(row => (typeof row.v === 'bigint' && row.v > 0n ? row : null), oracleColumns)),
  'mapBatches and where': head =>
    head.pipe(
      batched(
        batch => {
          const v = batch.getChild('v')
          const keep = vectorFromArray(Array.from({ length: batch.numRows }, (_, row) => (v?.get(row) ?? 0n) > 0n))
          return new Table({
            ...Object.fromEntries(['t', 'k', 'v', 'd'].map(name => [name, batch.getChild(name)])),
            keep,
          } as never)
        },
        { ...oracleColumns, keep: 'BOOLEAN NOT NULL' },
      ),
      where('keep' as never) as never,
    ),
}

describe.each(Object.entries(positive))('%s', (_, steps) => {
  test('gives what the oracle gives, late rows by their own object and row, whatever the cut (S8, S18, I11)', async () => {
    let places = 0
    await fc.assert(
      fc.asyncProperty(
        fc
          .boolean()
          .chain(bounded => fc.tuple(inputs({ bounded, keys: 1, values: 2, objectsMax: 6 }), fc.constant(bounded))),
        fc.constantFrom('parquet' as const, 'json' as const),
        fc.constantFrom(1, 2, 100),
        async ([input, isBounded], format, objectsPerEpoch) => {
          await rm(lab.input, { recursive: true, force: true })
          const at = lab.place(`draw-${places++}`)
          const ledger = inKeyOrder(input.ledger as readonly OracleObject[])
          for (const [index, object] of ledger.entries()) await writeObject(lab, object, index, format)
          const flow = { ...oracleFlow(input, format, 'parquet', isBounded), steps }
          await run(windowed(lab, at, flow), { objectsPerEpoch, flush: input.flush })
          const keys = ledger.map((object, index) => keyOf(object, index, format))
          expect(await found(lab, at, keys, input.windows)).toEqual(
            expected(oracle({ ...input, ledger, where: isPositive })),
          )
        },
      ),
      runs(8),
    )
  })
})

const minutes = (from: number, to: number, more = '') =>
  `SELECT TIMESTAMP '2022-01-01 00:00:00.000007' + i * INTERVAL 1 MINUTE AS t, i AS n${more} FROM range(${from}, ${to}) AS r(i)`

describe('several rows of one', () => {
  const columns = { t: 'TIMESTAMP NOT NULL', n: 'BIGINT', part: 'INTEGER NOT NULL' }
  const unfold = (row: Loose) => Array.from({ length: Number(row.n) % 4 }, (_, part) => ({ ...row, part }))
  const ends = { n: count(), first: first('part'), last: last('part'), total: sum('n') }
  const flow: WindowedFlow = {
    columns: { t: 'TIMESTAMP NOT NULL', n: 'BIGINT' },
    delay: '10 minutes',
    size: '20 minutes',
    aggregates: ends,
    steps: head => head.pipe(mapped(unfold, columns)),
  }
  // Every third object steps back, so that rows are late; all rows of one minute tie but for their order.
  const ranges = [
    [0, 50],
    [40, 90],
    [0, 30],
    [90, 200],
  ] as const

  test('stand in the order that the function gave them, in state, late rows and output, whatever the cut (S14, I11)', async () => {
    for (const [index, [from, to]] of ranges.entries()) await lab.parquet(`${index}.parquet`, minutes(from, to))
    const places = [1, 2, 100].map(cut => ({ cut, at: lab.place(`cut-${cut}`) }))
    for (const { cut, at } of places) await run(windowed(lab, at, flow), { objectsPerEpoch: cut })
    // The same rows unfolded by DuckDB before millrace sees them.
    const other = await openLab()
    try {
      for (const [index, [from, to]] of ranges.entries())
        await other.parquet(
          `${index}.parquet`,
          `SELECT * REPLACE (part::INTEGER AS part) FROM (SELECT *, unnest(range(n % 4)) AS part FROM (${minutes(from, to)})) ORDER BY t, part`,
        )
      await run(windowed(other, other, { ...flow, columns, steps: head => head }), { objectsPerEpoch: 2 })
      const rows = await other.rows()
      expect(rows.some(row => row.first !== row.last)).toBe(true)
      for (const { at } of places) {
        expect(await lab.rows(at)).toEqual(rows)
        const late = (await lab.channels('late-', at)).map(row => [row._object, row.n, row.part, row._ordinal])
        expect(late.length).toBeGreaterThan(0)
        expect(late).toEqual((await other.channels('late-')).map(row => [row._object, row.n, row.part, row.part]))
      }
    } finally {
      await other[Symbol.asyncDispose]()
    }
  })

  test('a second function numbers on what the first one made (S14)', async () => {
    await lab.parquet('0.parquet', minutes(0, 5000))
    const twice: Steps = head =>
      head.pipe(
        mapped(
          row => [
            { ...row, part: 0 },
            { ...row, part: 2 },
          ],
          columns,
          { version: 'a' },
        ),
        mapped(row => [row, { ...row, part: Number(row.part) + 1 }], columns, { version: 'b' }),
      )
    await run(windowed(lab, lab, { ...flow, size: '1 minute', steps: twice }), { threads: 4 })
    const rows = await lab.rows()
    expect(rows).toHaveLength(5000)
    for (const { n, first, last } of rows) expect({ n, first, last }).toEqual({ n: '4', first: '0', last: '3' })
  })

  test('are written in order by a flow without a window, and the same cut gives the same bytes', async () => {
    await lab.parquet('0.parquet', minutes(0, 9000))
    const places = [1, 2].map(threads => ({ threads, at: lab.place(`threads-${threads}`) }))
    for (const { threads, at } of places)
      await run(
        pipeline(
          'tested',
          { checkpoint: at.checkpoint },
          sourceOf(lab, flow).pipe(mapped(unfold, columns), to(files(at.output, { format: 'parquet' }))),
        ),
        { threads },
      )
    const rows = await lab.rows(places[0]?.at)
    expect(rows.map(({ n, part }) => `${n}.${part}`)).toEqual(
      Array.from({ length: 9000 }, (_, n) => Array.from({ length: n % 4 }, (_, part) => `${n}.${part}`)).flat(),
    )
    expect(await outputHashes(places[1]?.at.output ?? '')).toEqual(await outputHashes(places[0]?.at.output ?? ''))
  })
})

// ---- Values. ----------------------------------------------------------------------------------------------------

/** Type to literals: extremes and what is easily lost. NULL is added to all. */
const values: Readonly<Record<string, readonly string[]>> = {
  BOOLEAN: ['true', 'false'],
  TINYINT: ['-128', '127'],
  SMALLINT: ['-32768', '32767'],
  INTEGER: ['-2147483648', '2147483647'],
  BIGINT: ['-9223372036854775808', '9223372036854775807', '9007199254740993'],
  UBIGINT: ['0', '18446744073709551615'],
  FLOAT: ["'NaN'", "'-Infinity'", '-0.0', '3.4028234e38', '1e-45', '0.1'],
  DOUBLE: ["'NaN'", "'Infinity'", "'-0.0'", '1.7976931348623157e308', '5e-324', '0.1'],
  'DECIMAL(4,1)': ["'-999.9'", "'999.9'", "'0.0'"],
  'DECIMAL(18,2)': ["'-9999999999999999.99'", "'0.01'", "'-0.01'"],
  'DECIMAL(38,0)': [`'${'9'.repeat(38)}'`, `'-${'9'.repeat(38)}'`],
  'DECIMAL(38,38)': [`'0.${'9'.repeat(38)}'`, `'-0.${'0'.repeat(37)}1'`],
  VARCHAR: ["''", "'null'", "'é😀' || chr(0) || 'x'", `'${'long '.repeat(100)}'`],
  UUID: ["'00000000-0000-0000-0000-000000000000'", "'ffffffff-ffff-ffff-ffff-ffffffffffff'"],
  BLOB: ["''", "'\\x00\\xFF'", `'${'a'.repeat(40)}'`],
  DATE: [
    "'2022-03-31'",
    "'0001-01-01'",
    "'0044-03-15 (BC)'",
    "'12022-02-28'",
    "'infinity'",
    "'-infinity'",
    "'1969-12-31'",
  ],
  TIMESTAMP: [
    "'2022-01-01 00:00:00.123456'",
    "'1969-12-31 23:59:59.999999'",
    "'0001-01-01'",
    "'4000-02-29 12:00:00.000001'",
  ],
  TIMESTAMPTZ: ["'2022-01-01 00:00:00.000001+05'", "'1900-01-01 00:00:00.999999+00'"],
  JSON: [`'{"a": 1.0, "b":[null]}'`, "'12345678901234567890'", `'"text"'`, "'null'"],
}
const infinite = ["'infinity'", "'-infinity'", "'290308-12-22 (BC)'"]

const named = Object.entries(values).map(([type, literals], index) => ({ type, literals, column: `c${index}` }))

const valueColumns: Readonly<Record<string, string>> = {
  t: 'TIMESTAMP NOT NULL',
  ...Object.fromEntries(named.map(({ column, type }) => [column, type])),
  ...Object.fromEntries(named.map(({ column, type }) => [`${column}_list`, `${type}[]`])),
}

/** A row for each number of literal, NULL where a type has fewer; lists of all of them, empty, and NULL. */
function valueRows(): string {
  const height = Math.max(...named.map(({ literals }) => literals.length)) + 1
  return Array.from({ length: height }, (_, row) => {
    const items = named.map(({ type, literals, column }) => `CAST(${literals[row] ?? 'NULL'} AS ${type}) AS ${column}`)
    const all = named.map(({ type, literals, column }) => {
      const cast = literals.map(literal => `CAST(${literal} AS ${type})`)
      const list = [['NULL', ...cast].join(', '), cast[0] ?? '', ''][row]
      return `CAST(${list === undefined ? 'NULL' : `[${list}]`} AS ${type}[]) AS ${column}_list`
    })
    return `SELECT TIMESTAMP '2022-01-01 00:00:00.000001' + INTERVAL ${row} SECOND AS t, ${[...items, ...all].join(', ')}`
  }).join(' UNION ALL ')
}

const stateless = (at: Place, columns: Loose, ...steps: readonly unknown[]) =>
  pipeline(
    'tested',
    { checkpoint: at.checkpoint },
    (sourceOf(lab, { columns: columns as Record<string, string> }).pipe as (...all: unknown[]) => never)(
      ...steps,
      to(files(at.output, { format: 'parquet' })),
    ),
  )

describe('every declarable type crosses both ways exactly', () => {
  const identities: Readonly<Record<string, unknown>> = {
    mapRows: mapped(row => row, valueColumns),
    'mapRows of copies': mapped(row => ({ ...row }), valueColumns),
    filterRows: filtered(() => true),
    mapBatches: batched(batch => batch, valueColumns),
    'mapBatches as a table of slices': batched(batch => {
      const table = new Table([batch])
      return table.slice(0, 3).concat(table.slice(3))
    }, valueColumns),
  }

  test.each(Object.entries(identities))('%s', async (name, step) => {
    await lab.parquet('0.parquet', valueRows())
    const [sql, through] = [lab.place('sql'), lab.place('function')]
    await run(stateless(sql, valueColumns))
    await run(stateless(through, valueColumns, step))
    const rows = await lab.rows(sql)
    expect(rows.length).toBe(8)
    expect(await lab.rows(through)).toEqual(rows)
    if (name.startsWith('mapBatches')) {
      const times = { t: 'TIMESTAMP NOT NULL', a: 'TIMESTAMP', b: 'TIMESTAMPTZ' }
      await lab.parquet(
        '0.parquet',
        infinite
          .map(
            (v, i) =>
              `SELECT TIMESTAMP '2022-01-01' + INTERVAL ${i} DAY AS t, ${v}::TIMESTAMP AS a, ${v}::TIMESTAMPTZ AS b`,
          )
          .join(' UNION ALL '),
      )
      const [left, right] = [lab.place('sql-times'), lab.place('times')]
      await run(stateless(left, times))
      await run(
        stateless(
          right,
          times,
          batched(batch => batch, times),
        ),
      )
      expect(await lab.rows(right)).toEqual(await lab.rows(left))
    }
  })

  test('chunks and batches: more rows than one holds, NULLs in some of them only', async () => {
    const columns = { t: 'TIMESTAMP NOT NULL', n: 'BIGINT', s: 'VARCHAR', x: 'DOUBLE', l: 'INTEGER[]' }
    await lab.parquet(
      '0.parquet',
      minutes(
        0,
        40_000,
        ", CASE WHEN i > 20000 AND i % 3 = 0 THEN NULL ELSE 's' || i END AS s, CASE WHEN i % 7 = 0 AND i < 9000 THEN NULL ELSE i / 3 END AS x, CASE WHEN i % 5 = 0 THEN NULL ELSE [i, NULL, i + 1] END AS l",
      ),
    )
    const [sql, byRow, byBatch] = ['sql', 'rows', 'batches'].map(name => lab.place(name)) as [Place, Place, Place]
    await run(stateless(sql, columns))
    await run(
      stateless(
        byRow,
        columns,
        mapped(row => row, columns),
      ),
    )
    const sizes: number[] = []
    await run(
      stateless(
        byBatch,
        columns,
        batched(batch => {
          sizes.push(batch.numRows)
          return batch
        }, columns),
      ),
    )
    const rows = await lab.rows(sql)
    expect(await lab.rows(byRow)).toEqual(rows)
    expect(await lab.rows(byBatch)).toEqual(rows)
    expect(sizes.reduce((a, b) => a + b)).toBe(40_000)
    expect(Math.max(...sizes)).toBeLessThanOrEqual(16_384)
  })
})

test('a row delivers what its type says, and a function may keep what it was given', async () => {
  await lab.parquet('0.parquet', valueRows())
  const seen: Loose[] = []
  await run(
    stateless(
      lab,
      valueColumns,
      filtered(row => {
        seen.push(row)
        return true
      }),
    ),
  )
  const of = (type: string) => named.find(value => value.type === type)?.column ?? ''
  const [row] = seen as [Loose]
  expect(row[of('BIGINT')]).toBe(-(2n ** 63n))
  expect(row[of('DECIMAL(18,2)')]).toBe('-9999999999999999.99')
  expect(row[of('DATE')]).toBe('2022-03-31')
  expect(row[of('UUID')]).toBe('00000000-0000-0000-0000-000000000000')
  expect(row[of('JSON')]).toBe('{"a": 1.0, "b":[null]}')
  expect(row[of('TIMESTAMP')]).toEqual(new Date('2022-01-01T00:00:00.123Z'))
  expect(row[of('BLOB')]).toEqual(new Uint8Array())
  expect(seen[1]?.[of('BLOB')]).toEqual(new Uint8Array([0, 255]))
  expect(row[`${of('BIGINT')}_list`]).toEqual([null, -(2n ** 63n), 2n ** 63n - 1n, 2n ** 53n + 1n])
  expect(seen[7]?.[of('BOOLEAN')]).toBe(null)
})

// ---- What goes wrong. -------------------------------------------------------------------------------------------

const simple = { t: 'TIMESTAMP NOT NULL', n: 'BIGINT' }
const tail = 'Nothing of its epoch was counted. Correct the function, or leave such rows out before it.'

async function failureOf(...steps: readonly unknown[]): Promise<Error> {
  await lab.parquet('a.parquet', minutes(0, 3000))
  await lab.parquet('b.parquet', minutes(3000, 6000))
  const error = await failure(run(stateless(lab, simple, ...steps)))
  expect(error).toMatchObject({ kind: 'fatal', code: 'function' })
  expect(await lab.rows()).toEqual([])
  return error
}

describe('an exception, and a value that does not fit, name the object and the row (S18)', () => {
  const throwing = (row: Loose) => {
    if (row.n === 4321n) throw new RangeError('no such zone.')
    return true
  }

  test('an exception inside filterRows and mapRows', async () => {
    for (const [step, op] of [
      [filtered(throwing), 'filterRows'],
      [mapped(row => (throwing(row) ? row : null), simple), 'mapRows'],
    ] as const) {
      const error = await failureOf(step)
      expect(error.message).toBe(
        `${op}: object 'b.parquet', row 1321: the function threw RangeError: no such zone. ${tail}`,
      )
      expect(error.cause).toBeInstanceOf(RangeError)
    }
  })

  test('the row is that of the object, whatever was filtered before', async () => {
    const { message } = await failureOf(where('n % 100 = 21' as never), filtered(throwing))
    expect(message).toContain("object 'b.parquet', row 1321:")
  })

  const misfits: readonly (readonly [type: string, value: unknown, message: string])[] = [
    ['BIGINT', 5, 'expected BIGINT, a bigint of 64 bits, such as 5n; found 5'],
    ['BIGINT', 2n ** 63n, 'expected BIGINT, a bigint of 64 bits, such as 5n; found 9223372036854775808n'],
    ['UBIGINT', -1n, 'expected UBIGINT, a bigint from 0n to 2n ** 64n - 1n; found -1n'],
    ['BIGINT NOT NULL', null, 'expected BIGINT NOT NULL, a bigint of 64 bits, such as 5n; found null'],
    [
      'BIGINT',
      undefined,
      'expected BIGINT, a bigint of 64 bits, such as 5n; found undefined (the field is missing; null is NULL)',
    ],
    ['INTEGER', 1.5, 'expected INTEGER, a whole number from -2147483648 to 2147483647; found 1.5'],
    ['INTEGER', 2 ** 31, 'expected INTEGER, a whole number from -2147483648 to 2147483647; found 2147483648'],
    ['SMALLINT', 40_000, 'expected SMALLINT, a whole number from -32768 to 32767; found 40000'],
    ['TINYINT', -129, 'expected TINYINT, a whole number from -128 to 127; found -129'],
    ['BOOLEAN', 1, 'expected BOOLEAN, a boolean; found 1'],
    ['DOUBLE', '1.5', "expected DOUBLE, a number; found '1.5'"],
    ['FLOAT', 1e300, 'expected FLOAT, a number within the range of FLOAT; found 1e+300'],
    [
      'DECIMAL(4,1)',
      '1000',
      "expected DECIMAL(4,1), text of at most 3 digits before and 1 after the point, such as '0.0'; found '1000'",
    ],
    [
      'DECIMAL(4,1)',
      '1.25',
      "expected DECIMAL(4,1), text of at most 3 digits before and 1 after the point, such as '0.0'; found '1.25'",
    ],
    [
      'DECIMAL(4,1)',
      1.5,
      "expected DECIMAL(4,1), text of at most 3 digits before and 1 after the point, such as '0.0'; found 1.5",
    ],
    [
      'DECIMAL(4,1)',
      '.',
      "expected DECIMAL(4,1), text of at most 3 digits before and 1 after the point, such as '0.0'; found '.'",
    ],
    ['VARCHAR', 5, 'expected VARCHAR, text of whole characters; found 5'],
    ['VARCHAR', 'x\ud83d', "expected VARCHAR, text of whole characters; found 'x\ud83d'"],
    ['UUID', '0123', "expected UUID, text such as '01234567-89ab-cdef-0123-456789abcdef'; found '0123'"],
    ['BLOB', [1], 'expected BLOB, a Uint8Array; found an array of 1'],
    ['DATE', '2022-02-29', "expected DATE, text such as '2022-03-31'; found '2022-02-29'"],
    ['DATE', new Date(0), "expected DATE, text such as '2022-03-31'; found the Date 1970-01-01T00:00:00.000Z"],
    ['TIMESTAMP', '2022-01-01', "expected TIMESTAMP, a valid Date; found '2022-01-01'"],
    ['TIMESTAMPTZ', new Date(Number.NaN), 'expected TIMESTAMPTZ, a valid Date; found an invalid Date'],
    ['JSON', { a: 1 }, 'expected JSON, JSON as text, as JSON.stringify gives it; found an object (Object)'],
    ['JSON', '{a:1}', "expected JSON, JSON as text, as JSON.stringify gives it; found '{a:1}'"],
    ['BIGINT[]', 5n, 'expected BIGINT[], an array of items, each a bigint of 64 bits, such as 5n or null; found 5n'],
    [
      'BIGINT[]',
      [5n, 6],
      'expected BIGINT[], an array of items, each a bigint of 64 bits, such as 5n or null; found 6',
    ],
    [
      'VARCHAR[] NOT NULL',
      null,
      'expected VARCHAR[] NOT NULL, an array of items, each text of whole characters or null; found null',
    ],
  ]
  test.each(misfits)('a field declared %s that is %o', async (type, value, message) => {
    await lab.parquet('a.parquet', minutes(0, 3))
    const error = await failure(
      run(
        stateless(
          lab,
          simple,
          mapped(({ t, n }) => ({ t, x: n === 1n ? value : ok(type) }), { t: simple.t, x: type }),
        ),
      ),
    )
    expect(error.message).toBe(`mapRows: object 'a.parquet', row 1: field 'x': ${message}. ${tail}`)
  })

  /** A value that fits, so that row 1 is the first that does not. */
  function ok(type: string): unknown {
    if (type.includes('[]')) return []
    if (type.includes('BIGINT')) return 0n
    if (/INT|DOUBLE|FLOAT/.test(type)) return 0
    if (type.startsWith('TIMESTAMP')) return new Date(0)
    const fits: Loose = {
      BOOLEAN: true,
      BLOB: new Uint8Array(),
      DATE: '2024-02-29',
      UUID: crypto.randomUUID(),
      JSON: '1',
      VARCHAR: '',
    }
    return fits[type] ?? '+000999.90000'
  }

  test.each([
    [mapped(() => 5, simple), 'mapRows', 'expected a row, an array of rows, or null; found 5'],
    [
      mapped(() => undefined, simple),
      'mapRows',
      'expected a row, an array of rows, or null; found undefined (the field is missing; null is NULL)',
    ],
    [
      mapped(() => Promise.resolve(null), simple),
      'mapRows',
      'expected a row, an array of rows, or null; found a Promise',
    ],
    [mapped(row => [row, null], simple), 'mapRows', 'expected a row, an array of rows, or null; found null'],
    [
      mapped(row => Array.from({ length: 2 ** 20 + 1 }, () => row), simple),
      'mapRows',
      'expected at most 1048576 rows for one, found more',
    ],
    [filtered(() => 1), 'filterRows', 'expected true or false; found 1'],
    [filtered(() => Promise.resolve(true)), 'filterRows', 'expected true or false; found a Promise'],
    [
      batched(() => null, simple),
      'mapBatches',
      'expected a RecordBatch or Table for the batch that begins here; found null',
    ],
    [
      batched(() => Promise.resolve(), simple),
      'mapBatches',
      'expected a RecordBatch or Table for the batch that begins here; found a Promise',
    ],
  ])('a result that is none: %#', async (step, op, message) => {
    expect((await failureOf(step)).message).toBe(`${op}: object 'a.parquet', row 0: ${message}. ${tail}`)
  })

  test('a time that no Date holds', async () => {
    await lab.parquet(
      'a.parquet',
      `SELECT TIMESTAMP '2022-01-01' + INTERVAL (i) MINUTE AS t, CASE i WHEN 7 THEN TIMESTAMP 'infinity' END AS x FROM range(10) AS r(i)`,
    )
    const columns = { t: simple.t, x: 'TIMESTAMP' }
    const error = await failure(
      run(
        stateless(
          lab,
          columns,
          filtered(() => true),
        ),
      ),
    )
    expect(error.message).toContain(
      "filterRows: object 'a.parquet', row 7: column 'x' is 9223372036854775807 microseconds from 1970",
    )
  })

  test('Arrow: an exception, a missing column, another type, another length, a value that does not fit', async () => {
    const wrong: readonly (readonly [of: (batch: RecordBatch) => unknown, columns: Loose, message: string])[] = [
      [
        () => {
          throw new TypeError('no kernel')
        },
        simple,
        "object 'a.parquet', row 0: in the batch of 6000 rows that begins here the function threw TypeError: no kernel",
      ],
      [batch => batch.select(['t']), simple, "object 'a.parquet', row 0: column 'n': the column is missing"],
      [
        batch => new Table({ n: makeVector(new Float64Array(batch.numRows)) }),
        { n: 'BIGINT' },
        "object 'a.parquet', row 0: column 'n': expected BIGINT, Arrow's Int64; found Float64",
      ],
      [
        batch => batch.slice(1),
        simple,
        "object 'a.parquet', row 0: expected as many rows as the batch that begins here has, 6000; found 5999. To drop rows use where() or filterRows(), to make more mapRows()",
      ],
      [
        () =>
          tableFromArrays({ u: Array.from({ length: 6000 }, (_, row) => (row === 4321 ? 'x' : crypto.randomUUID())) }),
        { u: 'UUID' },
        "object 'b.parquet', row 1321: column 'u': expected UUID, Arrow's Utf8; found 'x'",
      ],
      [
        () => tableFromArrays({ u: Array.from({ length: 6000 }, (_, row) => (row === 4321 ? null : 'x')) }),
        { u: 'VARCHAR NOT NULL' },
        "object 'b.parquet', row 1321: column 'u': expected VARCHAR NOT NULL, Arrow's Utf8; found NULL",
      ],
    ]
    for (const [of, columns, message] of wrong)
      expect((await failureOf(batched(of, columns))).message).toBe(`mapBatches: ${message}. ${tail}`)
  })

  test('text of a dictionary, as vectorFromArray makes it, fits VARCHAR', async () => {
    await lab.parquet('a.parquet', minutes(0, 5000))
    const names = ['a', 'b', null]
    const step = batched(
      batch =>
        new Table({ s: vectorFromArray(Array.from({ length: batch.numRows }, (_, row) => names[row % 3] ?? null)) }),
      { s: 'VARCHAR' },
    )
    await run(stateless(lab, simple, step))
    expect((await lab.rows()).map(({ s }) => s)).toEqual(Array.from({ length: 5000 }, (_, row) => names[row % 3]))
  })
})

describe('the event time before a window is handed on as it was read', () => {
  const flow = (steps: Steps): WindowedFlow => ({ columns: simple, delay: '1 hour', steps })
  beforeEach(async () => {
    await lab.parquet('a.parquet', minutes(0, 100))
  })

  test('a Date of the same millisecond stands for it, and keeps its microseconds', async () => {
    const copy: Steps = head => head.pipe(mapped(row => ({ ...row, t: new Date(Number(row.t)) }), simple))
    await run(windowed(lab, lab, { ...flow(copy), keys: ['t'] }))
    expect((await lab.rows()).map(({ t }) => String(t).slice(-7))).toEqual(Array.from({ length: 100 }, () => '.000007'))
  })

  test('another one is refused: lateness was judged by the column as read', async () => {
    const later = (row: Loose) => ({ ...row, t: new Date(Number(row.t) + (row.n === 60n ? 1 : 0)) })
    const error = await failure(
      run(
        windowed(
          lab,
          lab,
          flow(head => head.pipe(mapped(later, simple))),
        ),
      ),
    )
    expect(error.message).toBe(
      `mapRows: object 'a.parquet', row 60: field 't': expected the event time of the row as it was, the Date 2022-01-01T01:00:00.000Z; found the Date 2022-01-01T01:00:00.001Z; give another time another name. ${tail}`,
    )
    const shifted = batched(
      batch =>
        new Table({
          t: vectorFromArray(
            Array.from({ length: batch.numRows }, () => 0),
            batch.getChild('t')?.type,
          ),
          n: batch.getChild('n'),
        } as never),
      simple,
    )
    const other = await failure(
      run(
        windowed(
          lab,
          lab,
          flow(head => head.pipe(shifted)),
        ),
      ),
    )
    expect(other.message).toContain(
      "mapBatches: object 'a.parquet', row 0: column 't': expected the event time of the row as it was, 1640995200000007n; found 0n",
    )
  })

  test.each([
    [
      'of another type',
      (head => head.pipe(mapped(row => row, { ...simple, t: 'TIMESTAMPTZ' }))) satisfies Steps as Steps,
      "tumbling: the event time column 't' was made anew by mapRows(); watermarks are taken from the column as read, so hand it on with its type, TIMESTAMP.",
    ],
    [
      'dropped and made anew',
      (head =>
        head.pipe(
          select('n' as never) as never,
          mapped(row => row, simple),
        )) satisfies Steps as Steps,
      "tumbling: the event time column 't' was made anew by mapRows(); watermarks are taken from the column as read, so hand it on with its type, TIMESTAMP.",
    ],
  ])('%s is refused before anything is read', async (_, steps, message) => {
    expect(await failure(run(windowed(lab, lab, flow(steps))))).toMatchObject({ kind: 'user', message })
  })

  test('left out, it rides along hidden: the windows are those of the column as read', async () => {
    const counted = async (name: string, steps: Steps) => {
      const at = lab.place(name)
      await run(windowed(lab, at, { ...flow(steps), size: '30 minutes' }))
      return lab.rows(at)
    }
    const without: Steps = head => head.pipe(mapped(({ n }) => ({ n }), { n: 'BIGINT' }))
    expect(await counted('without', without)).toEqual(await counted('with', head => head))
  })

  test('after the window, and where none follows, a function may change it', async () => {
    await run(
      stateless(
        lab,
        simple,
        mapped(row => ({ ...row, t: new Date(0) }), simple),
      ),
    )
    expect(new Set((await lab.rows()).map(({ t }) => t))).toEqual(new Set(['1970-01-01 00:00:00']))
  })
})

// ---- The plan. --------------------------------------------------------------------------------------------------

describe('after aggregate', () => {
  const after = (at: Place, step: unknown) =>
    pipeline(
      'tested',
      { checkpoint: at.checkpoint },
      sourceOf(lab, { columns: simple, delay: '1 hour' }).pipe(
        derive({ k: ['INTEGER', 'n % 3'] } as never) as never,
        tumbling('1 hour'),
        groupBy('k' as never),
        aggregate({ rows: count(), total: sum('n' as never) }),
        step as never,
        to(files(at.output, { format: 'parquet' })),
      ),
    )
  const result = { window_start: 'TIMESTAMP NOT NULL', k: 'INTEGER', text: 'VARCHAR' }
  beforeEach(async () => {
    for (const part of [0, 1, 2]) await lab.parquet(`${part}.parquet`, minutes(part * 100, part * 100 + 100))
  })

  test('functions take the rows of results, in the order of window and group, whatever the cut (S14, I11)', async () => {
    const step = mapped(
      ({ window_start, k, rows, total }) =>
        k === 1
          ? null
          : [
              { window_start, k, text: String(rows) },
              { window_start, k, text: `${String(total)}` },
            ],
      result,
    )
    const sums = await lab.sql(
      `SELECT time_bucket(INTERVAL 1 HOUR, t) AS w, n % 3 AS k, count(*) AS c, sum(n) AS s FROM read_parquet(${quoted(`${lab.input}/*.parquet`)}) WHERE n % 3 <> 1 GROUP BY ALL ORDER BY w, k`,
    )
    const lines = sums.flatMap(({ w, k, c, s }) => [c, s].map(text => ({ window_start: w, k, text })))
    for (const objectsPerEpoch of [1, 2, 100]) {
      const at = lab.place(`cut-${objectsPerEpoch}`)
      await run(after(at, step), { objectsPerEpoch })
      expect(await lab.rows(at)).toEqual(lines)
    }
  })

  test('the counts of topK are an array of values and counts, which filterRows hands on', async () => {
    const flow = (at: Place, ...steps: readonly unknown[]) =>
      pipeline(
        'tested',
        { checkpoint: at.checkpoint },
        (sourceOf(lab, { columns: simple }).pipe as (...all: unknown[]) => never)(
          tumbling('1 hour'),
          groupBy(),
          aggregate({ top: topK('n' as never, 2) }),
          ...steps,
          to(files(at.output, { format: 'parquet' })),
        ),
      )
    const [plain, kept, read] = ['plain', 'kept', 'read'].map(name => lab.place(name)) as [Place, Place, Place]
    await run(flow(plain))
    await run(
      flow(
        kept,
        filtered(() => true),
      ),
    )
    expect(await lab.rows(kept)).toEqual(await lab.rows(plain))
    await run(
      flow(
        read,
        mapped(({ top }) => ({ n: (top as { count: bigint }[])[0]?.count }), { n: 'BIGINT NOT NULL' }),
      ),
    )
    expect((await lab.rows(read)).map(({ n }) => n)).toEqual(['1', '1', '1', '1', '1'])
  })

  test('an error names the row by its values, as no object is its own', async () => {
    const error = await failure(
      run(
        after(
          lab,
          mapped(row => (row.k === 2 ? undefined : row), result),
        ),
      ),
    )
    expect(error.message).toBe(
      `mapRows: the row of window_start 2022-01-01 00:00:00, window_end 2022-01-01 01:00:00, k 0, rows 20, total 570: field 'text': expected VARCHAR, text of whole characters; found undefined (the field is missing; null is NULL). ${tail}`,
    )
    expect(await lab.rows()).toEqual([])
  })
})

describe('a changed function is a changed plan', () => {
  const flow = (step: unknown): WindowedFlow => ({
    columns: simple,
    delay: '1 hour',
    steps: head => head.pipe(step as never),
  })
  const goOn = async (before: unknown, now: unknown, options: BackfillOptions = {}) => {
    await lab.parquet('a.parquet', minutes(0, 100))
    await run(windowed(lab, lab, flow(before)))
    await lab.parquet('b.parquet', minutes(100, 200))
    return run(windowed(lab, lab, flow(now)), options)
  }

  test('another text of the function is refused, and the words say which step', async () => {
    const error = await failure(
      goOn(
        filtered(row => row.n !== 5n),
        filtered(row => row.n !== 6n),
      ),
    )
    expect(error).toMatchObject({ kind: 'user', code: 'plan-changed' })
    expect(error.message).toContain('flow-1: filterRows: the source text of its function has changed.')
  })

  test('with a version, the version decides, and the text does not', async () => {
    const version = { version: '1' }
    expect(
      await goOn(
        filtered(row => row.n !== 5n, version),
        filtered(row => !(row.n === 5n), version),
      ),
    ).toMatchObject({
      nothingToDo: false,
    })
    const error = await failure(run(windowed(lab, lab, flow(filtered(row => row.n !== 5n, { version: '2' })))))
    expect(error.message).toContain("flow-1: filterRows function.version: was '1', is now '2'.")
    expect(await failure(verify(windowed(lab, lab, flow(filtered(() => true)))))).toMatchObject({
      code: 'plan-changed',
    })
  })

  test('two flows with functions that look the same are refused; one function in both runs once', async () => {
    await lab.parquet('a.parquet', minutes(0, 100))
    let calls = 0
    const over = (limit: bigint) => (row: Loose) => {
      calls++
      return (row.n as bigint) >= limit
    }
    const flows = (one: never, other: never) => {
      const end = (head: ReturnType<typeof sourceOf>, folder: string) =>
        head.pipe(
          tumbling('1 hour'),
          groupBy(),
          aggregate({ n: count() }),
          to(files(`${lab.output}/${folder}`, { format: 'parquet' })),
        )
      const head = sourceOf(lab, { columns: simple, delay: '1 hour' })
      return pipeline(
        'tested',
        { checkpoint: lab.checkpoint },
        end(head.pipe(one), 'a'),
        head.pipe(
          other,
          where('n > 50' as never) as never,
          to(files(`${lab.output}/b`, { format: 'parquet' })),
        ) as never,
      )
    }
    const error = await failure(run(flows(filtered(over(10n)), filtered(over(20n)))))
    expect(error).toMatchObject({ kind: 'user', code: 'function-version' })
    expect(error.message).toContain(
      'filterRows: two flows have different functions here that the plan cannot tell apart',
    )
    expect(calls).toBe(0)
    const shared = filtered(over(10n))
    await run(flows(shared, shared))
    expect(calls).toBe(100)
    await rm(lab.checkpoint, { recursive: true })
    await rm(lab.output, { recursive: true })
    await run(flows(filtered(over(10n), { version: '10' }), filtered(over(20n), { version: '20' })))
    expect(calls).toBe(300)
  })

  test('explain marks the step as not portable, with what the function gets', async () => {
    const explained = await explain(windowed(lab, lab, flow(mapped(row => row, simple, { version: '7' }))))
    const [only] = explained.flows
    expect(only?.steps[1]).toEqual({
      op: 'mapRows',
      options: { columns: simple, function: { version: '7' }, portable: false },
    })
    expect(only?.stages[0]).toEqual({
      stage: 'function mapRows of TypeScript, not portable: gives given_1 for',
      sql: 'SELECT * FROM rows',
    })
    expect(only?.stages.find(({ stage }) => stage === 'partial')?.sql).toContain('SELECT * FROM given_1')
  })
})

test('verify replays the functions and finds nothing, late rows and several flushes included', async () => {
  const flow: WindowedFlow = {
    columns: simple,
    delay: '10 minutes',
    size: '20 minutes',
    aggregates: { n: count(), first: first('n'), last: last('n') },
    steps: head =>
      head.pipe(
        mapped(row => [row, row, ...(row.n === 7n ? [row] : [])], simple),
        filtered(row => row.n !== 8n),
      ),
  }
  for (const [index, [from, to]] of [
    [0, 50],
    [40, 90],
    [0, 30],
  ].entries())
    await lab.parquet(`${index}.parquet`, minutes(from as number, to as number))
  await run(windowed(lab, lab, flow))
  await lab.parquet('3.parquet', minutes(60, 200))
  await run(windowed(lab, lab, flow))
  const found = await verify(windowed(lab, lab, flow), { threads: 2, memory: '500MB' })
  expect(found.differences).toEqual([])
  expect(found.lateRows).toBeGreaterThan(0)
  expect(found.rows).toBeGreaterThan(5)
})

test('rows() hands on what functions made', async () => {
  await lab.lines('a.jsonl', ['{"t":"2022-01-01T00:00:00Z","n":1}', '{"t":"2022-01-01T00:00:01Z","n":2}'])
  const seen: unknown[] = []
  const flow = source('in', {
    objects: lab.input,
    format: json(),
    columns: { t: 'TIMESTAMP', n: 'BIGINT' },
    time: 't',
  }).pipe(
    mapRows(({ n }) => ({ double: (n ?? 0n) * 2n }), { double: 'BIGINT' }),
    rows(),
    tap(row => seen.push(row)),
  )
  await run(pipeline('tested', { checkpoint: lab.checkpoint }, flow))
  expect(seen).toEqual([{ double: 2n }, { double: 4n }])
})
