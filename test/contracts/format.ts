/**
 * What every format of a source must do, whatever its bytes are: each value comes through or is set aside by name, and
 * what an object holds is that object's own outcome. An independent reader says what is right.
 *
 * Bytes that no writer made are a property: `MILLRACE_RUNS=12500` reads 200,000 objects of each format.
 */
import { gzipSync, zstdCompressSync } from 'node:zlib'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Format } from '../../src/plan/format.ts'
import { runs } from '../engine/harness.ts'
import { type Cells, type ObjectReader, openObjectReader, type Reading } from './object-reader.ts'

/** The columns of every object here. */
export const formatColumns = { k: 'VARCHAR', n: 'BIGINT', x: 'DOUBLE', b: 'BOOLEAN', t: 'TIMESTAMP' } as const

/** Values of `formatColumns`; `t` in microseconds. */
export interface FormatRow {
  readonly k: string | null
  readonly n: bigint | null
  readonly x: number | null
  readonly b: boolean | null
  readonly t: bigint | null
}

export interface FormatUnderTest {
  readonly format: Format
  /** Lower-case, with the dot. */
  readonly extension: string
  /** An object of these rows, by code that is not the product's. `columns` may leave some out. */
  write(rows: readonly FormatRow[], columns: readonly (keyof FormatRow)[]): Promise<Uint8Array>
  /**
   * The rows of an object by another reader, each a list of its values in the order of `formatColumns` as `cellsOf` gives
   * them; undefined where it refuses the object, or its values are not those of the columns.
   */
  readIndependently(body: Uint8Array): Promise<readonly (readonly (string | null)[])[] | undefined>
  /** For formats of text, which may be compressed as a whole, and of which each row is a line here. */
  readonly lines?: {
    /** A line that cannot be parsed, and what is expected of it. */
    readonly broken: string
    readonly expected: string
    /** Which values `k` may have where not every one has a form: text that is NULL, or that is two lines. */
    readonly texts?: readonly string[]
  }
}

const names = Object.keys(formatColumns) as (keyof FormatRow)[]

/** Values as the contract compares them: what the reader gives as text. */
export function cellsOf(row: FormatRow): readonly (string | null)[] {
  return names.map(name => {
    const value = row[name]
    return typeof value === 'number' ? floatText(value) : value === null ? null : String(value)
  })
}

/** A number by its value: '1.0' and '1e0' are one. */
export function floatText(value: number): string {
  return Object.is(value, -0) ? '-0' : String(value)
}

const texts = ['', 'a', 'é😀', 'x,y', '"q"', 'two\nlines', '{"a":1}', '0']
const rowOf = (words: readonly string[]): fc.Arbitrary<FormatRow> =>
  fc.record({
    k: fc.option(fc.constantFrom(...words), { freq: 5 }),
    n: fc.option(fc.oneof(fc.bigInt(-(2n ** 63n), 2n ** 63n - 1n), fc.bigInt(-9n, 9n)), { freq: 5 }),
    x: fc.option(fc.double({ noNaN: true, noDefaultInfinity: true }), { freq: 5 }),
    b: fc.option(fc.boolean(), { freq: 5 }),
    t: fc.option(fc.bigInt(-62_135_596_800_000_000n, 253_402_300_799_999_999n), { freq: 5 }),
  })
const plainRows = (count: number): FormatRow[] =>
  Array.from({ length: count }, (_, n) => ({ k: `k${n}`, n: BigInt(n), x: n / 2, b: n % 2 === 0, t: BigInt(n) }))

/** Words of a program that fell over, not of one that read an object. */
const internals =
  /undefined|\bNaN\b|TypeError|RangeError|Cannot read|is not a function|unreachable|INTERNAL|Assertion|DataView|thrift|STRUCT\(\)|\/tmp\//i

