import { type ParsedType, parseColumnType, sqlNames } from '../core/types.ts'
import { isLooseJson } from './loose-json.ts'
import { elementOf, outsideOf, withoutOutside } from './outside.ts'
import { text } from './sql.ts'

/** Whether files have types of their own, or each value is text as it was written: a list of text is JSON then. */
export type ColumnsAre = 'typed' | 'text'

export interface CheckedCast {
  /** Physical and declared type are the same: the value is what was read. */
  readonly free: boolean
  /** SQL; never raises. Defined only where `misfit` is not true. */
  readonly value: string
  /**
   * SQL predicate, never NULL: true where the value does not fit the declared type. `null`: every value fits.
   *
   * @param value SQL of what `value` gave, a column of it at best: written out again, DuckDB would plan and compute it
   * again
   */
  readonly misfit: ((value: string) => string) | null
}

/**
 * The cast of one column as read to its declared type, by value (S17): a value that the declared type cannot hold
 * exactly is a misfit, never rounded. NULL always fits; NOT NULL is checked by the caller.
 *
 * - Text is never trimmed: ' 12 ' fits VARCHAR only. Numbers in text are decimal, with a point and an exponent, and
 *   count by value: '1e3' and '1.0' are integers, '1.5' is not. No '1_000', no '0x1F'.
 * - Text means the nearest DOUBLE ('0.1' fits); a DOUBLE means the shortest decimal (12.35 fits DECIMAL(18,2)).
 * - Times in text are ISO 8601 dates and times, 'T' or a space between, an offset or 'Z' or 'UTC' after; without one
 *   UTC is meant. TIMESTAMP holds the UTC instant. 'epoch' and 'infinity' are misfits.
 * - Numbers are no times and times are no numbers: that is what `derive` and epoch_ms(...) are for.
 * - A number in a file may mean nothing in the type that it is written as, such as numpy's NaT in a TIMESTAMP: a
 * misfit.
 *
 * @param expr SQL of the column as read, evaluated several times
 * @param physical DuckDB's name of its type, as DESCRIBE gives it; of JSON lines every field is VARCHAR
 */
export function checkedCast(
  expr: string,
  physical: string,
  declared: ParsedType,
  columns: ColumnsAre,
): CheckedCast | { readonly impossible: string } {
  const from = canonical(physical)
  // A file may say JSON of what is none.
  const outside = isNested(from) ? null : outsideOf(expr, from)
  if (from === declared.sql && from !== 'JSON' && !(declared.list && outsideOf('_element', elementOf(from))))
    return { free: true, value: expr, misfit: outside === null ? null : () => outside }
  if (from === '"NULL"') return { free: false, value: `CAST(NULL AS ${declared.sql})`, misfit: null }

  // What raises in a cast does not come to it.
  const sound = outside === null ? expr : `CASE WHEN NOT ${outside} THEN ${expr} END`
  const cast = declared.list ? castList(expr, from, declared, columns) : castScalar(sound, from, declared)
  if (cast !== undefined) return { free: false, ...cast, misfit: either(outside, cast.misfit) }
  // A column that its writer knew as all NULL comes back from Parquet as INTEGER. It may stand for any type.
  if (from === 'INTEGER') {
    return { free: false, value: `CAST(NULL AS ${declared.sql})`, misfit: () => `(${expr}) IS NOT NULL` }
  }
  if (physical.includes(emptyGroup))
    return { impossible: 'it is or has a group without fields, which holds no value; leave it out' }
  return { impossible: `${physical} can never be read as ${declared.sql}${advice(from, declared)}` }
}

type Cast = Omit<CheckedCast, 'free'>

function either(outside: string | null, misfit: CheckedCast['misfit']): CheckedCast['misfit'] {
  if (outside === null) return misfit
  return value => (misfit === null ? outside : `(${outside} OR ${misfit(value)})`)
}

