import { configError } from '../src/core/errors.ts'
import type { Json } from '../src/core/json.ts'
import { either, given, list, text, whole } from '../src/core/option-kinds.ts'
import { type OptionTable, readCall } from '../src/core/options.ts'
import { parseColumnType, type Show } from '../src/core/types.ts'
import { type ColumnsOf, type MiniBatch, type OfRows, type Operator, step, type TimeOf } from '../src/plan/batches.ts'
import { normalKey } from '../src/plan/normal-key.ts'
import { type ColumnTypes, inputAlias, inputColumn, orderOf, type Relation, timeOf } from '../src/plan/relation.ts'
import { watermarkColumn } from '../src/plan/relation.ts'
import { id } from '../src/plan/sql.ts'
import type { StatelessStep } from '../src/plan/step.ts'
import { checkNewName, columnType, perTold } from './columns.ts'

type Direction = 'asc' | 'desc'
/** What rows are ordered by: a column, from its least value on, or from its largest. */
export type TopNOrder<K extends string = string> = K | readonly [K, Direction]

interface PlainOptions {
  readonly [key: string]: Json
  readonly n: number
  readonly by: readonly TopNOrder[]
  readonly per: readonly string[]
}

const rankName = 'rank'
/** Hidden column: the row's place among all that a topN gives. */
const placeColumn = '_place'

/**
 * The rows of one window come in one epoch, at one place of the ledger and with one event time, whatever `where` and
 * the like have left of them. So ranks are a window function over that time, and nothing is kept.
 */
export const topNStep: StatelessStep<PlainOptions> = {
  is: 'stateless',
  op: 'topN',
  tells: ({ n, by, per }) => [
    `${n} by ${by.map(item => (typeof item === 'string' ? item : item.join(' '))).join(', ')}${perTold(per)}`,
  ],
  unit: 'window',
  carries: column => column,
  columns(input, { by, per }) {
    for (const name of per) columnType('topN: per', name, input)
    checkDirections(by, input)
    for (const item of by) orderedType(columnOf(item), input)
    if (Object.hasOwn(input, rankName))
      throw configError('topN', rankName, `rows without a '${rankName}' of their own; rename that first`)
    checkNewName('topN', rankName, Object.keys(input))
    return { ...input, [rankName]: 'BIGINT NOT NULL' }
  },
  expressions: () => [],
  // Groups are a set of columns.
  canonical: ({ n, by, per }) => ({
    n,
    by: by.map(item => [columnOf(item), directionOf(item)]),
    per: per.toSorted(),
  }),
  hidden: input =>
    isGivenOut(input) ? [placeColumn, ...input.hidden.filter(name => name !== placeColumn)] : input.hidden,
  sql(input, { n, by, per }) {
    const key = (name: string) =>
      normalKey(inputColumn(name), parseColumnType(columnType('topN', name, input.columns), name))
    const groups = [timeOf(input), ...per.map(key)]
    const order = [
      ...by.map(item => `${key(columnOf(item))} ${directionOf(item)} NULLS LAST`),
      ...orderOf(input).map(name => `${inputColumn(name)} NULLS LAST`),
    ]
    const alias = id(inputAlias)
    const rank = `row_number() OVER (PARTITION BY ${groups.join(', ')} ORDER BY ${order.join(', ')})`
    const top =
      `SELECT * FROM (SELECT ${alias}.*, ${rank} AS ${id(rankName)} FROM (${input.sql}) AS ${alias}) ` +
      `WHERE ${id(rankName)} <= ${n}`
    const places = [...groups.map(group => `${group} NULLS LAST`), inputColumn(rankName)]
    const items = [
      ...(isGivenOut(input) ? [`row_number() OVER (ORDER BY ${places.join(', ')}) AS ${placeColumn}`] : []),
      ...input.hidden.filter(name => name !== placeColumn).map(inputColumn),
      ...[...Object.keys(input.columns), rankName].map(inputColumn),
    ]
    return `SELECT ${items.join(', ')} FROM (${top}) AS ${alias}`
  },
}

/** Rows that end their flow come by rank. On their way to another stage they keep their places in the ledger. */
function isGivenOut({ hidden }: Pick<Relation, 'hidden'>): boolean {
  return !hidden.includes(watermarkColumn)
}