export function formatContract(name: string, under: FormatUnderTest): void {
  describe(`the contract of formats: ${name}`, () => {
    const { lines } = under
    const table = fc.array(rowOf(lines?.texts ?? texts), { maxLength: 12 })
    let reader: ObjectReader
    beforeAll(async () => {
      reader = await openObjectReader('512MB')
    })
    afterAll(() => reader[Symbol.asyncDispose]())

    const key = (index: number) => `${String(index).padStart(3, '0')}${under.extension}`
    const read = (bodies: readonly Uint8Array[]) =>
      reader.read(under.format, formatColumns, Object.fromEntries(bodies.map((body, index) => [key(index), body])))
    const readOne = async (body: Uint8Array) => (await read([body]))[0] as Reading

    test('values come through, NULLs as NULLs, rows by their numbers (S17, S18)', async () => {
      await fc.assert(
        fc.asyncProperty(
          table.filter(({ length }) => length > 0),
          async rows => {
            const body = await under.write(rows, names)
            const { reason, rows: found, aside } = await readOne(body)
            expect({ reason, aside }).toEqual({ reason: null, aside: [] })
            expect(found.map(textOf)).toEqual(rows.map(cellsOf))
            expect(found.map(({ _row }) => Number(_row))).toEqual(rows.map((_, index) => index))
            expect(await under.readIndependently(body)).toEqual(rows.map(cellsOf))
          },
        ),
        runs(25),
      )
    })

    test('an object is the same alone and beside others', async () => {
      await fc.assert(
        fc.asyncProperty(
          fc.array(
            table.filter(({ length }) => length > 0),
            { minLength: 2, maxLength: 6 },
          ),
          async tables => {
            const bodies = await Promise.all(tables.map(rows => under.write(rows, names)))
            const together = await read(bodies)
            for (const [index, body] of bodies.entries())
              expect([together[index]]).toEqual(await reader.read(under.format, formatColumns, { [key(index)]: body }))
          },
        ),
        runs(10),
      )
    })

    test('a column that an object lacks makes it a bad object that names the column', async () => {
      const body = await under.write([{ k: 'a', n: 1n, x: 1, b: true, t: 0n }], ['k', 'n', 'x', 't'])
      const { reason, rows } = await readOne(body)
      if (reason === null) expect(rows).toMatchObject([{ k: 'a', b: null }])
      else expect(reason).toContain("column 'b' is missing; expected BOOLEAN")
    })

    if (lines) linesContract(under, lines, readOne)

    test('whatever the bytes are, each object has an outcome of its own, and what two readers accept is the same', async () => {
      const shape = fc.array(
        fc.tuple(fc.oneof({ weight: 9, arbitrary: table }, junk), fc.array(mutation, { maxLength: 3 }), fc.boolean()),
        {
          minLength: 16,
          maxLength: 16,
        },
      )
      await fc.assert(
        fc.asyncProperty(shape, fc.nat(15), async (objects, chosen) => {
          const bodies: Uint8Array[] = []
          for (const [rows, mutations, isPacked] of objects) {
            const written = rows instanceof Uint8Array ? rows : await under.write(rows, names)
            const packed = isPacked && lines !== undefined ? gzipSync(written) : written
            bodies.push(mutations.reduce(mutated, Buffer.from(packed)))
          }
          const readings = await read(bodies)
          for (const reading of readings) expectOutcome(reading)
          const alone = (
            await reader.read(under.format, formatColumns, { [key(chosen)]: bodies[chosen] as Uint8Array })
          )[0]
          expect(readings[chosen], 'beside others and alone').toEqual(alone)
          for (const [index, { reason, rows, aside }] of readings.entries()) {
            const [, mutations, isPacked] = objects[index] as (typeof objects)[number]
            if (reason !== null || aside.length > 0 || (isPacked && lines !== undefined)) continue
            const independent = await under.readIndependently(bodies[index] as Uint8Array)
            if (independent) expect(rows.map(textOf), JSON.stringify(mutations)).toEqual(independent)
          }
        }),
        runs(12),
      )
    })
  })
}

