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
  if (Array.isArray(value)) return `(${value.map(item => itemText(item, what)).join(', ')})`
  return noForm(`${what} has no form in WITH`)
}

function itemText(item: unknown, what: string): string {
  if (!isOptions(item)) return Array.isArray(item) ? noForm(`${what} has no form in WITH`) : valueText(item, what)
  const named = Object.entries(item).filter(([, value]) => value !== undefined)
  return `{${named.map(([name, value]) => `${text(name)}: ${valueText(value, `${what}: ${name}`)}`).join(', ')}}`
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