function columnOf(item: TopNOrder): string {
  return typeof item === 'string' ? item : item[0]
}

function directionOf(item: TopNOrder): Direction {
  return typeof item === 'string' ? 'asc' : item[1]
}

/** Refuses `by: ['trips', 'desc']`, where the direction stands beside its column and not with it. */
function checkDirections(by: readonly TopNOrder[], input: ColumnTypes): void {
  const place = by.findIndex(item => (item === 'asc' || item === 'desc') && !Object.hasOwn(input, item))
  const before = by[place - 1]
  if (before === undefined) return
  const [column, direction] = [columnOf(before), String(by[place])]
  throw configError(
    'topN: by',
    by,
    `a direction with its column: by: [['${column}', '${direction}']]; no column is called '${direction}'`,
  )
}

function orderedType(column: string, input: ColumnTypes): void {
  const { name, list: isList } = parseColumnType(columnType('topN: by', column, input), column)
  if (isList || name === 'JSON')
    throw configError('topN: by', column, 'a column whose values have an order, so no list and no JSON')
}

/** Which rows of a window are its first. */
export interface TopNOptions<K extends string = string, P extends string = string> {
  /** Columns by which rows are ordered, each with its direction: `[['trips', 'desc'], 'zone']`. Default: 'asc'. */
  readonly by: readonly [TopNOrder<K>, ...TopNOrder<K>[]]
  /** Rows of equal values in these columns are ranked by themselves. Default: all rows of a window together. */
  readonly per?: readonly P[]
}

const ordered = given<readonly [string, Direction]>(
  "['column', 'asc' or 'desc']",
  value =>
    Array.isArray(value) &&
    value.length === 2 &&
    typeof value[0] === 'string' &&
    (value[1] === 'asc' || value[1] === 'desc'),
)
const topNOptions = {
  n: { kind: whole(1), isRequired: true, isPositional: true, about: 'How many rows of each window stay, at most.' },
  by: {
    kind: list(
      either(text('the name of a column'), ordered),
      "a list of names of columns, each alone or with its direction: [['trips', 'desc'], 'zone']",
    ),
    isRequired: true,
    about: "Columns by which rows are ordered, each with 'asc' or 'desc'; a name alone is from the least value on.",
  },
  per: {
    kind: list(text('the name of a column'), 'a list of names of columns'),
    otherwise: 'all rows of a window together',
    about: 'Rows of equal values in these columns are ranked by themselves.',
  },
} satisfies OptionTable<{
  readonly n: number
  readonly by: readonly TopNOrder[]
  readonly per?: readonly string[]
}>

/**
 * The first `n` rows of each window, by these columns: the ten busiest zones of a day.
 *
 *     trips.pipe(tumbling('1 day'), groupBy('zone'), aggregate({ trips: count() }),
 *       topN(10, { by: [['trips', 'desc'], 'zone'] }))
 *
 * Adds `rank`, BIGINT, from 1 on: no number comes twice, as rows that are equal in all of `by` are ordered by the keys
 * of `groupBy`. NULLs come last, NaN is the largest value and -0.0 is 0.0. It keeps no state and gives rows when the
 * aggregate before it does.
 *
 * @param n How many rows of each window stay, at most; of each group of `per`, where that is given.
 * @throws MillraceError `user` for an unknown column, and where no aggregate comes before, or one of sessions.
 */
export function topN<
  I,
  const K extends keyof ColumnsOf<I> & string,
  const P extends keyof ColumnsOf<I> & string = never,
>(
  n: number,
  options: OfRows<I, TopNOptions<K, P>>,
): Operator<I, MiniBatch<Show<ColumnsOf<I> & { rank: 'BIGINT NOT NULL' }>, TimeOf<I>>> {
  const { by, per = [], ...read } = readCall('topN', topNOptions, [n], options)
  for (const [field, found] of [
    ['topN: by', by.map(columnOf)],
    ['topN: per', per],
  ] as const)
    if (new Set(found).size < found.length) throw configError(field, found, 'each column once')
  return step(topNStep, { n: read.n, by, per })
}
