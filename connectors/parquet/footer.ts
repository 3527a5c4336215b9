import { deserializeTCompactProtocol } from 'hyparquet/src/thrift.js'
import type { OwnColumn } from '../../src/plan/find-column.ts'
import type { ByteRange } from '../../src/plan/format.ts'

/** Where one column chunk of one row group lies. */
export interface ColumnChunk {
  /** The top-level column, which a nested one shares with its siblings. */
  readonly column: string
  /** For messages: 'a.list.element'. */
  readonly path: string
  /** The first page: the dictionary's where there is one. */
  readonly start: number
  /** One past the last page by the footer's own account, and never inside the footer. */
  readonly end: number
  /** Values in all pages, NULLs included. */
  readonly values: number
  /** DuckDB reads Bloom filters for `=` predicates. */
  readonly bloomFilter: ByteRange | undefined
}

/** A top-level column, with what DuckDB would read wrong in it or below it. */
export interface FooterColumn extends OwnColumn {
  /** A DECIMAL of more than 38 digits, which DuckDB reads as a DOUBLE, and as a wrong one. */
  readonly wideDecimal: string | undefined
  /** UTC timestamps of nanoseconds, which DuckDB cuts to microseconds. */
  readonly isUtcNanos: boolean
}

export interface Footer {
  /** Top-level columns of which a chunk is encrypted. */
  readonly encrypted: ReadonlySet<string>
  /** Top-level columns in the file's order. */
  readonly columns: readonly FooterColumn[]
  readonly chunks: readonly ColumnChunk[]
}

/** Length of the footer and the magic bytes: the last bytes of every Parquet file. */
const tailBytes = 8
/** A footer lies in memory. One of a million column chunks has about 100 MB. */
const footerBytesMax = 256 * 1024 * 1024
/** Old writers left the header of the dictionary page out of a chunk's size (PARQUET-816); Arrow allows as much. */
const sizeSlackBytes = 100

/**
 * Where the footer starts, told from the object's last bytes; undefined where they are not those of a Parquet file, or
 * of one whose footer is encrypted: DuckDB says so by itself.
 *
 * @throws Error for a footer that is too large
 */
export function footerStart(tail: Uint8Array, sizeBytes: number): number | undefined {
  if (tail.length < tailBytes) return undefined
  const last = Buffer.from(tail.buffer, tail.byteOffset, tail.length).subarray(-tailBytes)
  if (last.toString('latin1', 4) !== 'PAR1') return undefined
  const length = last.readUInt32LE(0)
  const start = sizeBytes - tailBytes - length
  if (start < 0) return undefined
  if (length > footerBytesMax) throw new Error(`its footer of ${length} bytes is larger than ${footerBytesMax} bytes`)
  return start
}

export type Thrift = Readonly<Record<string, unknown>>

/** The footer as thrift has it: field_1, field_2 and so on. */
export function decodeFooter(bytes: Uint8Array): Thrift {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  return deserializeTCompactProtocol({ view, offset: 0 }) as Thrift
}

/**
 * Decodes what fetching and checking need of a footer (parquet.thrift, FileMetaData); types and statistics are DuckDB's
 * business.
 *
 * @param bytes from the footer's start on
 * @throws Error that says what is wrong with it
 */
export function readFooter(bytes: Uint8Array, start: number): Footer {
  let fields: Thrift
  try {
    fields = decodeFooter(bytes)
  } catch (error) {
    throw new Error(undecodable, { cause: error })
  }
  try {
    return footerOf(fields, start)
  } catch (error) {
    // A value of another kind than the specification has.
    throw error instanceof TypeError ? new Error(undecodable, { cause: error }) : error
  }
}

const undecodable = 'its footer cannot be decoded: it is broken, or no footer of Parquet'

function footerOf(fields: Thrift, start: number): Footer {
  const [root, ...schema] = list(fields.field_2, 'schema')
  const groups = list(fields.field_4, 'row groups')
  const encrypted = new Set<string>()
  const found = groups.flatMap(group =>
    list(group.field_1, 'column chunks').flatMap(chunk => {
      const meta = chunk.field_3 as Thrift | undefined
      if (meta === undefined || chunk.field_8 !== undefined) encrypted.add(encryptedColumn(chunk))
      // Where a column has a key of its own its metadata lie elsewhere.
      return meta === undefined ? [] : [{ chunk, meta }]
    }),
  )
  // Some writers state where a Bloom filter begins and not how long it is: it ends where the next thing begins.
  const starts = found
    .flatMap(({ chunk, meta }) => [
      meta.field_9,
      meta.field_11,
      meta.field_14,
      chunk.field_4,
      chunk.field_6,
      BigInt(start),
    ])
    .flatMap(offset => (typeof offset === 'bigint' ? [Number(offset)] : []))
    .toSorted((a, b) => a - b)
  return {
    encrypted,
    columns: topLevel(schema, number(root?.field_5, 'schema root')),
    chunks: found.map(({ meta }) => chunkOf(meta, start, starts)),
  }
}

/** ColumnCryptoMetaData: with the footer's key, or with one of the column's own, beside its path. */
function encryptedColumn({ field_3: meta, field_8: crypto }: Thrift): string {
  const own = (crypto as Thrift | undefined)?.field_2 as Thrift | undefined
  const path = own?.field_1 ?? (meta as Thrift | undefined)?.field_3
  return Array.isArray(path) && path[0] instanceof Uint8Array ? Buffer.from(path[0]).toString('utf8') : ''
}

