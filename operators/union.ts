import type { Observable } from 'rxjs'
import { callSite } from '../src/core/call-site.ts'
import { configError, MillraceError } from '../src/core/errors.ts'
import { text } from '../src/core/option-kinds.ts'
import { type OptionTable, readOptions } from '../src/core/options.ts'
import { showCounted } from '../src/core/quantity.ts'
import { type Base, parseColumnType, type Show, type Wider } from '../src/core/types.ts'
import type { ColumnsOf, MiniBatch, TimeOf } from '../src/plan/batches.ts'
import { widerType } from '../src/plan/common-type.ts'
import { checkFlow, meeting } from '../src/plan/meeting.ts'
import type { PlannedBatch } from '../src/plan/mini-batch.ts'
import { sourcesOf } from '../src/plan/node.ts'
import { type ColumnTypes, inputColumn } from '../src/plan/relation.ts'
import { id, text as literal } from '../src/plan/sql.ts'
import type { UnionStep } from '../src/plan/step.ts'
import { Stream } from '../src/plan/stream.ts'
import { checkNewName } from './columns.ts'

interface PlainOptions {
  readonly [key: string]: string | readonly string[]
}

/** What the plan has of `sourceColumn`: its name, and what stands in it for each input. */
interface SourceNames {
  readonly sourceColumn?: string
  readonly sources?: readonly string[]
}

export const unionStep: UnionStep<PlainOptions> = {
  is: 'union',
  op: 'union',
  tells(options) {
    const { sourceColumn, sources = [] } = options as SourceNames
    return sourceColumn === undefined ? [] : [`${sourceColumn} tells them apart: ${sources.join(', ')}`]
  },
  columns(inputs, options) {
    const { sourceColumn } = options as SourceNames
    const names = [...new Set(inputs.flatMap(input => Object.keys(input)))]
    for (const name of names) checkNewName('union', name, names)
    const columns = Object.fromEntries(names.map(name => [name, columnOf(name, inputs)]))
    if (sourceColumn === undefined) return columns
    checkNewName('union: sourceColumn', sourceColumn, names)
    if (names.includes(sourceColumn))
      throw configError('union: sourceColumn', sourceColumn, `a name that no column has; here: ${names.join(', ')}`)
    return { ...columns, [sourceColumn]: 'VARCHAR NOT NULL' }
  },
  items(input, columns, index, options) {
    const { sourceColumn, sources } = options as SourceNames
    return Object.entries(columns).map(([name, declared]) => {
      if (name === sourceColumn) return `CAST(${literal(sources?.[index] ?? '')} AS VARCHAR) AS ${id(name)}`
      const type = parseColumnType(declared, name).sql
      if (!Object.hasOwn(input, name)) return `CAST(NULL AS ${type}) AS ${id(name)}`
      return parseColumnType(input[name] as string, name).sql === type
        ? inputColumn(name)
        : `CAST(${inputColumn(name)} AS ${type}) AS ${id(name)}`
    })
  },
}

/** One column of the union: of the widest type, and NOT NULL only where it is so everywhere. */
function columnOf(name: string, inputs: readonly ColumnTypes[]): string {
  const found = inputs.flatMap((input, index) =>
    Object.hasOwn(input, name) ? [{ place: index + 1, type: parseColumnType(input[name] as string, name) }] : [],
  )
  const missing = inputs.findIndex(input => !Object.hasOwn(input, name))
  const strict = found.find(({ type }) => !type.nullable)
  if (missing >= 0 && strict)
    throw misfit(
      `input ${missing + 1} has no column '${name}', which is ${strict.type.sql} NOT NULL in input ${strict.place}; ` +
        'derive it there, or declare it so that it may be NULL',
    )
  let type = found[0]?.type.sql ?? ''
  for (const { place, type: own } of found) {
    const wider = widerType(type, own.sql)
    if (wider === null)
      throw misfit(
        `column '${name}' is ${type} before input ${place} and ${own.sql} there; ` +
          'expected one type, or numbers or times of which one holds the other. Derive it in one of the inputs',
      )
    type = wider
  }
  return found.every(({ type: { nullable } }) => !nullable) ? `${type} NOT NULL` : type
}

function misfit(what: string): MillraceError {
  return new MillraceError('user', 'plan', `union: ${what}.`)
}

export interface UnionOptions<N extends string = string> {
  /** Adds a column of this name: the name of the source that a row came from. */
  readonly sourceColumn: N
}

const unionOptions = {
  sourceColumn: {
    kind: text('the name of a new column'),
    isRequired: true,
    about: 'Adds a column of this name: the name of the source that a row came from.',
  },
} satisfies OptionTable<UnionOptions>

type Flow = Observable<MiniBatch<unknown, unknown>>
type Flows = readonly [Flow, ...Flow[]]
type BatchOf<F> = F extends Observable<infer B> ? B : never

