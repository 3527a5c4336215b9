import { configError } from './errors.ts'

type Unit = 'ms' | 's' | 'm' | 'h' | 'd'
type UnitName = 'millisecond' | 'second' | 'minute' | 'hour' | 'day'

/** '200ms', '5m', '90s', '1 hour', '30 days': a whole number of milliseconds, seconds, minutes, hours or days. */
export type Duration = `${number}${Unit}` | `${number} ${UnitName}${'' | 's'}`

const unitMs: Readonly<Record<string, number>> = {
  ms: 1,
  millisecond: 1,
  milliseconds: 1,
  s: 1_000,
  second: 1_000,
  seconds: 1_000,
  m: 60_000,
  minute: 60_000,
  minutes: 60_000,
  h: 3_600_000,
  hour: 3_600_000,
  hours: 3_600_000,
  d: 86_400_000,
  day: 86_400_000,
  days: 86_400_000,
}

/** What messages say that a duration is. */
export const durationForms = "a whole number and a unit, such as '90s', '5m', '1 hour' or '30 days'"

/** Microseconds of a duration; undefined for text that is none. */
export function parseDurationUs(value: string): bigint | undefined {
  const match = /^(\d+) ?([a-z]+)$/.exec(value)
  const unit = match?.[2] ?? ''
  const ms = Object.hasOwn(unitMs, unit) ? unitMs[unit] : undefined
  const us = match && ms ? BigInt(match[1] as string) * BigInt(ms) * 1_000n : undefined
  // Window arithmetic stays inside BIGINT.
  return us === undefined || us > 2n ** 62n ? undefined : us
}

/** Microseconds of a duration. Throws a configuration error that names `field`. */
export function durationUs(value: string, field: string): bigint {
  const us = parseDurationUs(value)
  if (us === undefined) throw configError(field, value, durationForms)
  return us
}

/** The same of a duration that may be negative: '-10 minutes'. Undefined for text that is none. */
export function parseSignedUs(value: string): bigint | undefined {
  if (!value.startsWith('-')) return parseDurationUs(value)
  const us = parseDurationUs(value.slice(1))
  return us === undefined ? undefined : -us
}

/** The one way to write a duration that has many: '1 hour' for '60 minutes' and '1h'. */
export function canonicalDuration(value: string, field: string): string {
  return showDuration(durationUs(value, field))
}

/** Whole milliseconds in the largest unit that leaves no rest: '1 hour', '90 minutes'. */
export function showDuration(us: bigint): string {
  const ms = us / 1_000n
  const [unit, size] = Object.entries(unitNames).find(([, size]) => ms % size === 0n) as [string, bigint]
  return `${ms / size} ${unit}${ms === size ? '' : 's'}`
}

/** A duration that may be negative, in the largest unit that makes it a whole number: '-1 hour'. '1h' is '1 hour'. */
export function durationInWords(value: string): string {
  const isNegative = value.startsWith('-')
  const size = isNegative ? value.slice(1) : value
  if (parseDurationUs(size) === 0n) return '0 seconds'
  return `${isNegative ? '-' : ''}${canonicalDuration(size, 'duration')}`
}

/** Largest first. */
const unitNames: Readonly<Record<UnitName, bigint>> = {
  day: 86_400_000n,
  hour: 3_600_000n,
  minute: 60_000n,
  second: 1_000n,
  millisecond: 1n,
}
