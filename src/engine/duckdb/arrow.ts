import {
  DuckDBBlobValue,
  DuckDBDateValue,
  DuckDBDecimalValue,
  DuckDBListValue,
  DuckDBTimestampTZValue,
  DuckDBTimestampValue,
  type DuckDBValue,
} from '@duckdb/node-api'
import type { Data, DataType, Field, RecordBatch, Struct, Vector as ArrowVector } from 'apache-arrow'
import { type ParsedType, parseColumnType } from '../../core/types.ts'
import {
  isJson,
  itemsOf,
  Misfit,
  setNumbers,
  shown,
  timestampUsMin,
  uuidPattern,
  validOf,
  type Vector,
} from './chunks.ts'

/** The library, loaded when a plan has `mapBatches` and never before. */
export type ArrowLibrary = typeof import('apache-arrow')

/** The type that a column has in a chunk that becomes a RecordBatch. */
export function arrowWire({ name, scale, list, sql }: ParsedType): string {
  const many = list ? '[]' : ''
  if (name === 'DECIMAL') return `DECIMAL(38,${scale})${many}`
  return name === 'UUID' || name === 'JSON' ? `VARCHAR${many}` : sql
}

/** A value as both sides hold it: numbers, DATE as days, times in microseconds, DECIMAL as its unscaled integer. */
type Raw = number | bigint | boolean | string | Uint8Array | readonly Raw[] | null

type Numbers = { [index: number]: number | bigint; readonly length: number; set(values: unknown, at: number): void }
const numbers: Readonly<Partial<Record<ParsedType['name'], new (length: number) => unknown>>> = {
  TINYINT: Int8Array,
  SMALLINT: Int16Array,
  INTEGER: Int32Array,
  BIGINT: BigInt64Array,
  UBIGINT: BigUint64Array,
  FLOAT: Float32Array,
  DOUBLE: Float64Array,
  DATE: Int32Array,
  TIMESTAMP: BigInt64Array,
  TIMESTAMPTZ: BigInt64Array,
}
const numbersOf = (name: ParsedType['name'], length: number): Numbers | undefined => {
  const Numbers = numbers[name]
  return Numbers && (new Numbers(length) as Numbers)
}

const elementOf = (type: ParsedType): ParsedType => ({ ...type, list: false, nullable: true })

function arrowType(arrow: ArrowLibrary, type: ParsedType): DataType {
  if (type.list) return new arrow.List(arrow.Field.new('item', arrowType(arrow, elementOf(type)), true))
  switch (type.name) {
    case 'BOOLEAN':
      return new arrow.Bool()
    case 'TINYINT':
      return new arrow.Int8()
    case 'SMALLINT':
      return new arrow.Int16()
    case 'INTEGER':
      return new arrow.Int32()
    case 'BIGINT':
      return new arrow.Int64()
    case 'UBIGINT':
      return new arrow.Uint64()
    case 'FLOAT':
      return new arrow.Float32()
    case 'DOUBLE':
      return new arrow.Float64()
    case 'VARCHAR':
    case 'UUID':
    case 'JSON':
      return new arrow.Utf8()
    case 'BLOB':
      return new arrow.Binary()
    case 'DATE':
      return new arrow.DateDay()
    case 'TIMESTAMP':
      return new arrow.TimestampMicrosecond()
    case 'TIMESTAMPTZ':
      return new arrow.TimestampMicrosecond('UTC')
    case 'DECIMAL':
      return new arrow.Decimal(type.scale ?? 0, type.precision ?? 38, 128)
    case 'STRUCT':
      throw new Error('unreachable: refused when the plan was made')
  }
}

// ---- DuckDB to Arrow. -------------------------------------------------------------------------------------------

export interface BatchPart {
  readonly rows: number
  /** One for each column. */
  readonly vectors: readonly Vector[]
}