/** The columns of two inputs, by name. */
type Both<A, B> = {
  [K in keyof A | keyof B]: K extends keyof A
    ? K extends keyof B
      ? Wider<A[K], B[K]>
      : Base<A[K]>
    : K extends keyof B
      ? Base<B[K]>
      : never
}
type UnionColumns<F, C> = F extends readonly [infer A, ...infer R] ? UnionColumns<R, Both<C, ColumnsOf<BatchOf<A>>>> : C

/** Nothing, or what is wrong with a second input beside the first one. */
type Fits<A, B> = [TimeOf<B>] extends [TimeOf<A>]
  ? [Misfits<ColumnsOf<A>, ColumnsOf<B>>] extends [never]
    ? unknown
    : Misfits<ColumnsOf<A>, ColumnsOf<B>>
  : 'the event times of the inputs must be of one type'
type Misfits<A, B> = {
  [K in keyof A & keyof B & string]: [Wider<A[K], B[K]>] extends [never]
    ? `column "${K}" is ${A[K] & string} in the first input and ${B[K] & string} here`
    : never
}[keyof A & keyof B & string]

/**
 * The rows of several flows as one: of several sources, or of branches of one.
 *
 *     union(green, yellow).pipe(tumbling('1 hour'), groupBy('zone'), aggregate({ trips: count() }))
 *
 * Columns go by name. One that an input lacks is NULL in its rows, so it may not be NOT NULL in the others. Types must
 * be equal, or numbers or times of which one holds the other: INTEGER beside BIGINT makes BIGINT, BIGINT beside DOUBLE
 * makes DOUBLE, DATE beside TIMESTAMP makes TIMESTAMP. The event time of each is that of its source, whatever its
 * column is called; all are of one type. The watermark is the lowest one of the inputs, and judges the rows of all.
 *
 * @param flows Two or more. Options may follow: `sourceColumn` adds a column with the name of each row's source.
 * @throws MillraceError `user` for columns or event times that do not go together.
 */
export function union<A, B, TA, TB>(
  first: Observable<MiniBatch<A, TA>>,
  second: Observable<MiniBatch<B, TB>> & Fits<MiniBatch<A, TA>, MiniBatch<B, TB>>,
): Stream<MiniBatch<Show<Both<A, B>>, TA>>
export function union<A, B, TA, TB, const N extends string>(
  first: Observable<MiniBatch<A, TA>>,
  second: Observable<MiniBatch<B, TB>> & Fits<MiniBatch<A, TA>, MiniBatch<B, TB>>,
  options: UnionOptions<N>,
): Stream<MiniBatch<Show<Both<A, B> & { [K in N]: 'VARCHAR NOT NULL' }>, TA>>
export function union<A, B, TA, TB, const F extends Flows>(
  first: Observable<MiniBatch<A, TA>>,
  second: Observable<MiniBatch<B, TB>> & Fits<MiniBatch<A, TA>, MiniBatch<B, TB>>,
  ...others: F
): Stream<MiniBatch<Show<UnionColumns<F, Both<A, B>>>, TA>>
export function union(...given: readonly unknown[]): Stream<MiniBatch<unknown, unknown>> {
  const last = given.at(-1)
  const hasOptions = typeof last === 'object' && last !== null && !Array.isArray(last) && !('subscribe' in last)
  const options = hasOptions ? readOptions('union', unionOptions, last) : undefined
  const flows = hasOptions ? given.slice(0, -1) : given
  if (Array.isArray(given[0])) throw configError('union', 'a list', 'flows one after the other: union(green, yellow)')
  if (flows.length < 2)
    throw configError(
      'union',
      showCounted(flows.length, 'flow'),
      'two flows or more: union(green, yellow). It begins a flow and is no step of one, so for ' +
        'green.pipe(union(yellow)) write union(green, yellow).pipe(...)',
    )
  for (const [index, flow] of flows.entries())
    checkFlow(`union: input ${index + 1}`, flow, 'a source, or a flow that goes on from one')
  const at = callSite()
  const batches = meeting(
    'union',
    flows as readonly Observable<unknown>[],
    (first, others) => first.meet(unionStep, planned(options, [first, ...others]), others, at),
    at,
  )
  return new Stream(subscriber => batches.subscribe(subscriber as never))
}

function planned(options: UnionOptions | undefined, inputs: readonly PlannedBatch[]): PlainOptions {
  if (!options) return {}
  const sources = inputs.map(({ node }, index) => {
    const [source, ...others] = sourcesOf(node)
    if (source && others.length === 0) return source.name
    throw misfit(`sourceColumn: input ${index + 1} has rows of several sources; give the column to the unions inside`)
  })
  return { sourceColumn: options.sourceColumn, sources }
}
