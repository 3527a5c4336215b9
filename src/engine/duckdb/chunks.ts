import {
  type DuckDBAppender,
  DuckDBBlobValue,
  DuckDBDataChunk,
  DuckDBListValue,
  DuckDBTimestampTZValue,
  DuckDBTimestampValue,
  type DuckDBType,
  type DuckDBValue,
  type DuckDBVector,
} from '@duckdb/node-api'
import type { ParsedType } from '../../core/types.ts'
import { plainValue } from './values.ts'

/*
 * Chunks of DuckDB as values of TypeScript, both ways. The binding has no Arrow export and its row objects are slow;
 * this reads vectors as they lie in memory. `items` and `validity` are private in the binding's types, so its version
 * is pinned and test/engine/functions.test.ts carries every type through it, both ways.
 */

/** Rows in a chunk of DuckDB, at most. */
export const chunkRowsMax = 2048

/** A chunk that DuckDB gave: columns by position. */
export interface Chunk {
  readonly rowCount: number
  getColumnVector(column: number): Vector
}
/** A column of a chunk. */
export type Vector = DuckDBVector

/** Why a value cannot cross; the caller adds whose it is. */
export class Misfit extends Error {
  /** The value's place in its chunk or batch; undefined where the caller knows it. */
  readonly index: number | undefined

  constructor(message: string, index?: number) {
    super(message)
    this.index = index
  }
}

interface RawVector {
  readonly items?: ArrayLike<number> | ArrayLike<bigint>
  readonly validity: { readonly data: BigUint64Array | null; readonly offset: number }
}

/** The numbers of a vector of fixed width as they lie in memory: TIMESTAMP in microseconds, DATE in days. */
export function itemsOf<T extends ArrayLike<number> | ArrayLike<bigint> | undefined>(vector: Vector): T {
  return (vector as unknown as RawVector).items as T
}

/** Whether a row is not NULL; undefined where none of the vector's rows is. */
export function validOf(vector: Vector): ((row: number) => boolean) | undefined {
  const { data, offset } = (vector as unknown as RawVector).validity
  if (data === null) return undefined
  const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength)
  return row => ((bytes[(offset + row) >> 3] ?? 0) & (1 << ((offset + row) & 7))) !== 0
}

// ---- Wire types: what a column is while it is outside of DuckDB. ------------------------------------------------

/** Types whose values cross as text in rows. */
const asText = ['DECIMAL', 'UUID', 'DATE', 'JSON']

/** The type that a column has in a chunk of rows. */
export function rowWire({ name, list, sql }: ParsedType): string {
  return asText.includes(name) ? `VARCHAR${list ? '[]' : ''}` : sql
}

/** Millisecond part and what is left of a Date's microseconds, while nobody changes it. */
const microseconds = new WeakMap<Date, { readonly ms: number; readonly rest: number }>()
const dateMsMax = 8.64e15

function dateOf(us: bigint): Date {
  const plain = Number(us)
  const isSmall = Number.isSafeInteger(plain)
  const ms = isSmall ? Math.floor(plain / 1000) : Number((us - (((us % 1000n) + 1000n) % 1000n)) / 1000n)
  if (Math.abs(ms) > dateMsMax)
    throw new Misfit(`${us} microseconds from 1970 (infinity, or beyond the year 275760), which no Date holds`)
  const rest = isSmall ? plain - ms * 1000 : Number(us - BigInt(ms) * 1000n)
  const date = new Date(ms)
  if (rest !== 0) microseconds.set(date, { ms, rest })
  return date
}

/** Microseconds since 1970: those of a Date that came out of a row, if it was not changed since. */
export function microsOf(date: Date): bigint {
  const ms = date.getTime()
  const known = microseconds.get(date)
  return BigInt(ms) * 1000n + BigInt(known?.ms === ms ? known.rest : 0)
}

/** The first rows of a wire vector as a row of `type` delivers them; NULL is null. */
export function readValues(vector: Vector, { name, list }: Pick<ParsedType, 'name' | 'list'>, rows: number): unknown[] {
  const values: unknown[] = Array.from({ length: rows })
  const valid = validOf(vector)
  const isNull = (row: number) => valid !== undefined && !valid(row)
  // The values and counts of topK, which nothing but an aggregate makes.
  if (name === 'STRUCT') return values.map((_, row) => plainValue(vector.getItem(row) as DuckDBValue, 'invalid-date'))
  if (list) {
    const lists = vector as Vector & {
      readonly childVector: Vector
      getEntryOffset(row: number): number
      getEntryLength(row: number): number
    }
    const { childVector } = lists
    const children = readValues(childVector, { name, list: false }, childVector.itemCount)
    for (let row = 0; row < rows; row++) {
      const from = lists.getEntryOffset(row)
      values[row] = isNull(row) ? null : children.slice(from, from + lists.getEntryLength(row))
    }
    return values
  }
  if (name === 'TIMESTAMP' || name === 'TIMESTAMPTZ') {
    const items = itemsOf<BigInt64Array>(vector)
    for (let row = 0; row < rows; row++) {
      try {
        values[row] = isNull(row) ? null : dateOf(items[row] as bigint)
      } catch (error) {
        throw error instanceof Misfit ? new Misfit(error.message, row) : error
      }
    }
    return values
  }
  const items = itemsOf<ArrayLike<number> | undefined>(vector)
  for (let row = 0; row < rows; row++) {
    if (isNull(row)) values[row] = null
    else if (items) values[row] = items[row]
    else {
      const item = vector.getItem(row) as DuckDBValue
      // The function may keep the bytes: those of the chunk are gone after it.
      values[row] = item instanceof DuckDBBlobValue ? Uint8Array.from(item.bytes) : item
    }
  }
  return values
}

