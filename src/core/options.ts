import { MillraceError, showValue } from './errors.ts'
import { nearestName } from './nearest.ts'

// One description of the options of a factory, a call or a command: a table of names. Validation, messages, `--help`
// and reference pages read it. The interfaces that users see are written beside it, for the sake of hover texts and of
// the compiler's messages; `satisfies OptionTable<TheInterface>` holds that both agree.

/** What is written for a value outside of code: one text, or, in the WITH of SQL, several in a list or by names. */
export type OptionText = string | readonly OptionText[] | { readonly [name: string]: OptionText }

/** What values an option takes. `T` is their type in code. */
export interface Kind<in out T> {
  /** What a message says was expected: 'a whole number from 1 to 1024'. */
  readonly expected: string
  /** Stands for a value in a usage line: 'N' in `--threads N`. Absent: the name alone says it. */
  readonly placeholder?: string
  /** What is wrong with a value that code gives; undefined where nothing is. */
  problemOf(value: unknown): Problem | undefined
  /**
   * The value that a text says, on a command line or in SQL; undefined where it says none. Absent: text cannot say it.
   */
  fromText?(text: string): T | undefined
  /** The same of texts in a list or by names. Absent: one text says it. */
  fromTexts?(texts: Exclude<OptionText, string>): T | undefined
  /** Of options within options. */
  readonly table?: OptionTable
}

/** One option. */
export interface Option<T> {
  readonly kind: Kind<T>
  /** One sentence in plain English. */
  readonly about: string
  readonly isRequired?: true
  /** What is read where the option is left out. */
  readonly default?: T
  /** What is done where it is left out and that is no fixed value: 'all cores of the machine'. */
  readonly otherwise?: string
  /** Of a number: 'bytes', 'milliseconds'. */
  readonly unit?: string
  /** Given before the options object, in the order of the table: `size` of `tumbling(size)`. */
  readonly isPositional?: true
  /** On a command line it is given once for each of several values, which make a list. */
  readonly isRepeated?: true
  /** On a command line its other name, of one letter: 'o' for `-o`. */
  readonly short?: string
  /** Its value is never shown: no message, log, plan or checkpoint holds it. */
  readonly isSecret?: true
  /** In the place of the kind's own placeholder. */
  readonly placeholder?: string
}

/** The options of `O`: each name described once, required ones as such. */
export type OptionTable<O extends object = Readonly<Record<string, any>>> = string extends keyof O
  ? { readonly [name: string]: Option<any> }
  : {
      readonly [K in keyof O]-?: Option<Exclude<O[K], undefined>> &
        ({} extends Pick<O, K> ? { readonly isRequired?: never } : { readonly isRequired: true })
    }

/** The type of an option's value. */
export type ValueOf<D> = D extends { readonly kind: Kind<infer T> } ? T : never
type NameOfGiven<T> = {
  [K in keyof T]: T[K] extends { readonly isRequired: true } | { readonly default: {} | null } ? K : never
}[keyof T]

/** The values of a table's options, with their defaults; of any table anything. */
export type OptionValues<T> = 0 extends 1 & T
  ? any
  : { readonly [K in NameOfGiven<T>]: ValueOf<T[K]> } & {
      readonly [K in Exclude<keyof T, NameOfGiven<T>>]?: ValueOf<T[K]>
    }

/** Why options are refused. `path` is the option's name, below others with dots: 'watermark.delay'. */
export type Problem =
  | { readonly is: 'unknown'; readonly path: string; readonly names: readonly string[] }
  | { readonly is: 'missing'; readonly path: string; readonly expected: string }
  | {
      readonly is: 'invalid'
      readonly path: string
      readonly shown: string
      readonly expected: string
      /** Of a word of several: the one that was meant, as it seems. */
      readonly near?: string
    }

/**
 * The options of a call, checked, with the defaults of those that were left out. What is undefined is left out.
 *
 * @param at names the call in messages: 'csv', 'source trips'
 * @throws MillraceError `user` that names the call, the option, what was found and what was expected.
 */
export function readOptions<const T extends OptionTable>(at: string, table: T, given: unknown): OptionValues<T> {
  const problem = problemOfOptions(table, given)
  if (problem) throw optionError(at, problem)
  const values = Object.entries(given as object).filter(([, value]) => value !== undefined)
  const defaults = Object.entries(table).filter(([, option]) => option.default !== undefined)
  return Object.fromEntries([...defaults.map(([name, option]) => [name, option.default]), ...values]) as OptionValues<T>
}

/** As `readOptions`, for a call that takes some of its options by position: `files(uri, { format })`. */
export function readCall<const T extends OptionTable>(
  at: string,
  table: T,
  positional: readonly unknown[],
  options: unknown = {},
): OptionValues<T> {
  const isFirst = ([, option]: [string, Option<unknown>]) => option.isPositional === true
  const named = Object.fromEntries(Object.entries(table).filter(entry => !isFirst(entry)))
  if (typeof options !== 'object' || options === null || Array.isArray(options))
    throw optionError(at, invalid(options, 'an object of options', holdsSecrets(named)))
  const stranger = unknownName(named, options)
  if (stranger) throw optionError(at, stranger)
  const names = Object.keys(table).filter(name => table[name]?.isPositional)
  return readOptions(at, table, { ...options, ...Object.fromEntries(names.map((name, i) => [name, positional[i]])) })
}

