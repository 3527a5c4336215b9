import type { Reader } from './reader.ts'
import { sqlError } from './sql-error.ts'
import type { Token } from './tokens.ts'

const unitMs: readonly (readonly [RegExp, number])[] = [
  [/^(ms|milliseconds?|msecs?)$/, 1],
  [/^(s|seconds?|secs?)$/, 1_000],
  [/^(m|minutes?|mins?)$/, 60_000],
  [/^(h|hours?|hrs?)$/, 3_600_000],
  [/^(d|days?)$/, 86_400_000],
]
const names: readonly (readonly [string, number])[] = [
  ['day', 86_400_000],
  ['hour', 3_600_000],
  ['minute', 60_000],
  ['second', 1_000],
  ['millisecond', 1],
]

export const intervalForm = "an interval such as INTERVAL '1 hour'"

/** Reads `INTERVAL '1 hour'`, `INTERVAL '90' MINUTE` or `INTERVAL 90 MINUTE`, as durations are written elsewhere. */
export function readInterval(reader: Reader): string {
  reader.expect('INTERVAL', intervalForm)
  const value = reader.peek()
  if (value.is !== 'text' && value.is !== 'number')
    reader.fail(`a text or a number behind INTERVAL, as in ${intervalForm}`)
  reader.next()
  const unit = reader.peek()
  const isUnit = /^\s*\d+\s*$/.test(value.value) && unit.is === 'word'
  if (isUnit) reader.next()
  return durationOf(reader, value, isUnit ? `${value.value} ${unit.value}` : value.value)
}

function durationOf(reader: Reader, token: Token, text: string): string {
  const parts = [...text.toLowerCase().matchAll(/\s*(\d+)\s*([a-z]+)/gy)]
  const read = parts.map(part => part[0]).join('')
  const longer = parts.map(([, , unit = '']) => /^(weeks?|months?|quarters?|years?)$/.exec(unit)?.[0]).find(Boolean)
  if (longer !== undefined)
    throw sqlError(
      reader.file,
      token.from,
      `a ${longer.replace(/s$/, '')} is a period of the calendar; expected a length that is always the same, such as ` +
        `INTERVAL '7 days', or a window of the calendar: CALENDAR(trips, '${longer.replace(/s$/, '')}').`,
    )
  const sizes = parts.map(([, , unit = '']) => unitMs.find(([pattern]) => pattern.test(unit))?.[1])
  if (parts.length === 0 || read.length !== text.trimEnd().length || sizes.includes(undefined))
    throw sqlError(
      reader.file,
      token.from,
      'this is no interval that millrace reads; expected whole numbers of days, hours, minutes, seconds or ' +
        "milliseconds, such as INTERVAL '1 hour 30 minutes'.",
    )
  const ms = parts.reduce((sum, [, count], index) => sum + BigInt(count as string) * BigInt(sizes[index] as number), 0n)
  const [name, size] = names.find(([, each]) => ms % BigInt(each) === 0n) as readonly [string, number]
  const count = ms / BigInt(size)
  return `${count} ${name}${count === 1n ? '' : 's'}`
}