/** What formats of text must do besides. */
function linesContract(
  { write }: FormatUnderTest,
  { broken, expected }: NonNullable<FormatUnderTest['lines']>,
  readOne: (body: Uint8Array) => Promise<Reading>,
): void {
  const numbers = (reading: Reading) => reading.rows.map(({ _row }) => Number(_row))

  test('rows are the same plain, with a byte order mark, of gzip and of zstd, in one part or several (S18)', async () => {
    const rows = plainRows(2_000)
    const body = await write(rows, names)
    const half = body.length >> 1
    const inParts = (compress: (part: Uint8Array) => Buffer) =>
      Buffer.concat([compress(body.subarray(0, half)), compress(body.subarray(half))])
    const forms = [
      body,
      Buffer.concat([Buffer.from('\uFEFF'), body]),
      gzipSync(body),
      inParts(part => gzipSync(part)),
      zstdCompressSync(body),
      inParts(part => zstdCompressSync(part)),
    ]
    for (const form of forms) {
      const reading = await readOne(form)
      expect(reading).toMatchObject({ reason: null, aside: [] })
      expect(reading.rows.map(textOf)).toEqual(rows.map(cellsOf))
      expect(numbers(reading)).toEqual(rows.map((_, n) => n))
    }
  })

  test('a broken row is set aside with its number and text, and the others count (S17)', async () => {
    const rows = plainRows(3)
    const all = Buffer.from(await write(rows, names))
      .toString()
      .split('\n')
    const reading = await readOne(Buffer.from(all.toSpliced(-2, 0, broken).join('\n')))
    expect(reading.rows.map(textOf)).toEqual(rows.map(cellsOf))
    expect(numbers(reading)).toEqual([0, 1, 3])
    expect(reading.aside).toMatchObject([{ _row: 2n, expected, found: broken }])
  })

  test('a value that does not fit its type is set aside, and never rounded (S17)', async () => {
    const rows = plainRows(3).map((row, n) => (n === 1 ? { ...row, n: 777_777n } : row))
    const text = Buffer.from(await write(rows, names)).toString()
    const reading = await readOne(Buffer.from(text.replace('777777', '1.5')))
    expect(reading.rows.map(textOf)).toEqual([rows[0], rows[2]].map(row => cellsOf(row as FormatRow)))
    expect(reading.aside).toMatchObject([{ _row: 1n, column: 'n', expected: 'BIGINT', found: '1.5' }])
  })

  test('a stream that is cut off is a bad object, of which no row counts', async () => {
    const whole = gzipSync(await write(plainRows(500), names))
    const reading = await readOne(whole.subarray(0, -9))
    expect(reading).toMatchObject({ reason: 'its gzip stream is broken: unexpected end of file', rows: [] })
  })
}

/** A reason that says what is wrong with the object, or rows that are good or set aside, each with its number. */
function expectOutcome({ reason, rows, aside }: Reading): void {
  if (reason !== null) {
    // What was found is quoted, and may be any bytes.
    expect(reason.replace(/found '.*'/s, '')).not.toMatch(internals)
    expect(reason.length).toBeGreaterThan(10)
  }
  const [good, bad] = [rows, aside].map(all => new Set(all.map(({ _row }) => Number(_row)))) as [
    Set<number>,
    Set<number>,
  ]
  const numbers = [...good, ...bad].toSorted((a, b) => a - b)
  expect(numbers).toEqual(numbers.map((_, index) => index))
  for (const { column, expected, found } of aside) {
    expect(typeof column === 'string' && (column === '' || column in formatColumns)).toBe(true)
    expect(expected).toMatch(/\w/)
    expect(String(found).length).toBeLessThanOrEqual(1_000)
  }
}

function textOf(cells: Cells): readonly (string | null)[] {
  return names.map(name => {
    const cell = cells[name] as string | null
    return name === 'x' && cell !== null ? floatText(Number(cell.replace('inf', 'Infinity'))) : cell
  })
}

/** Bytes that no writer of the format had a part in. */
const junk = fc.uint8Array({ maxLength: 60 })

interface Mutation {
  readonly is: 'flip' | 'set' | 'cut' | 'insert' | 'remove' | 'repeat'
  /** Where, as a share of the length. */
  readonly at: number
  readonly byte: number
  readonly length: number
}

const mutation: fc.Arbitrary<Mutation> = fc.record({
  is: fc.constantFrom('flip', 'set', 'cut', 'insert', 'remove', 'repeat'),
  at: fc.double({ min: 0, max: 1, noNaN: true }),
  byte: fc.oneof(fc.nat(255), fc.constantFrom(...Buffer.from('"\\\n\r,{}[]:0e-.'))),
  length: fc.integer({ min: 1, max: 9 }),
})

function mutated(body: Buffer, { is, at, byte, length }: Mutation): Buffer {
  const from = Math.min(Math.floor(at * body.length), Math.max(0, body.length - 1))
  const [before, after] = [body.subarray(0, from), body.subarray(from)]
  switch (is) {
    case 'cut':
      return before
    case 'insert':
      return Buffer.concat([before, Buffer.alloc(length, byte), after])
    case 'remove':
      return Buffer.concat([before, after.subarray(length)])
    case 'repeat':
      return Buffer.concat([before, after.subarray(0, length), after])
    default: {
      const changed = Buffer.from(body)
      if (changed.length > 0) changed[from] = is === 'set' ? byte : (changed[from] as number) ^ (1 << (byte % 8))
      return changed
    }
  }
}
