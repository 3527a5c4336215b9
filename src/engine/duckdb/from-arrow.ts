import {
  DuckDBBlobValue,
  DuckDBDateValue,
  DuckDBDecimalValue,
  DuckDBListValue,
  DuckDBTimestampTZValue,
  DuckDBTimestampValue,
  type DuckDBValue,
} from '@duckdb/node-api'
import type { Data, DataType, Vector as ArrowVector } from 'apache-arrow'
import type { ParsedType } from '../../core/types.ts'
import { type ArrowLibrary, arrowType, elementOf, numbers, type Raw } from './arrow-types.ts'
import { isJson, Misfit, setNumbers, shown, timestampUsMin, uuidPattern, type Vector } from './chunks.ts'

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
