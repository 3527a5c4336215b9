import { MillraceError } from '../core/errors.ts'
import { describeProblem, type OptionTable, type OptionText, type Problem, valuesOfTexts } from '../core/options.ts'
import type { Catalog } from './catalog.ts'
import type { Reader } from './reader.ts'
import { type SqlFile, sqlError, siteOf } from './sql-error.ts'
import { isToken } from './tokens.ts'

/** One `name = value` of WITH. */
export interface WithOption {
  readonly value: OptionText
  /** As it is written, variables of the environment not put in. */
  readonly written: OptionText
  /** Where the name stands. */
  readonly at: number
}

/** Name, with dots below others, to value. */
export type WithOptions = ReadonlyMap<string, WithOption>

const form = "options such as WITH (format = 'parquet', 'watermark.idle' = '5 minutes')"

/** Reads `WITH (name = value, ...)`; nothing where it is not there. Variables are put in here, when all is parsed. */
export function readWith(
  reader: Reader,
  catalog: Pick<Catalog, 'environment' | 'onVariable' | 'secrets'>,
): WithOptions {
  const options = new Map<string, WithOption>()
  if (!reader.take('WITH')) return options
  reader.expect('(', `( and ${form}`)
  while (!reader.take(')')) {
    const name = reader.peek().is === 'text' ? reader.next() : reader.name(`the name of an option, as in ${form}`)
    if (options.has(name.value))
      throw sqlError(reader.file, name.from, `option ${name.value} is given twice; expected once.`)
    reader.expect('=', `= and a value behind ${name.value}`)
    const written = readValue(reader)
    options.set(name.value, { value: putInAll(written, reader.file, name.from, catalog), written, at: name.from })
    if (!reader.isAt(')')) reader.expect(',', ', or ) behind an option')
  }
  return options
}

/** A text, a number, true, false, or a list of them in brackets; an item may have names in braces, as in DuckDB. */
function readValue(reader: Reader): OptionText {
  if (!reader.take('(')) return readText(reader, "a value: 'text', a number, true, false, or a list such as ('a', 'b')")
  const items: OptionText[] = []
  while (!reader.take(')')) {
    items.push(
      reader.take('{') ? readNamed(reader) : readText(reader, "an item: 'text', a number or {'day': 'column'}"),
    )
    if (!reader.isAt(')')) reader.expect(',', ', or ) behind an item')
  }
  return items
}

/** `'day': 'window_start'}`, the brace before it read. */
function readNamed(reader: Reader): OptionText {
  const texts = new Map<string, string>()
  while (!reader.take('}')) {
    const name = reader.peek().is === 'text' ? reader.next() : reader.name("a name, as in {'day': 'column'}")
    if (texts.has(name.value)) throw sqlError(reader.file, name.from, `'${name.value}' is given twice; expected once.`)
    reader.expect(':', `: and a value behind '${name.value}'`)
    texts.set(name.value, readText(reader, `a value behind '${name.value}', such as 'column'`))
    if (!reader.isAt('}')) reader.expect(',', ', or } behind a value')
  }
  return Object.fromEntries(texts)
}

function readText(reader: Reader, expected: string): string {
  const sign = reader.take('-') ? '-' : ''
  const token = reader.peek()
  const isValue =
    token.is === 'number' || (sign === '' && (token.is === 'text' || isToken(token, 'TRUE') || isToken(token, 'FALSE')))
  if (!isValue) reader.fail(expected)
  reader.next()
  return token.is === 'word' ? token.value.toLowerCase() : sign + token.value
}

/** As `putIn`, in each text. */
function putInAll(written: OptionText, ...rest: readonly [SqlFile, number, Parameters<typeof putIn>[3]]): OptionText {
  if (typeof written === 'string') return putIn(written, ...rest)
  if (Array.isArray(written)) return written.map(item => putInAll(item, ...rest))
  return Object.fromEntries(Object.entries(written).map(([name, text]) => [name, putInAll(text, ...rest)]))
}

/** Puts variables in: `${BUCKET}`; `$${` is `${` itself. What they hold is a secret from then on. */
function putIn(
  written: string,
  file: SqlFile,
  at: number,
  { environment, onVariable, secrets }: Pick<Catalog, 'environment' | 'onVariable' | 'secrets'>,
): string {
  return written.replace(/\$?\$\{([^}]*)\}?/g, (whole, name: string) => {
    if (whole.startsWith('$$')) return whole.slice(1)
    if (!/^[A-Za-z_]\w*$/.test(name) || !whole.endsWith('}'))
      throw sqlError(
        file,
        at,
        `'${whole}' names no variable of the environment; expected \${NAME}, or $\${ for \${ itself.`,
      )
    const value = environment[name]
    if (value === undefined)
      throw sqlError(
        file,
        at,
        `the environment has no variable ${name}; expected it to be set, as in ${name}=... millrace run.`,
      )
    secrets.set(name, value)
    onVariable?.(name, value)
    return value
  })
}

/** What the options of a table say, checked by it. @throws MillraceError `user` at the option that is wrong */
export function valuesOf(
  file: SqlFile,
  at: { readonly what: string; readonly from: number },
  table: OptionTable,
  options: WithOptions,
): Readonly<Record<string, unknown>> {
  const texts = Object.fromEntries([...options].map(([name, { value }]) => [name, value]))
  const read = valuesOfTexts(table, texts)
  if (!('problem' in read)) return read.values
  throw optionProblem(file, at, read.problem, options)
}

/** A mistake in options, at the option. */
export function optionProblem(
  file: SqlFile,
  { what, from }: { readonly what: string; readonly from: number },
  problem: Problem,
  options: WithOptions,
): MillraceError {
  const { path } = problem
  const found = options.get(path) ?? [...options].find(([name]) => name.startsWith(`${path}.`))?.[1]
  return sqlError(file, found?.at ?? from, `${what}: ${describeProblem(problem)}`)
}

/** Calls a factory; what it refuses is told at the option that it names, or at the statement. */
export function called<T>(file: SqlFile, from: number, options: WithOptions, call: () => T): T {
  try {
    return call()
  } catch (error) {
    if (!(error instanceof MillraceError) || error.kind !== 'user') throw error
    const [, field = ''] = /^[^:]+: ([\w.]+)[:[ ]/.exec(error.message) ?? []
    const at = [...options].find(
      ([name]) => name === field || name.endsWith(`.${field}`) || field.endsWith(`.${name}`),
    )?.[1].at
    throw new MillraceError(error.kind, error.code, error.message, error.cause, siteOf(file, at ?? from))
  }
}

/** The options whose names begin with `prefix.`, without it. */
export function optionsBelow(prefix: string, options: WithOptions): WithOptions {
  return new Map(
    [...options].flatMap(([name, option]) =>
      name.startsWith(`${prefix}.`) ? [[name.slice(prefix.length + 1), option] as const] : [],
    ),
  )
}

/** The options without those of one name and below it. */
export function optionsWithout(prefix: string, options: WithOptions): WithOptions {
  return new Map([...options].filter(([name]) => name !== prefix && !name.startsWith(`${prefix}.`)))
}
