import { parseArgs } from 'node:util'
import { configError, MillraceError } from '../core/errors.ts'
import { nearestName } from '../core/nearest.ts'
import { instantUs } from '../plan/key-period.ts'

/** `--name`: present or not. */
export interface Flag {
  readonly help: string
  readonly value?: never
}

/** `--name VALUE`. `read` checks the text and throws a configuration error that names the option. */
export interface Valued<T> {
  readonly help: string
  readonly value: string
  read(text: string, option: string): T
}

export type Options = Readonly<Record<string, Flag | Valued<unknown>>>

/** What was given: no key for an option that was not. */
export type Values<O extends Options> = { readonly [K in keyof O]?: O[K] extends Valued<infer T> ? T : true }

export interface Arguments<O extends Options> {
  readonly positionals: readonly string[]
  readonly values: Values<O>
}

/** Reads a command's arguments by its table of options. */
export function readArguments<const O extends Options>(
  command: string,
  options: O,
  args: readonly string[],
): Arguments<O> {
  // The table's own shape is for the caller: here it is any table.
  const table: Options = options
  const { tokens } = parseArgs({
    args: [...args],
    // Not strict: its messages know no nearest name.
    strict: false,
    tokens: true,
    options: Object.fromEntries(
      Object.entries(table).map(([name, option]) => [name, { type: 'value' in option ? 'string' : 'boolean' }]),
    ),
  })
  const positionals: string[] = []
  const values: Record<string, unknown> = {}
  for (const token of tokens) {
    if (token.kind === 'positional') positionals.push(token.value)
    if (token.kind !== 'option') continue
    const option = Object.hasOwn(table, token.name) ? table[token.name] : undefined
    if (!option || !token.rawName.startsWith('--')) {
      const near = nearestName(token.name, Object.keys(options))
      throw usageError(command, `unknown option ${token.rawName}${near ? `; did you mean --${near}?` : '.'}`)
    }
    const name = `--${token.name}`
    if (token.name in values) throw usageError(command, `${name} is given twice; expected once.`)
    if (option.value === undefined) {
      if (token.value !== undefined) throw usageError(command, `${name}: takes no value, found '${token.value}'.`)
      values[token.name] = true
      continue
    }
    // An option in the place of a value is a value forgotten; `--name=--text` says it on purpose.
    if (token.value === undefined || (!token.inlineValue && token.value.startsWith('--')))
      throw usageError(command, `${name}: the value is missing; expected ${name} ${option.value}.`)
    values[token.name] = option.read(token.value, name)
  }
  return { positionals, values: values as Values<O> }
}

export function usageError(command: string, problem: string): MillraceError {
  return new MillraceError('user', 'usage', `${command}: ${problem} See 'millrace ${command} --help'.`)
}

/** The options as lines of a help text. */
export function renderOptions(options: Options): string {
  const left = Object.entries(options).map(
    ([name, option]) => `  --${name}${'value' in option ? ` ${option.value}` : ''}`,
  )
  const width = Math.max(...left.map(text => text.length)) + 2
  return Object.values(options)
    .map((option, i) => (left[i] as string).padEnd(width) + option.help.replaceAll('\n', `\n${' '.repeat(width)}`))
    .join('\n')
}

// Readers of values.

export function readText(text: string, option: string): string {
  if (text.trim() === '') throw configError(option, text, 'some text')
  return text
}

export function readWhole(least: number, most: number): (text: string, option: string) => number {
  return (text, option) => {
    const value = Number(text)
    if (!/^\d+$/.test(text) || value < least || value > most)
      throw configError(option, text, `a whole number from ${least} to ${most}`)
    return value
  }
}

/** A size as DuckDB reads it. */
export function readMemory(text: string, option: string): string {
  const match = /^(\d+(?:\.\d+)?) ?([KMGT]i?B)$/i.exec(text)
  if (!match || Number(match[1]) === 0) throw configError(option, text, "a size such as '512MB', '2GB' or '1.5GiB'")
  return text
}

/** A point in the keys' time: a month, a day, or ISO 8601 in UTC. */
export function readPeriod(text: string, option: string): string {
  instantUs(text, option)
  return text
}

/** One of these words. */
export function readOneOf<const T extends string>(words: readonly T[]): (text: string, option: string) => T {
  return (text, option) => {
    const found = words.find(word => word === text)
    if (found === undefined) throw configError(option, text, `one of ${words.join(', ')}`)
    return found
  }
}

/** Where a server listens: '127.0.0.1:9464', 'localhost:9464', '[::1]:9464'; port 0 is any free one. */
export function readListenAddress(text: string, option: string): { readonly host: string; readonly port: number } {
  const [, bracketed, plain, port] = /^(?:\[([0-9A-Fa-f:.]+)\]|([^:\s/[\]]+)):(\d{1,5})$/.exec(text) ?? []
  const host = bracketed ?? plain
  if (host === undefined || Number(port) > 65_535)
    throw configError(option, text, "HOST:PORT, such as '127.0.0.1:9464' or '0.0.0.0:9464'")
  return { host, port: Number(port) }
}