/** Fits every value. */
const always = (value: string): Cast => ({ value, misfit: null })
const isNotNull = (value: string) => `${value} IS NOT NULL`
/** Fits where the predicate is true; false and NULL are misfits of what is not NULL itself. */
const where = (expr: string, value: string, fits: (value: string) => string): Cast => ({
  value,
  // In a condition of CASE DuckDB leaves out what the rows before it have settled; elsewhere it computes all of it.
  misfit: cast => `CASE WHEN (${expr}) IS NULL OR ${fits(cast)} THEN FALSE ELSE TRUE END`,
})

const integerBits: Readonly<Record<string, readonly [signed: boolean, bits: number]>> = {
  TINYINT: [true, 8],
  SMALLINT: [true, 16],
  INTEGER: [true, 32],
  BIGINT: [true, 64],
  HUGEINT: [true, 128],
  UTINYINT: [false, 8],
  USMALLINT: [false, 16],
  UINTEGER: [false, 32],
  UBIGINT: [false, 64],
  UHUGEINT: [false, 128],
}

const isFloat = (type: string) => type === 'FLOAT' || type === 'DOUBLE'
const isText = (type: string) => type === 'VARCHAR' || type === 'JSON' || type.startsWith('ENUM(')
/** DuckDB's name of a group of Parquet without fields, which the format forbids and some writers make. */
const emptyGroup = 'STRUCT()'

const isNested = (type: string) => /^(STRUCT|MAP|UNION)\(|\]$/.test(type)
const isNumber = (type: string) => type in integerBits || isFloat(type) || type.startsWith('DECIMAL(')

/** DuckDB's long names as declared ones. */
export function canonical(physical: string): string {
  return physical.replaceAll('TIMESTAMP WITH TIME ZONE', 'TIMESTAMPTZ')
}

function castScalar(expr: string, from: string, declared: ParsedType): Cast | undefined {
  const to = declared.name
  const source = isText(from) && from !== 'VARCHAR' ? `CAST(${expr} AS VARCHAR)` : expr
  if (to in integerBits) return toInteger(source, from, to)
  switch (to) {
    case 'DECIMAL':
      return toDecimal(source, from, declared)
    case 'DOUBLE':
    case 'FLOAT':
      return toFloat(source, from, to)
    case 'BOOLEAN':
      return toBoolean(source, from)
    case 'VARCHAR':
      return toText(source, from)
    case 'DATE':
      return toDate(source, from)
    case 'TIMESTAMP':
    case 'TIMESTAMPTZ':
      return toTimestamp(source, from, to)
    case 'UUID':
      // DuckDB reads '{a0eebc999c0b4ef8bb6d6bb9bd380a11}' too, which would not come back as it was.
      return isText(from)
        ? where(source, `TRY_CAST(${source} AS UUID)`, value => `CAST(${value} AS VARCHAR) = lower(${source})`)
        : undefined
    case 'BLOB':
      return isText(from) ? always(`encode(${source})`) : undefined
    case 'JSON':
      return toJson(source, from)
    default:
      return undefined
  }
}

/** Fits where the cast back gives the value again. DuckDB holds NaN equal to NaN and 0.0 equal to -0.0. */
function thereAndBack(expr: string, from: string, to: string): Cast {
  return where(expr, `TRY_CAST(${expr} AS ${to})`, value => `TRY_CAST(${value} AS ${from}) = (${expr})`)
}

/** Decimal digits, a point, an exponent. */
const numberPattern = '^[+-]?([0-9]+[.]?[0-9]*|[.][0-9]+)([eE][+-]?[0-9]+)?$'

/** Up to 15 digits: such a number is told from every other one by its DOUBLE. */
const shortNumberPattern = '^[+-]?0*([0-9]{1,15}[.]?|[0-9]{0,14}[.][0-9]|[.0-9]{1,16})([eE][+-]?[0-9]+)?$'

const matches = (expr: string, pattern: string) => `regexp_full_match(${expr}, ${text(pattern)})`

