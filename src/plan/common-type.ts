import { type ParsedType, parseColumnType } from '../core/types.ts'
import { checkedCast } from './checked-cast.ts'

/** Decimal digits of an integer type at most. */
const integerDigits: Readonly<Record<string, number>> = {
  TINYINT: 3,
  SMALLINT: 5,
  INTEGER: 10,
  BIGINT: 19,
  UBIGINT: 20,
}

/**
 * The narrowest declarable type that holds the values of two, by value: INTEGER and BIGINT make BIGINT, BIGINT and
 * DOUBLE make DOUBLE, DATE and TIMESTAMP make TIMESTAMP, what has nothing in common makes VARCHAR or JSON. Null where
 * none does.
 *
 * @param a @param b types as they are declared, without NOT NULL
 */
export function commonType(a: string, b: string): string | null {
  if (a === b) return a
  const [left, right] = [parseColumnType(a, 'type'), parseColumnType(b, 'type')]
  if (left.list && right.list) {
    const element = commonType(a.slice(0, -2), b.slice(0, -2))
    if (element !== null) return `${element}[]`
  }
  if (!left.list && !right.list) {
    const common = commonNumber(left, right) ?? commonTime(left.name, right.name) ?? besideNull(left, right)
    if (common !== undefined) return common
  }
  // A number is JSON as it stands, and so is a nested value; a text is seldom.
  const isJson = [a, b].includes('JSON') && ![a, b].includes('VARCHAR')
  return (isJson ? ['JSON', 'VARCHAR'] : ['VARCHAR', 'JSON']).find(type => holds(a, type) && holds(b, type)) ?? null
}

/**
 * The type of a column that inputs of these types have under one name: what numbers and times are widened to; all else
 * must agree. Null where they do not, and where the digits of two DECIMALs do not fit into one.
 *
 * @param a @param b types as they are declared, without NOT NULL
 */
export function widerType(a: string, b: string): string | null {
  if (a === b) return a
  const [left, right] = [parseColumnType(a, 'type'), parseColumnType(b, 'type')]
  if (left.list !== right.list || left.name === 'STRUCT' || right.name === 'STRUCT') return null
  if (left.list) {
    const element = widerType(a.slice(0, -2), b.slice(0, -2))
    return element === null ? null : `${element}[]`
  }
  const number = commonNumber(left, right)
  const isRounded = number === 'DOUBLE' && ![left, right].some(isFloat)
  return (isRounded ? undefined : number) ?? commonTime(left.name, right.name) ?? null
}

const isFloat = ({ name }: ParsedType) => name === 'FLOAT' || name === 'DOUBLE'

function commonNumber(a: ParsedType, b: ParsedType): string | undefined {
  const digits = ({ name, precision = 0, scale = 0 }: ParsedType) =>
    name === 'DECIMAL' ? { whole: precision - scale, scale } : { whole: integerDigits[name] ?? Number.NaN, scale: 0 }
  const isExact = (type: ParsedType) => !Number.isNaN(digits(type).whole)
  if (isFloat(a) || isFloat(b)) return [a, b].every(type => isFloat(type) || isExact(type)) ? 'DOUBLE' : undefined
  if (!isExact(a) || !isExact(b)) return undefined
  const names = [a.name, b.name]
  const isSigned = !names.includes('DECIMAL') && !names.includes('UBIGINT')
  if (isSigned) return digits(a).whole > digits(b).whole ? a.sql : b.sql
  const whole = Math.max(digits(a).whole, digits(b).whole)
  const scale = Math.max(digits(a).scale, digits(b).scale)
  return whole + scale <= 38 ? `DECIMAL(${whole + scale},${scale})` : 'DOUBLE'
}

function commonTime(a: string, b: string): string | undefined {
  const times = ['DATE', 'TIMESTAMP', 'TIMESTAMPTZ']
  const [first, second] = [times.indexOf(a), times.indexOf(b)]
  return first < 0 || second < 0 ? undefined : times[Math.max(first, second)]
}

/** A column that its writer knew as all NULL comes back from Parquet as INTEGER. */
function besideNull(a: ParsedType, b: ParsedType): string | undefined {
  if (a.name === 'INTEGER' && b.name !== 'VARCHAR' && b.name !== 'JSON') return b.sql
  return b.name === 'INTEGER' && a.name !== 'VARCHAR' && a.name !== 'JSON' ? a.sql : undefined
}

function holds(from: string, type: string): boolean {
  return !('impossible' in checkedCast('c', from, parseColumnType(type, 'type'), 'typed'))
}
