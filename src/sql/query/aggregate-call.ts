import { nearestName } from '../../core/nearest.ts'
import { describeProblem, type Option, type OptionTable, valueOfText } from '../../core/options.ts'
import { columnName } from '../../../operators/aggregates/aggregate.ts'
import { aggregates } from '../../../operators/aggregates/registry.ts'
import { createReader } from '../reader.ts'
import { type SqlFile, sqlError } from '../sql-error.ts'
import { closingOf, isName, isToken, splitAt, type Token } from '../tokens.ts'

/** A call of an aggregate in an expression. */
export interface AggregateCallAt {
  /** The name of the registry: 'argMax'. */
  readonly aggregate: string
  /** Tokens of the expression, the first one and the one behind the last. */
  readonly from: number
  readonly to: number
  readonly tokens: readonly Token[]
  /** Its columns and expressions, by the option that takes them. */
  readonly columns: Readonly<Record<string, readonly Token[]>>
  /** Its other options. */
  readonly options: Readonly<Record<string, unknown>>
  readonly filter?: readonly Token[]
  /** `count(x)`: rows where this is not NULL. */
  readonly present?: readonly Token[]
}

/** Names of other systems, and of DuckDB where ours is another, without underscores. */
const otherNames: Readonly<Record<string, string>> = {
  approxcountdistinct: 'approxDistinct',
  approxquantile: 'quantile',
  approxtopk: 'topK',
  arrayagg: 'collect',
  every: 'boolAnd',
  groupconcat: 'listagg',
  list: 'collect',
  maxby: 'argMax',
  mean: 'avg',
  minby: 'argMin',
  quantiledisc: 'exactQuantile',
  percentiledisc: 'exactQuantile',
  stddevsamp: 'stddev',
  stringagg: 'listagg',
  varsamp: 'variance',
}

/** The registry's name of an aggregate in SQL, in any case and with or without underscores. */
export function aggregateOf(name: string): string | undefined {
  const plain = name.toLowerCase().replaceAll('_', '')
  return (
    [...aggregates.keys()].find(own => own.toLowerCase() === plain) ??
    (Object.hasOwn(otherNames, plain) ? otherNames[plain] : undefined)
  )
}

/** The calls of aggregates in an expression, from left to right. */
export function aggregateCalls(file: SqlFile, tokens: readonly Token[]): readonly AggregateCallAt[] {
  const calls: AggregateCallAt[] = []
  for (let index = 0; index < tokens.length; index++) {
    const token = tokens[index] as Token
    const aggregate =
      token.is === 'word' && isToken(tokens[index + 1], '(') && !isToken(tokens[index - 1], '.')
        ? aggregateOf(token.text)
        : undefined
    if (aggregate === undefined) continue
    const call = callAt(file, aggregate, tokens, index)
    // row_number() OVER (...) is no aggregate, and sum(x) OVER (...) is refused by the gate.
    if (isToken(tokens[call.to], 'OVER')) continue
    calls.push(call)
    index = call.to - 1
  }
  return calls
}

function callAt(file: SqlFile, aggregate: string, tokens: readonly Token[], from: number): AggregateCallAt {
  const close = closingOf(tokens, from + 1)
  const inside = tokens.slice(from + 2, close)
  let to = close + 1
  let filter: readonly Token[] | undefined
  if (isToken(tokens[to], 'FILTER') && isToken(tokens[to + 1], '(')) {
    const end = closingOf(tokens, to + 1)
    filter = tokens.slice(to + 2, end)
    if (isToken(filter[0], 'WHERE')) filter = filter.slice(1)
    to = end + 1
  }
  const shape = { from, to, tokens: tokens.slice(from, to), ...(filter && { filter }) }
  return { ...shape, ...readArguments(file, aggregate, tokens[from] as Token, inside) }
}