/** A short number in exponent form, exact where both ways of reading it agree as DOUBLE. */
const shortAndExact = (expr: string, value: string) =>
  `(${matches(expr, numberPattern)} AND ${matches(expr, shortNumberPattern)}` +
  ` AND TRY_CAST(CAST(${value} AS VARCHAR) AS DOUBLE) = TRY_CAST(${expr} AS DOUBLE))`

function toInteger(expr: string, from: string, to: string): Cast | undefined {
  const cast = `TRY_CAST(${expr} AS ${to})`
  const source = integerBits[from]
  const target = integerBits[to]
  if (source && target) {
    const widens = source[0] === target[0] ? target[1] > source[1] : target[0] && target[1] > source[1]
    return widens ? always(cast) : where(expr, cast, isNotNull)
  }
  if (isNumber(from)) return thereAndBack(expr, from, to)
  if (!isText(from)) return undefined
  // DuckDB reads digits, zeros after the point and a positive exponent exactly; it rounds all else.
  const plain = matches(expr, '^[+-]?[0-9]+([.]0*)?([eE][+]?[0-9]+)?$')
  return where(expr, cast, value => `((${plain} AND ${value} IS NOT NULL) OR ${shortAndExact(expr, value)})`)
}

function toDecimal(expr: string, from: string, declared: ParsedType): Cast | undefined {
  const cast = `TRY_CAST(${expr} AS ${declared.sql})`
  if (from in integerBits) return where(expr, cast, isNotNull)
  if (from.startsWith('DECIMAL(')) return thereAndBack(expr, from, declared.sql)
  if (isFloat(from)) return floatToDecimal(expr, from, declared)
  if (!isText(from)) return undefined
  const digits = `[0-9]{0,${declared.scale ?? 0}}0*`
  const plain = matches(expr, `^[+-]?([0-9]+([.]${digits})?|[.]${digits})$`)
  return where(expr, cast, value => `((${plain} AND ${value} IS NOT NULL) OR ${shortAndExact(expr, value)})`)
}

/**
 * Up to 15 digits DuckDB's multiplication and division by a power of ten find the decimal that is meant. Beyond that
 * they do not (123456789012345.67 becomes .68, and .69 on the way back), so the rest goes by way of the shortest text.
 */
function floatToDecimal(expr: string, from: string, declared: ParsedType): Cast {
  const scale = declared.scale ?? 0
  const isShort = from === 'DOUBLE' && scale <= 22 ? `abs(${expr}) < CAST('1e${15 - scale}' AS DOUBLE)` : 'false'
  const near = `TRY_CAST(${expr} AS ${declared.sql})`
  const far = `TRY_CAST(CAST(${expr} AS VARCHAR) AS ${declared.sql})`
  const fits = (value: string) =>
    `CASE WHEN ${isShort} THEN CAST(${value} AS DOUBLE) = (${expr})` +
    ` ELSE TRY_CAST(CAST(${value} AS VARCHAR) AS ${from}) = (${expr}) END`
  return where(expr, `CASE WHEN ${isShort} THEN ${near} ELSE ${far} END`, fits)
}

function toFloat(expr: string, from: string, to: 'FLOAT' | 'DOUBLE'): Cast | undefined {
  const cast = `TRY_CAST(${expr} AS ${to})`
  const bits = integerBits[from]?.[1]
  if (bits !== undefined && bits <= (to === 'DOUBLE' ? 32 : 16)) return always(cast)
  if (from === 'FLOAT') return always(cast)
  const decimal = /^DECIMAL\((\d+),\d+\)$/.exec(from)
  if (decimal) {
    // Up to 15 digits DuckDB's division by a power of ten rounds once; beyond that only text is exact.
    const nearest = Number(decimal[1]) <= 15 && to === 'DOUBLE' ? cast : `TRY_CAST(CAST(${expr} AS VARCHAR) AS ${to})`
    return where(expr, nearest, value => `TRY_CAST(${value} AS ${from}) = (${expr})`)
  }
  if (isNumber(from)) return thereAndBack(expr, from, to)
  if (!isText(from)) return undefined
  const named = matches(expr, '(?i)nan|-?inf(inity)?')
  return where(expr, cast, value => `((isfinite(${value}) AND ${matches(expr, numberPattern)}) OR ${named})`)
}

