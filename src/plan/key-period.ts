import { configError } from '../core/errors.ts'

/** The span of event time that a key names: [startUs, endUs). */
export interface Period {
  readonly startUs: bigint
  readonly endUs: bigint
}

const tokens = ['yyyy', 'MM', 'dd', 'HH'] as const
type Token = (typeof tokens)[number]

/** Reads the period out of keys, UTC. The finest token gives the period's length. */
export type KeyPeriod = (key: string) => Period | undefined

/**
 * @param pattern text with `{yyyy}`, `{MM}`, `{dd}`, `{HH}`, such as 'green_tripdata_{yyyy}-{MM}' or
 * 'year={yyyy}/month={MM}/'; found anywhere in the key.
 */
export function keyPeriod(pattern: string, field: string): KeyPeriod {
  const found: Token[] = []
  const expression = pattern
    .split(/(\{[^}]*\})/)
    .map(part => {
      const token = part.startsWith('{') ? tokens.find(name => part === `{${name}}`) : undefined
      if (token === undefined) {
        if (part.startsWith('{'))
          throw configError(field, pattern, `only the tokens ${tokens.map(name => `{${name}}`).join(', ')}`)
        return part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')
      }
      const seen = found.includes(token)
      if (seen) return `\\k<${token}>`
      found.push(token)
      return `(?<${token}>\\d{${token.length}})`
    })
    .join('')
  const depth = found.length
  if (depth === 0 || tokens.slice(0, depth).some(token => !found.includes(token)))
    throw configError(
      field,
      pattern,
      "a key pattern with {yyyy}, then also {MM}, {dd}, {HH} as needed, such as 'trips_{yyyy}-{MM}'",
    )
  const matcher = new RegExp(expression)
  return key => {
    const groups = matcher.exec(key)?.groups
    if (!groups) return undefined
    const value = (token: Token, otherwise: number) => (groups[token] === undefined ? otherwise : Number(groups[token]))
    const [year, month, day, hour] = [value('yyyy', 0), value('MM', 1), value('dd', 1), value('HH', 0)]
    const start = utcMs(year, month, day, hour)
    const shown = new Date(start)
    // 2022-13 or 2022-02-30 is no period: JavaScript would roll it over.
    if (shown.getUTCFullYear() !== year || shown.getUTCMonth() !== month - 1 || shown.getUTCDate() !== day || hour > 23)
      return undefined
    const end =
      depth === 1
        ? utcMs(year + 1, 1, 1, 0)
        : depth === 2
          ? utcMs(year, month + 1, 1, 0)
          : depth === 3
            ? utcMs(year, month, day + 1, 0)
            : utcMs(year, month, day, hour + 1)
    return { startUs: BigInt(start) * 1000n, endUs: BigInt(end) * 1000n }
  }
}

function utcMs(year: number, month: number, day: number, hour: number): number {
  const date = new Date(0)
  // setUTCFullYear, because Date.UTC reads years 0 to 99 as 1900 to 1999.
  date.setUTCFullYear(year, month - 1, day)
  return date.getTime() + hour * 3_600_000
}

/** What messages say that a point in the keys' time is. */
export const periodForms = "a UTC date such as '2022-01', '2022-01-15' or '2022-01-15T06:00:00Z'"

/** '2022', '2022-01', '2022-01-15' or ISO 8601 as microseconds, UTC; undefined for text that is none. */
export function parseInstantUs(value: string): bigint | undefined {
  const match = /^(\d{4})(?:-(\d{2})(?:-(\d{2})(?:[T ](\d{2}):(\d{2})(?::(\d{2}))?Z?)?)?)?$/.exec(value)
  const [, year, month = '01', day = '01', hour = '00', minute = '00', second = '00'] = match ?? []
  const ms = match ? Date.parse(`${year}-${month}-${day}T${hour}:${minute}:${second}Z`) : Number.NaN
  if (Number.isNaN(ms) || new Date(ms).toISOString().slice(0, 10) !== `${year}-${month}-${day}`) return undefined
  return BigInt(ms) * 1000n
}

/** The same, or a configuration error that names `field`. */
export function instantUs(value: string, field: string): bigint {
  const us = parseInstantUs(value)
  if (us === undefined) throw configError(field, value, periodForms)
  return us
}
