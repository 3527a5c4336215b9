import type { DataType } from 'apache-arrow'
import type { ParsedType } from '../../core/types.ts'

/** The library, loaded when a plan has `mapBatches` and never before. */
export type ArrowLibrary = typeof import('apache-arrow')

/** The type that a column has in a chunk that becomes a RecordBatch. */
export function arrowWire({ name, scale, list, sql }: ParsedType): string {
  const many = list ? '[]' : ''
  if (name === 'DECIMAL') return `DECIMAL(38,${scale})${many}`
  return name === 'UUID' || name === 'JSON' ? `VARCHAR${many}` : sql
}

/** A value as both sides hold it: numbers, DATE as days, times in microseconds, DECIMAL as its unscaled integer. */
export type Raw = number | bigint | boolean | string | Uint8Array | readonly Raw[] | null

export type Numbers = {
  [index: number]: number | bigint
  readonly length: number
  set(values: unknown, at: number): void
}
export const numbers: Readonly<Partial<Record<ParsedType['name'], new (length: number) => unknown>>> = {
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
export const numbersOf = (name: ParsedType['name'], length: number): Numbers | undefined => {
  const Numbers = numbers[name]
  return Numbers && (new Numbers(length) as Numbers)
}

export const elementOf = (type: ParsedType): ParsedType => ({ ...type, list: false, nullable: true })

export function arrowType(arrow: ArrowLibrary, type: ParsedType): DataType {
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
