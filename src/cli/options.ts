import { parseArgs } from 'node:util'
import { MillraceError } from '../core/errors.ts'
import { showCount } from '../core/quantity.ts'
import { nearestName } from '../core/nearest.ts'
import { flag, list, text } from '../core/option-kinds.ts'
import {
  describeProblem,
  type Kind,
  type Option,
  type OptionTable,
  type ValueOf,
  valuesOfTexts,
} from '../core/options.ts'

/** What a command line gave: no key for an option that it did not. Positional ones that are required are there. */
export type Arguments<T> = 0 extends 1 & T
  ? any
  : { readonly [K in keyof T as T[K] extends { readonly isRequired: true } ? K : never]: ValueOf<T[K]> } & {
      readonly [K in keyof T as T[K] extends { readonly isRequired: true } ? never : K]?: GivenOf<T[K]>
    }
type GivenOf<D> = D extends { readonly isRepeated: true } ? readonly ValueOf<D>[] : ValueOf<D>

/**
 * Reads a command's arguments by the table of its options: `--objects-per-epoch N` is `objectsPerEpoch`, a flag has no
 * value, and positional ones stand by themselves, in order.
 */
export function readArguments<const T extends OptionTable>(
  command: string,
  table: T,
  args: readonly string[],
): Arguments<T> {
  // The table's own shape is for the caller: here it is any table.
  const options: OptionTable = table
  const names = new Map(
    Object.keys(options).flatMap(name => (options[name]?.isPositional ? [] : [[flagName(name), name] as const])),
  )
  const { tokens } = parseArgs({
    args: [...args],
    // Not strict: its messages know no nearest name.
    strict: false,
    tokens: true,
    options: Object.fromEntries(
      [...names].map(([shown, name]) => {
        const { short } = options[name] as Option<unknown>
        return [shown, { type: takesValue(options[name]) ? 'string' : 'boolean', ...(short && { short }) }]
      }),
    ),
  })
  const positionals: string[] = []
  const texts: Record<string, string> = {}
  const lists: Record<string, string[]> = {}
  for (const token of tokens) {
    if (token.kind === 'positional') positionals.push(token.value)
    if (token.kind !== 'option') continue
    const name = names.get(token.name)
    if (name === undefined || !isNamed(token, options[name])) throw unknownOption(command, token, [...names.keys()])
    const given = textOf(command, options[name] as Option<unknown>, token)
    if (options[name]?.isRepeated) (lists[name] ??= []).push(given)
    else if (Object.hasOwn(texts, name)) throw usageError(command, `--${token.name} is given twice; expected once.`)
    else texts[name] = given
  }
  Object.assign(texts, positionalTexts(command, options, positionals))
  const repeated = Object.entries(lists).map(
    ([name, all]) => [name, all.map(one => readTexts(command, options, { [name]: one })[name])] as const,
  )
  return { ...readTexts(command, options, texts), ...Object.fromEntries(repeated) } as Arguments<T>
}

/** Whether an option stands there as it is called: `--output`, or `-o` where it has that too. */
function isNamed({ rawName }: OptionToken, option: Option<unknown> | undefined): boolean {
  return rawName.startsWith('--') || rawName === `-${option?.short}`
}

function readTexts(
  command: string,
  options: OptionTable,
  texts: Readonly<Record<string, string>>,
): Readonly<Record<string, unknown>> {
  const read = valuesOfTexts(options, texts)
  if (!('problem' in read)) return read.values
  const { path } = read.problem
  const shown = options[path]?.isPositional ? placeholderOf(options[path]) : `--${flagName(path)}`
  throw usageError(command, describeProblem({ ...read.problem, path: shown }))
}

interface OptionToken {
  readonly name: string
  readonly rawName: string
  readonly value?: string | undefined
  readonly inlineValue?: boolean | undefined
}

function unknownOption(command: string, token: OptionToken, names: readonly string[]): MillraceError {
  const near = nearestName(token.name, names)
  return usageError(command, `unknown option ${token.rawName}${near ? `; did you mean --${near}?` : '.'}`)
}

function textOf(command: string, option: Option<unknown>, { name, value, inlineValue }: OptionToken): string {
  if (!takesValue(option)) {
    if (value !== undefined) throw usageError(command, `--${name}: takes no value, found '${value}'.`)
    return 'true'
  }
  // An option in the place of a value is a value forgotten; `--name=--text` says it on purpose.
  if (value === undefined || (!inlineValue && value.startsWith('--')))
    throw usageError(command, `--${name}: the value is missing; expected --${name} ${placeholderOf(option)}.`)
  return value
}

function positionalTexts(command: string, table: OptionTable, given: readonly string[]): Record<string, string> {
  const expected = Object.entries(table).filter(([, option]) => option.isPositional)
  const missing = expected.find(([, option], at) => option.isRequired && at >= given.length)
  if (missing)
    throw usageError(command, `${placeholderOf(missing[1])} is missing; expected ${missing[1].kind.expected}.`)
  const extra = given[expected.length]
  if (extra !== undefined)
    throw usageError(
      command,
      `found '${extra}' ` +
        `${expected.length === 0 ? 'where no argument is' : `after '${given[expected.length - 1]}'`}; ` +
        `expected ${usageOf(command, table)}.`,
    )
  return Object.fromEntries(given.map((value, at) => [expected[at]?.[0] ?? '', value]))
}