function chunkOf(meta: Thrift, footer: number, starts: readonly number[]): ColumnChunk {
  const path = (meta.field_3 as readonly Uint8Array[]).map(name => Buffer.from(name).toString('utf8'))
  const at = `column '${path.join('.')}'`
  const dataPage = number(meta.field_9, `data_page_offset of ${at}`)
  const dictionary = meta.field_11 === undefined ? 0 : number(meta.field_11, `dictionary_page_offset of ${at}`)
  // Some writers have 0 for "none". As in DuckDB, data pages are those that follow the dictionary.
  const start = dictionary >= 4 ? dictionary : dataPage
  const size = number(meta.field_7, `total_compressed_size of ${at}`)
  const values = number(meta.field_5, `num_values of ${at}`)
  if (start < 0 || size < 0 || start + size > footer) throw new Error(`${at} lies outside the file`)
  const bloom = meta.field_14 === undefined ? 0 : number(meta.field_14, `bloom_filter_offset of ${at}`)
  const next = starts.find(offset => offset > bloom) ?? footer
  const bloomEnd = typeof meta.field_15 === 'number' ? bloom + meta.field_15 : next
  return {
    column: path[0] ?? '',
    path: path.join('.'),
    start,
    end: Math.min(footer, start + size + sizeSlackBytes),
    values,
    bloomFilter: bloom > 0 && bloom < footer ? [bloom, Math.min(bloomEnd, footer)] : undefined,
  }
}

/** The root's children: the schema is the tree in depth-first order. */
function topLevel(schema: readonly Thrift[], children: number): readonly FooterColumn[] {
  let at = 0
  const read = (children: number): readonly FooterColumn[] => {
    const columns: FooterColumn[] = []
    for (let child = 0; child < children && at < schema.length; child++) {
      const element = schema[at++] as Thrift
      columns.push(columnOf(element, read((element.field_5 as number | undefined) ?? 0)))
    }
    return columns
  }
  return withSqlNames(read(children))
}

function columnOf(element: Thrift, children: readonly FooterColumn[]): FooterColumn {
  const fields = isStruct(element, children.length) ? withSqlNames(children) : undefined
  const twins = twinsOf(fields ?? []) ?? children.find(child => child.twins)?.twins
  return {
    name: Buffer.from((element.field_4 as Uint8Array | undefined) ?? []).toString('utf8'),
    ...(fields && !isRepeated(element) ? { fields } : {}),
    ...(twins ? { twins } : {}),
    wideDecimal: wideDecimal(element) ?? children.find(child => child.wideDecimal !== undefined)?.wideDecimal,
    isUtcNanos: isUtcNanos(element) || children.some(child => child.isUtcNanos),
  }
}

/** Converted types of groups: MAP, MAP_KEY_VALUE, LIST. */
const nesting: readonly unknown[] = [1, 2, 3]

/** As DuckDB decides: a group is a struct, but a list or map of one child is that child, and a variant is a value. */
function isStruct({ field_6: converted, field_10: logical }: Thrift, children: number): boolean {
  if ((logical as Thrift | undefined)?.field_16 !== undefined) return false
  return children > 1 ? converted !== 2 : children === 1 && !nesting.includes(converted)
}

function isRepeated({ field_3: repetition }: Thrift): boolean {
  return repetition === 2
}

/**
 * DuckDB gives a name of its own to a column or field whose name is there already when the case of ASCII is ignored:
 * 'v', 'V', 'V_1', 'V' become 'v', 'V_1', 'V_1_1', 'V_2'.
 */
function withSqlNames(columns: readonly FooterColumn[]): readonly FooterColumn[] {
  const uses = new Map<string, number>()
  return columns.map(column => {
    let sqlName = column.name
    for (let used = uses.get(asciiLower(sqlName)); used !== undefined; used = uses.get(asciiLower(sqlName))) {
      uses.set(asciiLower(sqlName), used + 1)
      sqlName = `${sqlName}_${used}`
    }
    uses.set(asciiLower(sqlName), 1)
    return sqlName === column.name ? column : { ...column, sqlName }
  })
}

function asciiLower(name: string): string {
  return name.replaceAll(/[A-Z]/g, letter => letter.toLowerCase())
}

/** The first column that DuckDB calls otherwise, and the one before it whose name that has. */
function twinsOf(columns: readonly OwnColumn[]): readonly [string, string] | undefined {
  const second = columns.find(({ sqlName }) => sqlName !== undefined)
  const first = second && columns.find(({ name }) => asciiLower(name) === asciiLower(second.name))
  return first && second ? [first.name, second.name] : undefined
}

/** DECIMAL is converted type 5, or logical type 5 with scale and precision of its own. */
function wideDecimal({ field_6: converted, field_7, field_8, field_10: logical }: Thrift): string | undefined {
  const decimal = (logical as Thrift | undefined)?.field_5 as Thrift | undefined
  const [scale = 0, precision] = decimal ? [decimal.field_1, decimal.field_2] : [field_7, field_8]
  if (decimal === undefined && converted !== 5) return undefined
  return Number(precision) > 38 ? `DECIMAL(${Number(precision)},${Number(scale)})` : undefined
}

/** Logical type 8 is TIMESTAMP: adjusted to UTC, and its unit. */
export function isUtcNanos({ field_10: logical }: Thrift): boolean {
  const timestamp = (logical as Thrift | undefined)?.field_8 as Thrift | undefined
  return timestamp?.field_1 === true && (timestamp.field_2 as Thrift | undefined)?.field_3 !== undefined
}

function list(value: unknown, what: string): readonly Thrift[] {
  if (!Array.isArray(value)) throw new Error(`its footer has no ${what}`)
  return value as readonly Thrift[]
}

function number(value: unknown, what: string): number {
  if (typeof value !== 'number' && typeof value !== 'bigint') throw new Error(`its footer has no ${what}`)
  const safe = Number(value)
  if (!Number.isSafeInteger(safe)) throw new Error(`${what} is ${value}`)
  return safe
}