function toBoolean(expr: string, from: string): Cast | undefined {
  const value = `TRY_CAST(${expr} AS BOOLEAN)`
  if (isNumber(from)) return where(expr, value, () => `((${expr}) = 0 OR (${expr}) = 1)`)
  // The one letter beside 'S' that (?i) takes for 's' is 'ſ', which DuckDB does not.
  return isText(from)
    ? where(expr, value, cast => `(${matches(expr, '(?i)true|false')} AND ${cast} IS NOT NULL)`)
    : undefined
}

function toText(expr: string, from: string): Cast | undefined {
  if (isNested(from)) return undefined
  // Parquet files of some writers have text as plain bytes.
  if (from === 'BLOB') return where(expr, `TRY(decode(${expr}))`, isNotNull)
  return always(isText(from) ? expr : `CAST(${expr} AS VARCHAR)`)
}

function toJson(expr: string, from: string): Cast | undefined {
  const isStrict = (json: string) => `json_valid(${json}) AND NOT ${isLooseJson(json)}`
  if (isText(from)) return where(expr, `TRY_CAST(${expr} AS JSON)`, () => isStrict(expr))
  const isVariant = from === 'VARIANT'
  if (!isVariant && !isNested(from) && !isNumber(from) && from !== 'BOOLEAN') return undefined
  const json = isVariant ? `CASE WHEN ${expr} IS NOT NULL THEN TRY_CAST(${expr} AS JSON) END` : `TRY(to_json(${expr}))`
  // NaN and the infinities have no JSON.
  const strict = (json: string) => where(expr, json, value => isStrict(`CAST(${value} AS VARCHAR)`))
  const outside = outsideOf(expr, from)
  if (!isNested(from) || outside === null) return strict(json)
  const cast = strict(`TRY(to_json(${withoutOutside(expr, from)}))`)
  return { ...cast, misfit: either(outside, cast.misfit) }
}

const datePattern = '[0-9]{4}-[0-9]{2}-[0-9]{2}'
const timePattern = '([01][0-9]|2[0-3]):[0-9]{2}(:[0-9]{2}([.][0-9]{1,6}0*)?)?'
const zonePattern = ' ?(Z|UTC|[+-][0-9]{2}(:?[0-9]{2})?)'

function toDate(expr: string, from: string): Cast | undefined {
  const iso = matches(expr, `^${datePattern}$`)
  if (isText(from)) return where(expr, `TRY_CAST(${expr} AS DATE)`, value => `(${iso} AND ${value} IS NOT NULL)`)
  if (from === 'TIMESTAMPTZ') return toDate(utc(expr, 'TIMESTAMP'), 'TIMESTAMP')
  return from.startsWith('TIMESTAMP') ? thereAndBack(expr, from, 'DATE') : undefined
}

function toTimestamp(expr: string, from: string, to: 'TIMESTAMP' | 'TIMESTAMPTZ'): Cast | undefined {
  const other = to === 'TIMESTAMP' ? 'TIMESTAMPTZ' : 'TIMESTAMP'
  if (from === other) return always(utc(expr, to))
  if (isText(from)) {
    // Only what is ISO reaches the cast: a zone's name would be kept for the rows after it (S24). DuckDB drops an
    // offset when it reads TIMESTAMP, so the text is read as TIMESTAMPTZ: without an offset UTC. ICU raises for times
    // at the end of the range, in a TRY_CAST as well.
    const iso = matches(expr, `^${datePattern}([T ]${timePattern}(${zonePattern})?)?$`)
    const instant = `TRY(TRY_CAST(CASE WHEN ${iso} THEN ${expr} END AS TIMESTAMPTZ))`
    // An infinity is no ISO time, and the way over the microseconds makes it NULL.
    const cast = to === 'TIMESTAMP' ? `make_timestamp(epoch_us(${instant}))` : instant
    return where(expr, cast, isNotNull)
  }
  if (from !== 'DATE' && !/^TIMESTAMP(_S|_MS|_NS)?$/.test(from)) return undefined
  const inner = thereAndBack(expr, from, 'TIMESTAMP')
  return to === 'TIMESTAMP' ? inner : { ...inner, value: utc(inner.value, to) }
}