/** Builds RecordBatches out of chunks whose columns have the types of `arrowWire`. */
export function batchBuilder(
  arrow: ArrowLibrary,
  columns: Readonly<Record<string, string>>,
): (parts: readonly BatchPart[]) => RecordBatch {
  const parsed = Object.entries(columns).map(([name, type]) => ({ name, type: parseColumnType(type, name) }))
  const fields: Field[] = parsed.map(({ name, type }) => arrow.Field.new(name, arrowType(arrow, type), type.nullable))
  const schema = new arrow.Schema(fields)
  return parts => {
    const length = parts.reduce((sum, { rows }) => sum + rows, 0)
    const children = parsed.map(({ type }, column) => {
      const sources = parts.map(({ rows, vectors }) => ({ rows, vector: vectors[column] as Vector }))
      return columnData(arrow, type, sources, length)
    })
    const struct = arrow.makeData({ type: new arrow.Struct(fields), length, nullCount: 0, children }) as Data<Struct>
    return new arrow.RecordBatch(schema, struct)
  }
}

function columnData(
  arrow: ArrowLibrary,
  type: ParsedType,
  sources: readonly { readonly rows: number; readonly vector: Vector }[],
  length: number,
): Data {
  const data = type.list ? undefined : numbersOf(type.name, length)
  if (!data) {
    return rawData(
      arrow,
      type,
      sources.flatMap(({ vector, rows }) => rawItems(vector, type, 0, rows)),
    )
  }
  const nulls = bitmap(length)
  let nullCount = 0
  let at = 0
  for (const { vector, rows } of sources) {
    data.set(itemsOf<BigInt64Array>(vector).subarray(0, rows), at)
    const valid = validOf(vector)
    if (valid)
      for (let row = 0; row < rows; row++)
        if (!valid(row)) {
          clear(nulls, at + row)
          nullCount++
        }
    at += rows
  }
  return makeData(arrow, type, length, nullCount, nulls, { data })
}

/** All ones: nothing is NULL. */
const bitmap = (length: number) => new Uint8Array(((length + 63) >> 6) << 3).fill(255)
const clear = (bits: Uint8Array, at: number) => {
  bits[at >> 3] = (bits[at >> 3] ?? 0) & ~(1 << (at & 7))
}

function makeData(
  arrow: ArrowLibrary,
  type: ParsedType,
  length: number,
  nullCount: number,
  nullBitmap: Uint8Array,
  rest: object,
): Data {
  const nulls = nullCount > 0 ? { nullBitmap } : {}
  return arrow.makeData({ type: arrowType(arrow, type), length, nullCount, ...nulls, ...rest } as never)
}

function rawItems(vector: Vector, type: ParsedType, from: number, count: number): Raw[] {
  const valid = validOf(vector)
  const items = itemsOf<ArrayLike<number> | undefined>(vector)
  return Array.from({ length: count }, (_, index): Raw => {
    const row = from + index
    if (valid && !valid(row)) return null
    if (type.list) {
      const lists = vector as Vector & {
        readonly childVector: Vector
        getEntryOffset(row: number): number
        getEntryLength(row: number): number
      }
      return rawItems(lists.childVector, elementOf(type), lists.getEntryOffset(row), lists.getEntryLength(row))
    }
    if (items) return items[row] as number
    const item = vector.getItem(row) as DuckDBValue
    if (item instanceof DuckDBDecimalValue) return item.value
    return item instanceof DuckDBBlobValue ? item.bytes : (item as string | boolean)
  })
}

/** An Arrow column of raw values. */
function rawData(arrow: ArrowLibrary, type: ParsedType, values: readonly Raw[]): Data {
  const { length } = values
  const nulls = bitmap(length)
  let nullCount = 0
  for (const [row, value] of values.entries())
    if (value === null) {
      clear(nulls, row)
      nullCount++
    }
  const make = (rest: object) => makeData(arrow, type, length, nullCount, nulls, rest)
  if (type.list) {
    const lists = values as readonly (readonly Raw[] | null)[]
    const child = rawData(
      arrow,
      elementOf(type),
      lists.flatMap(list => list ?? []),
    )
    return make({ valueOffsets: offsetsOf(lists), child })
  }
  const data = numbersOf(type.name, length)
  if (data) {
    for (const [row, value] of values.entries()) if (value !== null) data[row] = value as number
    return make({ data })
  }
  if (type.name === 'BOOLEAN') {
    const bits = bitmap(length)
    for (const [row, value] of values.entries()) if (value !== true) clear(bits, row)
    return make({ data: bits })
  }
  if (type.name === 'DECIMAL') {
    const words = new BigUint64Array(length * 2)
    for (const [row, value] of values.entries()) {
      if (value === null) continue
      words[row * 2] = BigInt.asUintN(64, value as bigint)
      words[row * 2 + 1] = BigInt.asUintN(64, (value as bigint) >> 64n)
    }
    return make({ data: new Uint32Array(words.buffer) })
  }
  const bytes = values.map(value =>
    value === null ? null : typeof value === 'string' ? Buffer.from(value) : (value as Uint8Array),
  )
  return make({ valueOffsets: offsetsOf(bytes), data: Buffer.concat(bytes.flatMap(part => part ?? [])) })
}

