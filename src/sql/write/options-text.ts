import { canonicalDuration } from '../../core/duration.ts'
import { text } from '../../plan/sql.ts'
import { noForm } from './no-sql-form.ts'

/** `name = value` of WITH, of values as a factory takes them; what is undefined is left out. */
export function optionTexts(values: Readonly<Record<string, unknown>>, what: string, prefix = ''): readonly string[] {
  return Object.entries(values).flatMap(([name, value]) => {
    const path = `${prefix}${name}`
    if (value === undefined) return []
    if (isOptions(value)) return optionTexts(value, what, `${path}.`)
    return [`${/^[A-Za-z_]\w*$/.test(path) ? path : text(path)} = ${valueText(value, `${what}: ${path}`)}`]
  })
}

function isOptions(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function valueText(value: unknown, what: string): string {
  if (typeof value === 'number' || typeof value === 'boolean') return String(value)
  if (typeof value === 'string' && !/[\0]/.test(value)) return text(value.replaceAll('${', '$${'))
  const isList = Array.isArray(value) && value.every(item => typeof item === 'string' && !item.includes(','))
  if (isList) return `(${(value as readonly string[]).map(item => text(item)).join(', ')})`
  return noForm(`${what} has no form in WITH`)
}

/** `WITH (...)`, an option a line. */
export function withText(options: readonly string[]): string {
  return options.length === 0 ? '' : ` WITH (\n  ${options.join(',\n  ')}\n)`
}

/** A length of microseconds as SQL has it. */
export function intervalOfUs(us: bigint | string): string {
  return intervalText(`${BigInt(us) / 1_000n} ms`)
}

export function intervalText(duration: string): string {
  return `INTERVAL ${text(canonicalDuration(duration, 'duration'))}`
}
