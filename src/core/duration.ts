import { configError } from './errors.ts'

type Unit = 's' | 'm' | 'h' | 'd'
type UnitName = 'second' | 'minute' | 'hour' | 'day'

/** '5m', '90s', '1 hour', '30 days': a whole number of seconds, minutes, hours or days. */
export type Duration = `${number}${Unit}` | `${number} ${UnitName}${'' | 's'}`

const unitSeconds: Readonly<Record<string, number>> = {
  s: 1,
  second: 1,
  seconds: 1,
  m: 60,
  minute: 60,
  minutes: 60,
  h: 3_600,
  hour: 3_600,
  hours: 3_600,
  d: 86_400,
  day: 86_400,
  days: 86_400,
}

/** Microseconds of a duration. Throws a configuration error that names `field`. */
export function durationUs(value: string, field: string): bigint {
  const match = /^(\d+) ?([a-z]+)$/.exec(value)
  const unit = match?.[2] ?? ''
  const seconds = Object.hasOwn(unitSeconds, unit) ? unitSeconds[unit] : undefined
  // 400,000 years in seconds stay well inside BIGINT microseconds.
  if (!match || !seconds || (match[1] as string).length > 12)
    throw configError(field, value, "a whole number and a unit, such as '90s', '5m', '1 hour' or '30 days'")
  return BigInt(match[1] as string) * BigInt(seconds) * 1_000_000n
}