/**
 * TIMESTAMP and TIMESTAMPTZ of the same instant in UTC. `timezone` asks ICU's calendar, which takes four times as long
 * as the way over the microseconds, on which an infinity is lost.
 */
function utc(expr: string, to: 'TIMESTAMP' | 'TIMESTAMPTZ'): string {
  const make = to === 'TIMESTAMP' ? 'make_timestamp' : 'make_timestamptz'
  return `coalesce(${make}(epoch_us(${expr})), timezone('UTC', ${expr}))`
}

function castList(expr: string, from: string, declared: ParsedType, columns: ColumnsAre): Cast | undefined {
  if (isText(from) && columns === 'text') {
    // TRY: json_type raises on what is no JSON, and AND may run it first.
    const isArray = `json_valid(${expr}) AND json_type(${expr}) = 'ARRAY' AND NOT ${isLooseJson(expr)}`
    const array = `TRY(CASE WHEN ${isArray} THEN from_json(${expr}, '["VARCHAR"]') END)`
    const cast = castElements(array, 'VARCHAR', declared, columns)
    return cast && where(expr, cast.value, value => `${array} IS NOT NULL AND NOT ${cast.misfit?.(value) ?? 'false'}`)
  }
  const element = elementOf(from)
  return element === '' ? undefined : castElements(expr, element, declared, columns)
}

/** Element by element; one misfit makes the list a misfit. */
function castElements(expr: string, from: string, declared: ParsedType, columns: ColumnsAre): Cast | undefined {
  const one: ParsedType = { ...declared, list: false, sql: declared.sql.slice(0, -'[]'.length) }
  const element = checkedCast('_element', from, one, columns)
  if ('impossible' in element) return undefined
  const list = `CAST(${expr} AS ${from}[])`
  const { misfit } = element
  // Elements that mean nothing are left out: a function of lists computes those of other rows too.
  const sound = misfit === null ? list : `list_filter(${list}, lambda _element: NOT ${misfit(element.value)})`
  const value = element.free ? sound : `list_transform(${list}, lambda _element: ${element.value})`
  if (misfit === null) return always(value)
  const some = `len(list_filter(${list}, lambda _element: ${misfit(element.value)})) > 0`
  return { value, misfit: () => `coalesce(${some}, false)` }
}

function advice(from: string, declared: ParsedType): string {
  const isTime = declared.name === 'TIMESTAMP' || declared.name === 'TIMESTAMPTZ' || declared.name === 'DATE'
  if (isTime && isNumber(from)) return '; declare BIGINT and derive the time, for example with epoch_ms(...)'
  const fields = from.startsWith('STRUCT(') ? ", or one of its fields by a name such as 'struct.field'" : ''
  if (isNested(from) && !declared.list) return `; declare JSON${listAdvice(from)}${fields}`
  const names = [...sqlNames, 'DECIMAL(18,2)'].filter(
    name => castScalar('x', from, parseColumnType(name, '')) !== undefined,
  )
  if (names.length === 0) return '; no type that can be declared holds it, so leave it out of columns'
  return `; it can be declared as ${[...new Set([from, ...names])].filter(isDeclarable).join(', ')}`
}

/** The list type of a list of scalars. */
function listAdvice(from: string): string {
  const list = /^[A-Z]+\[\]$/.test(from) && isDeclarable(from) ? from : undefined
  if (list !== undefined) return ` or ${list}`
  return from.endsWith(']') ? ', or a list of the type of its elements where they are scalars' : ''
}

function isDeclarable(type: string): boolean {
  try {
    parseColumnType(type, '')
    return true
  } catch {
    return false
  }
}