// ---- Back: a value that a function gave, checked, as the wire takes it. -----------------------------------------

type Check = (value: unknown) => DuckDBValue | undefined

const whole =
  (low: number, high: number): Check =>
  value =>
    typeof value === 'number' && Number.isInteger(value) && value >= low && value <= high ? value : undefined
const big =
  (low: bigint, high: bigint): Check =>
  value =>
    typeof value === 'bigint' && value >= low && value <= high ? value : undefined
const pattern =
  (wanted: RegExp): Check =>
  value =>
    typeof value === 'string' && wanted.test(value) ? value : undefined
const time =
  (make: (us: bigint) => DuckDBValue): Check =>
  value => {
    if (!(value instanceof Date) || Number.isNaN(value.getTime())) return undefined
    const us = microsOf(value)
    return us >= timestampUsMin ? make(us) : undefined
  }

/** The first moment of DuckDB's TIMESTAMP: 290309-12-22 (BC). */
export const timestampUsMin = -9_223_372_022_400_000_000n

/** No half of a character: UTF-8 has no form for it. */
const isWellFormed = (text: string) => !/\p{Surrogate}/u.test(text)

export function isJson(text: string): boolean {
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}

export const uuidPattern = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i

/** A day as DuckDB writes it: 2022-03-31, 12022-01-01, 0044-03-15 (BC), infinity. */
function isDay(text: string): boolean {
  if (/^-?infinity$/.test(text)) return true
  const match = /^(\d{4,7})-(\d\d)-(\d\d)( \(BC\))?$/.exec(text)
  if (!match) return false
  const [year, month, day] = match.slice(1, 4).map(Number) as [number, number, number]
  const astronomical = match[4] === undefined ? year : 1 - year
  const isLeap = astronomical % 4 === 0 && (astronomical % 100 !== 0 || astronomical % 400 === 0)
  const days = [31, isLeap ? 29 : 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
  const at = (astronomical * 12 + month) * 31 + day
  return year >= 1 && day >= 1 && day <= (days[month - 1] ?? 0) && at >= firstDay && at <= lastDay
}

/** DuckDB's DATE, 5877642-06-25 (BC) to 5881580-07-10, by numbers that are in the order of the days. */
const [firstDay, lastDay] = [(-5_877_641 * 12 + 6) * 31 + 25, (5_881_580 * 12 + 7) * 31 + 10]

function isDecimal(text: string, digits: number, scale: number): boolean {
  const match = /^[+-]?0*(\d*)(?:\.(\d*?)0*)?$/.exec(text)
  return (
    match !== null && /\d/.test(text) && (match[1] ?? '').length <= digits - scale && (match[2] ?? '').length <= scale
  )
}

function checkOf({ name, precision = 0, scale = 0 }: ParsedType): readonly [check: Check, form: string] {
  switch (name) {
    case 'BOOLEAN':
      return [value => (typeof value === 'boolean' ? value : undefined), 'a boolean']
    case 'TINYINT':
      return [whole(-(2 ** 7), 2 ** 7 - 1), 'a whole number from -128 to 127']
    case 'SMALLINT':
      return [whole(-(2 ** 15), 2 ** 15 - 1), 'a whole number from -32768 to 32767']
    case 'INTEGER':
      return [whole(-(2 ** 31), 2 ** 31 - 1), 'a whole number from -2147483648 to 2147483647']
    case 'BIGINT':
      return [big(-(2n ** 63n), 2n ** 63n - 1n), 'a bigint of 64 bits, such as 5n']
    case 'UBIGINT':
      return [big(0n, 2n ** 64n - 1n), 'a bigint from 0n to 2n ** 64n - 1n']
    case 'FLOAT':
      return [
        value =>
          typeof value === 'number' && (Number.isFinite(Math.fround(value)) || !Number.isFinite(value))
            ? value
            : undefined,
        'a number within the range of FLOAT',
      ]
    case 'DOUBLE':
      return [value => (typeof value === 'number' ? value : undefined), 'a number']
    case 'DECIMAL':
      return [
        value => (typeof value === 'string' && isDecimal(value, precision, scale) ? value : undefined),
        `text of at most ${precision - scale} digits before and ${scale} after the point, such as ` +
          `'${(0).toFixed(scale)}'`,
      ]
    case 'VARCHAR':
      return [
        value => (typeof value === 'string' && isWellFormed(value) ? value : undefined),
        'text of whole characters',
      ]
    case 'UUID':
      return [pattern(uuidPattern), "text such as '01234567-89ab-cdef-0123-456789abcdef'"]
    case 'BLOB':
      return [value => (value instanceof Uint8Array ? new DuckDBBlobValue(value) : undefined), 'a Uint8Array']
    case 'DATE':
      return [value => (typeof value === 'string' && isDay(value) ? value : undefined), "text such as '2022-03-31'"]
    case 'TIMESTAMP':
      return [time(us => new DuckDBTimestampValue(us)), 'a valid Date']
    case 'TIMESTAMPTZ':
      return [time(us => new DuckDBTimestampTZValue(us)), 'a valid Date']
    case 'JSON':
      return [
        value => (typeof value === 'string' && isWellFormed(value) && isJson(value) ? value : undefined),
        'JSON as text, as JSON.stringify gives it',
      ]
    case 'STRUCT':
      throw new Error('unreachable: no function is declared to give counts')
  }
}

/**
 * How a function's value becomes the wire's.
 *
 * @throws Misfit that says what was expected and found
 */
export function valueWriter(type: ParsedType): (value: unknown) => DuckDBValue {
  const [check, form] = checkOf(type)
  const expected = `expected ${type.sql}${type.nullable ? '' : ' NOT NULL'}`
  const misfit = (value: unknown, what: string) => new Misfit(`${expected}, ${what}; found ${shown(value)}`)
  if (type.list)
    return value => {
      if (value === null && type.nullable) return null
      if (!Array.isArray(value)) throw misfit(value, `an array of items, each ${form} or null`)
      return new DuckDBListValue(
        value.map((item: unknown) => {
          const found = item === null ? null : check(item)
          if (found === undefined) throw misfit(item, `an array of items, each ${form} or null`)
          return found
        }),
      )
    }
  return value => {
    if (value === null && type.nullable) return null
    const found = check(value)
    if (found === undefined) throw misfit(value, form)
    return found
  }
}

/** A value as an error shows it, short. */
export function shown(value: unknown): string {
  if (value === undefined) return 'undefined (the field is missing; null is NULL)'
  if (typeof value === 'bigint') return `${value}n`
  if (typeof value === 'string') return `'${value.length > 100 ? `${value.slice(0, 100)}...` : value}'`
  if (typeof value === 'number' || typeof value === 'boolean' || value === null) return String(value)
  if (value instanceof Date)
    return Number.isNaN(value.getTime()) ? 'an invalid Date' : `the Date ${value.toISOString()}`
  if (typeof value === 'object' && typeof (value as { then?: unknown }).then === 'function') return 'a Promise'
  if (Array.isArray(value)) return `an array of ${value.length}`
  const { name } = (value as object).constructor ?? {}
  return typeof value === 'function'
    ? 'a function'
    : name === undefined || name === ''
      ? 'an object'
      : `an object (${name})`
}

/** Takes rows for one table, in order. */
export interface Sink {
  /** `fill` writes rows [from, from + count) of a column into the vector's first rows. */
  append(rows: number, fill: (column: number, vector: Vector, from: number, count: number) => void): void
}

/** Hands rows to an appender in chunks. It writes them to the table, which may spill, every 204,800 rows. */
export function createSink(appender: DuckDBAppender): Sink {
  const types: DuckDBType[] = Array.from({ length: appender.columnCount }, (_, column) => appender.columnType(column))
  return {
    append(rows, fill) {
      for (let from = 0; from < rows; from += chunkRowsMax) {
        const count = Math.min(chunkRowsMax, rows - from)
        const chunk = DuckDBDataChunk.create(types, count)
        for (const column of types.keys()) {
          const vector = chunk.getColumnVector(column)
          fill(column, vector, from, count)
          vector.flush()
        }
        appender.appendDataChunk(chunk)
      }
    },
  }
}

/** Copies items of a vector as they are, NULLs included: hidden columns, and rows that a filter keeps. */
export function copyItems(from: Vector, to: Vector, rows: ArrayLike<number>): void {
  for (let index = 0; index < rows.length; index++) to.setItem(index, from.getItem(rows[index] as number) as never)
}

/** Copies rows that stand together, at once where they are numbers without NULL. */
export function copyRange(from: Vector, to: Vector, start: number, count: number): void {
  if (itemsOf(from) && validOf(from) === undefined) setNumbers(to, itemsOf<BigInt64Array>(from), start, count)
  else for (let index = 0; index < count; index++) to.setItem(index, from.getItem(start + index) as never)
}

/** Fills a vector of fixed width from an array of its own kind. */
export function setNumbers(to: Vector, values: BigInt64Array, start: number, count: number): void {
  itemsOf<BigInt64Array>(to).set(values.subarray(start, start + count))
}

/** Writes values that are the wire's already. */
export function writeItems(to: Vector, values: ArrayLike<DuckDBValue>, from: number, count: number): void {
  for (let index = 0; index < count; index++) to.setItem(index, values[from + index] as never)
}