/** What is wrong with an object of options; undefined where nothing is. */
export function problemOfOptions(table: OptionTable, given: unknown): Problem | undefined {
  if (typeof given !== 'object' || given === null || Array.isArray(given))
    return invalid(given, 'an object of options', holdsSecrets(table))
  const stranger = unknownName(table, given)
  if (stranger) return stranger
  for (const [name, option] of Object.entries(table)) {
    const value: unknown = Object.hasOwn(given, name) ? given[name as never] : undefined
    const problem = problemOfOption(option, value)
    if (problem) return { ...problem, path: joined(name, problem.path) }
  }
  return undefined
}

/**
 * The values that texts say: a command line's or a SQL statement's. Names of options within others have dots:
 * 'watermark.delay'. What is missing is for `readOptions` to tell.
 */
export function valuesOfTexts(
  table: OptionTable,
  texts: Readonly<Record<string, OptionText>>,
): { readonly values: Readonly<Record<string, unknown>> } | { readonly problem: Problem } {
  const values: Record<string, unknown> = {}
  for (const [path, text] of Object.entries(texts)) {
    const names = path.split('.')
    let within: OptionTable = table
    let target = values
    for (const [depth, name] of names.entries()) {
      const option = Object.hasOwn(within, name) ? within[name] : undefined
      const isLast = depth === names.length - 1
      if (option === undefined || (!isLast && option.kind.table === undefined))
        return { problem: { is: 'unknown', path: names.slice(0, depth + 1).join('.'), names: Object.keys(within) } }
      if (isLast) {
        const read = valueOfText(option, text)
        if ('problem' in read) return { problem: { ...read.problem, path } }
        target[name] = read.value
      } else {
        const inner = (target[name] ??= {})
        // `tls = true` beside `tls.ca = ...`: one of them is too much.
        if (typeof inner !== 'object')
          return { problem: { ...invalid(inner, `options of '${name}' only`), path: name } }
        target = inner as Record<string, unknown>
        within = option.kind.table ?? {}
      }
    }
  }
  return { values }
}

/** What a kind reads from a text, or from several; undefined where they say none of its values. */
export function readText<T>({ fromText, fromTexts }: Kind<T>, text: OptionText): T | undefined {
  return typeof text === 'string' ? fromText?.(text) : fromTexts?.(text)
}

/** The value that one text says, checked. */
export function valueOfText(
  { kind, isSecret }: Option<unknown>,
  text: OptionText,
): { readonly value: unknown } | { readonly problem: Problem } {
  const value = readText(kind, text)
  const problem = value === undefined ? invalid(text, kind.expected) : kind.problemOf(value)
  if (problem === undefined) return { value }
  if (problem.is !== 'invalid') return { problem }
  return { problem: isSecret ? withoutValue(problem, text) : { ...problem, path: '', shown: showValue(text) } }
}

function problemOfOption({ kind, isRequired, isSecret }: Option<unknown>, value: unknown): Problem | undefined {
  if (value === undefined) return isRequired ? { is: 'missing', path: '', expected: kind.expected } : undefined
  const problem = kind.problemOf(value)
  if (problem?.is !== 'invalid') return problem
  // Whoever writes a password in the place of an object that has one means the password.
  const mayBeSecret = isSecret === true || (problem.path === '' && kind.table !== undefined && holdsSecrets(kind.table))
  return mayBeSecret ? withoutValue(problem, value) : problem
}

/** A problem that tells nothing of the value but its type. */
function withoutValue({ path, expected }: Problem & { readonly is: 'invalid' }, value: unknown): Problem {
  return { is: 'invalid', path, shown: showType(value), expected }
}

function unknownName(table: OptionTable, given: object): Problem | undefined {
  const name = Object.keys(given).find(each => !Object.hasOwn(table, each))
  return name === undefined ? undefined : { is: 'unknown', path: name, names: Object.keys(table) }
}

/** What a kind says of a value that it does not take. */
export function invalid(value: unknown, expected: string, isSecret = false): Problem & { readonly is: 'invalid' } {
  return { is: 'invalid', path: '', shown: isSecret ? showType(value) : showValue(value), expected }
}

export function optionError(at: string, problem: Problem): MillraceError {
  return new MillraceError('user', 'configuration', `${at}: ${describeProblem(problem)}`)
}

/** A problem as one sentence or two. */
export function describeProblem(problem: Problem): string {
  const { path } = problem
  if (problem.is === 'missing') return `${path} is missing; expected ${problem.expected}.`
  if (problem.is === 'invalid')
    return (
      `${path === '' ? '' : `${path}: `}${problem.shown} is not valid; expected ${problem.expected}.` +
      (problem.near === undefined ? '' : ` Did you mean '${problem.near}'?`)
    )
  const above = path.slice(0, path.lastIndexOf('.') + 1)
  const near = nearestName(path.slice(above.length), problem.names)
  const all = problem.names.length === 0 ? 'There are no options here.' : `Options here: ${problem.names.join(', ')}.`
  return `unknown option '${path}'${near === undefined ? '.' : `; did you mean '${above}${near}'?`} ${all}`
}

function joined(name: string, path: string): string {
  return path === '' || path.startsWith('[') ? `${name}${path}` : `${name}.${path}`
}

function holdsSecrets(table: OptionTable): boolean {
  return Object.values(table).some(
    ({ isSecret, kind }) => isSecret === true || (kind.table && holdsSecrets(kind.table)),
  )
}

/** The kind of a value in the place of the value. */
function showType(value: unknown): string {
  if (value === null || value === undefined) return String(value)
  return Array.isArray(value) ? 'a list' : typeof value === 'object' ? 'an object' : `a ${typeof value}`
}