export function usageError(command: string, problem: string): MillraceError {
  return new MillraceError('user', 'usage', `${command}: ${problem} See 'millrace ${command} --help'.`)
}

/** 'millrace sql CHECKPOINT QUERY [OPTIONS]' */
export function usageOf(command: string, table: OptionTable): string {
  const positional = Object.values(table).filter(({ isPositional }) => isPositional)
  return ['millrace', command, ...positional.map(placeholderOf), '[OPTIONS]'].join(' ')
}

/** Columns of a help text. */
const helpColumns = 100

/** The options as lines of a help text. */
export function renderOptions(table: OptionTable): string {
  const options = Object.entries(table).filter(([, { isPositional }]) => !isPositional)
  const left = options.map(([name, option]) => {
    const value = takesValue(option) ? ` ${placeholderOf(option)}` : ''
    return `  ${option.short ? `-${option.short}, ` : ''}--${flagName(name)}${value}`
  })
  const width = Math.max(...left.map(shown => shown.length)) + 2
  return options
    .map(([, option], at) => {
      const lines = wrap(`${option.about}${defaultOf(option)}`, helpColumns - width)
      return `${(left[at] as string).padEnd(width)}${lines.join(`\n${' '.repeat(width)}`)}`
    })
    .join('\n')
}

function defaultOf({ otherwise, default: value, unit, kind }: Option<unknown>): string {
  if (otherwise !== undefined) return ` Default: ${otherwise}.`
  if (value === undefined || kind === flag) return ''
  const shown = typeof value === 'number' ? showCount(value) : typeof value === 'string' ? value : JSON.stringify(value)
  return ` Default: ${shown}${unit ? ` ${unit}` : ''}.`
}

function wrap(sentences: string, columns: number): readonly string[] {
  const lines = ['']
  for (const word of sentences.split(' ')) {
    const line = lines.at(-1) as string
    if (line !== '' && line.length + 1 + word.length > columns) lines.push(word)
    else lines[lines.length - 1] = line === '' ? word : `${line} ${word}`
  }
  return lines
}

function takesValue(option: Option<unknown> | undefined): boolean {
  return option !== undefined && option.kind !== flag
}

function placeholderOf({ placeholder, kind }: Option<unknown>): string {
  return placeholder ?? kind.placeholder ?? 'VALUE'
}

/** 'objectsPerEpoch' as 'objects-per-epoch'. */
export function flagName(name: string): string {
  return name.replace(/[A-Z]/g, letter => `-${letter.toLowerCase()}`)
}

// Options that several commands have.

export const pipelineArgument = {
  kind: text('a pipeline file, such as pipeline.ts'),
  isRequired: true,
  isPositional: true,
  placeholder: 'PIPELINE.ts',
  about: 'The file whose default export is the pipeline.',
} as const

export const checkpointArgument = {
  kind: text('the folder or address of a checkpoint'),
  isRequired: true,
  isPositional: true,
  placeholder: 'CHECKPOINT',
  about: 'The checkpoint that is read.',
} as const

export const jsonOption = { kind: flag, about: 'Print one line of JSON instead.' } as const

/** Where a server listens: '127.0.0.1:9464', 'localhost:9464', '[::1]:9464'; port 0 is any free one. */
export const listenAddress: Kind<{ readonly host: string; readonly port: number }> = {
  expected: "HOST:PORT, such as '127.0.0.1:9464' or '0.0.0.0:9464'",
  placeholder: 'HOST:PORT',
  problemOf: () => undefined,
  fromText(given) {
    const [, bracketed, plain, port] = /^(?:\[([0-9A-Fa-f:.]+)\]|([^:\s/[\]]+)):(\d{1,5})$/.exec(given) ?? []
    const host = bracketed ?? plain
    return host === undefined || Number(port) > 65_535 ? undefined : { host, port: Number(port) }
  },
}

const hostNamesForm = "names with commas between them, such as 'millrace.example,metrics'"
/** Names of hosts, as a Host header has them. */
export const hostNames = list(
  text(hostNamesForm, name => /^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$/.test(name), 'NAME'),
  hostNamesForm,
)

/** A file, and the name that it gets: 'zones=zones.csv'. */
export const namedFile: Kind<{ readonly name: string; readonly file: string }> = {
  expected: "NAME=FILE, such as 'zones=zones.csv'",
  placeholder: 'NAME=FILE',
  problemOf: () => undefined,
  fromText(given) {
    const parts = nameAndValue(given)
    return parts && { name: parts.name, file: parts.value }
  },
}

/** 'zones=zones.csv' in its two parts; undefined where one is missing. */
export function nameAndValue(given: string): { readonly name: string; readonly value: string } | undefined {
  const at = given.indexOf('=')
  return at < 1 || at === given.length - 1 ? undefined : { name: given.slice(0, at), value: given.slice(at + 1) }
}