function offsetsOf(parts: readonly ({ readonly length: number } | null)[]): Int32Array {
  const offsets = new Int32Array(parts.length + 1)
  for (const [index, part] of parts.entries()) offsets[index + 1] = (offsets[index] as number) + (part?.length ?? 0)
  return offsets
}

// ---- Arrow to DuckDB. -------------------------------------------------------------------------------------------

/** A column that a function returned, checked. */
export interface ReturnedColumn {
  /** Writes `count` values from this row of the batch on. */
  write(vector: Vector, from: number, count: number): void
  /** DATE as days, a time in microseconds. */
  raw(row: number): unknown
  readonly data: readonly Data[]
  /** These are the very arrays of the other column, so that no value need be compared. */
  isSameAs(other: readonly Data[]): boolean
}

/**
 * Reads a column of what a function returned.
 *
 * @param result a RecordBatch or Table, of this copy of the library or another
 * @throws Misfit that says what was expected and found
 */
export function returnedColumn(
  arrow: ArrowLibrary,
  result: { getChild(name: string): ArrowVector | null },
  name: string,
  type: ParsedType,
): ReturnedColumn {
  const vector = result.getChild(name)
  if (!vector) throw new Misfit('the column is missing')
  const wanted = arrowType(arrow, type)
  const expected = `expected ${type.sql}${type.nullable ? '' : ' NOT NULL'}, Arrow's ${named(wanted)}`
  if (!isSame(vector.type, wanted)) throw new Misfit(`${expected}; found ${named(vector.type)}`)
  const starts: number[] = []
  let length = 0
  for (const { length: rows } of vector.data) {
    starts.push(length)
    length += rows
  }
  const at = (row: number): readonly [data: Data, row: number] => {
    let part = starts.length - 1
    while ((starts[part] as number) > row) part--
    return [vector.data[part] as Data, row - (starts[part] as number)]
  }
  const checked = (row: number): Raw => {
    const value = rawValue(...at(row), type)
    const problem = value === null ? (type.nullable ? undefined : 'NULL') : unfit(value, type)
    if (problem !== undefined) throw new Misfit(`${expected}; found ${problem}`, row)
    return value
  }
  return {
    raw: row => rawValue(...at(row), type),
    isSameAs: other =>
      other.length === vector.data.length && other.every((data, part) => data.values === vector.data[part]?.values),
    data: vector.data,
    write(to, from, count) {
      const [data, start] = at(from)
      // Numbers without NULL are copied at once. Times and days have bounds of their own.
      const isPlain = !type.list && !data.dictionary && numbers[type.name] !== undefined && data.nullCount === 0
      if (isPlain && start + count <= data.length) {
        if (['DATE', 'TIMESTAMP', 'TIMESTAMPTZ'].includes(type.name))
          for (let row = 0; row < count; row++) checked(from + row)
        setNumbers(to, data.values as BigInt64Array, start, count)
        return
      }
      for (let row = 0; row < count; row++) to.setItem(row, duckValue(checked(from + row), type) as never)
    },
  }
}

/** `Timestamp<MICROSECOND>`; the library's declarations do not tell that its types name themselves. */
const named = (type: { toString(): string }): string => type.toString()