function readArguments(
  file: SqlFile,
  aggregate: string,
  name: Token,
  inside: readonly Token[],
): Pick<AggregateCallAt, 'aggregate' | 'columns' | 'options' | 'present'> {
  if (isToken(inside[0], 'DISTINCT')) {
    if (aggregate === 'count') return { aggregate: 'countDistinct', columns: { column: inside.slice(1) }, options: {} }
    throw sqlError(
      file,
      inside[0]?.from ?? 0,
      `${name.text}(DISTINCT ...) is not there; expected count(DISTINCT x), or collect_set(x, 100) for the values.`,
    )
  }
  const order = inside.findIndex((token, index) => isToken(token, 'ORDER') && isToken(inside[index + 1], 'BY'))
  if (order >= 0)
    throw sqlError(
      file,
      inside[order]?.from ?? 0,
      `${name.text} takes its order by name; expected ${name.text}(x, max := 100, by := y, "order" := 'descending').`,
    )
  const parts = inside.length === 0 ? [] : splitAt(',', inside)
  if (aggregate === 'count') {
    if (parts.length === 0 || (parts.length === 1 && inside.length === 1 && isToken(inside[0], '*')))
      return { aggregate, columns: {}, options: {} }
    if (parts.length === 1) return { aggregate, columns: {}, options: {}, present: inside }
  }
  return { aggregate, ...byOption(file, aggregate, name, parts) }
}

/** Arguments by the place of their options, others by name: `quantile(x, 0.95, relative_error := 0.05)`. */
function byOption(file: SqlFile, aggregate: string, name: Token, parts: readonly (readonly Token[])[]) {
  const table = (aggregates.get(aggregate)?.options ?? {}) as OptionTable
  const places = Object.keys(table).filter(option => table[option]?.isPositional)
  const columns: Record<string, readonly Token[]> = {}
  const options: Record<string, unknown> = {}
  for (const [index, part] of parts.entries()) {
    const [first, sign] = part
    const isNamed = isName(first) && (isToken(sign, ':=') || isToken(sign, '=>'))
    const option = isNamed ? optionNamed(file, name, table, first) : places[index]
    const value = isNamed ? part.slice(2) : part
    const at = (first ?? name).from
    if (option === undefined)
      throw sqlError(
        file,
        at,
        `${name.text} takes ${places.length === 0 ? 'no argument' : places.join(', ')}; expected no more, or an ` +
          `option by name.`,
      )
    const described = table[option] as Option<unknown>
    if (described.kind === columnName) columns[option] = value
    else options[option] = optionValue(file, `${name.text}: ${option}`, described, value, at)
  }
  const missing = Object.keys(table).find(
    option => table[option]?.isRequired && !(option in columns) && !(option in options),
  )
  if (missing !== undefined)
    throw sqlError(
      file,
      name.from,
      `${name.text}: ${missing} is missing; expected ` +
        `${table[missing]?.kind.expected}${places.includes(missing) ? '' : `, as ${missing} := ...`}.`,
    )
  return { columns, options }
}

function optionNamed(file: SqlFile, name: Token, table: OptionTable, asked: Token): string {
  const plain = (text: string) => text.toLowerCase().replaceAll('_', '')
  const own = Object.keys(table).filter(option => option !== 'filter')
  const found = own.find(option => plain(option) === plain(asked.value))
  if (found !== undefined) return found
  const near = nearestName(asked.value, own)
  throw sqlError(
    file,
    asked.from,
    `${name.text} has no option ${asked.value}${near === undefined ? '' : `; did you mean ${near}?`} Options ` +
      `here: ${own.join(', ')}.`,
  )
}

function optionValue(
  file: SqlFile,
  what: string,
  option: Option<unknown>,
  tokens: readonly Token[],
  at: number,
): unknown {
  const end = { is: 'end', text: '', value: '', from: at, to: at } as const
  const reader = createReader(file, tokens, end)
  const sign = reader.take('-') ? '-' : ''
  const token = reader.next()
  if (!['text', 'number', 'word'].includes(token.is) || reader.peek().is !== 'end')
    throw sqlError(file, at, `${what}: expected ${option.kind.expected}.`)
  const read = valueOfText(option, sign + token.value)
  if ('problem' in read) throw sqlError(file, at, `${what}: ${describeProblem(read.problem)}`)
  return read.value
}
