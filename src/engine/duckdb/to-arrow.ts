import { DuckDBBlobValue, DuckDBDecimalValue, type DuckDBValue } from '@duckdb/node-api'
import type { Data, Field, RecordBatch, Struct } from 'apache-arrow'
import { type ParsedType, parseColumnType } from '../../core/types.ts'
import { type ArrowLibrary, arrowType, elementOf, numbersOf, type Raw } from './arrow-types.ts'
import { itemsOf, validOf, type Vector } from './chunks.ts'

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