/** By number: a function may bring another copy of the library, whose classes are others. */
function isSame(found: DataType, wanted: DataType): boolean {
  const [a, b] = [found, wanted] as unknown as [Record<string, unknown>, Record<string, unknown>]
  if (found.typeId === -1 && wanted.typeId === 5) return isSame(a.dictionary as DataType, wanted)
  if (found.typeId !== wanted.typeId) return false
  if (found.typeId === 12) return isSame(found.children[0]?.type as DataType, wanted.children[0]?.type as DataType)
  // The timezone decides between TIMESTAMP and TIMESTAMPTZ; which one it is changes no value.
  if ((a.timezone ?? null) === null ? (b.timezone ?? null) !== null : (b.timezone ?? null) === null) return false
  return (
    ['bitWidth', 'isSigned', 'unit', 'scale'].every(field => a[field] === b[field]) &&
    (found.typeId === 3 ? a.precision === b.precision : true)
  )
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

function rawValue(data: Data, row: number, type: ParsedType): Raw {
  if (!data.getValid(row)) return null
  const { values, valueOffsets, dictionary, offset } = data
  if (dictionary) {
    let index = Number(values[row])
    const part = dictionary.data.find(({ length }) => index < length || ((index -= length), false))
    return part ? rawValue(part, index, type) : null
  }
  if (type.list) {
    const child = data.children[0] as Data
    const from = Number(valueOffsets[row])
    return Array.from({ length: Number(valueOffsets[row + 1]) - from }, (_, index) =>
      rawValue(child, from + index, elementOf(type)),
    )
  }
  switch (type.name) {
    case 'BOOLEAN':
      return ((values[(offset + row) >> 3] as number) & (1 << ((offset + row) & 7))) !== 0
    case 'DECIMAL': {
      const [a, b, c, d] = values.subarray(row * 4, row * 4 + 4) as Uint32Array
      const low = (BigInt(b ?? 0) << 32n) | BigInt(a ?? 0)
      return (BigInt.asIntN(64, (BigInt(d ?? 0) << 32n) | BigInt(c ?? 0)) << 64n) | low
    }
    case 'VARCHAR':
    case 'UUID':
    case 'JSON':
    case 'BLOB': {
      const bytes = values.subarray(Number(valueOffsets[row]), Number(valueOffsets[row + 1])) as Uint8Array
      if (type.name === 'BLOB') return bytes
      try {
        return utf8.decode(bytes)
      } catch {
        return bytes
      }
    }
    default:
      return values[row] as number | bigint
  }
}

/** What is wrong with a value of the right Arrow type, which may hold more than its SQL type. */
function unfit(value: Raw, type: ParsedType): string | undefined {
  if (type.list) {
    for (const item of value as readonly Raw[]) {
      const problem = item === null ? undefined : unfit(item, elementOf(type))
      if (problem !== undefined) return problem
    }
    return undefined
  }
  const fits = () => {
    switch (type.name) {
      case 'DECIMAL':
        return (
          (value as bigint) < 10n ** BigInt(type.precision ?? 0) &&
          (value as bigint) > -(10n ** BigInt(type.precision ?? 0))
        )
      case 'UUID':
        return typeof value === 'string' && uuidPattern.test(value)
      case 'JSON':
        return typeof value === 'string' && isJson(value)
      case 'VARCHAR':
        return typeof value === 'string'
      case 'DATE':
        return (value as number) > -(2 ** 31)
      case 'TIMESTAMP':
      case 'TIMESTAMPTZ':
        return (value as bigint) >= timestampUsMin || value === -(2n ** 63n) + 1n
      default:
        return true
    }
  }
  return fits() ? undefined : value instanceof Uint8Array ? 'bytes that are no UTF-8' : shown(value)
}

function duckValue(value: Raw, type: ParsedType): DuckDBValue {
  if (value === null) return null
  if (type.list) return new DuckDBListValue((value as readonly Raw[]).map(item => duckValue(item, elementOf(type))))
  switch (type.name) {
    case 'DECIMAL':
      return new DuckDBDecimalValue(value as bigint, 38, type.scale ?? 0)
    case 'BLOB':
      return new DuckDBBlobValue(value as Uint8Array)
    case 'DATE':
      return new DuckDBDateValue(value as number)
    case 'TIMESTAMP':
      return new DuckDBTimestampValue(value as bigint)
    case 'TIMESTAMPTZ':
      return new DuckDBTimestampTZValue(value as bigint)
    default:
      return value as DuckDBValue
  }
}
