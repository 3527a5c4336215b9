import type { ParsedType } from '../../src/core/types.ts'
import { normalKey } from '../../src/plan/normal-key.ts'
import { type ColumnTypes, inputColumn, type Relation, rowNumber } from '../../src/plan/relation.ts'
import { id } from '../../src/plan/sql.ts'
import type { Life } from '../../src/plan/life.ts'
import type { Channel } from '../../src/plan/step.ts'
import type { WindowAssigner } from '../../src/plan/window.ts'
import type { AggregatePlan, InputRow, Side } from './aggregate.ts'

/** What every partial row is for: a pane of event time and a group. */
export interface Grain {
  readonly windows: WindowAssigner
  /** SQL over an input row. */
  readonly timeUs: string
  readonly watermark: string
  readonly keys: readonly { readonly name: string; readonly type: ParsedType }[]
}

/** A named aggregate over a column, planned for its type. */
export interface PlannedCall {
  readonly name: string
  readonly column: string | undefined
  /** Gated SQL. */
  readonly filter: string | undefined
  readonly plan: AggregatePlan
}

/** The main table's column of an accumulator. Users' columns do not begin with '_', so a key cannot be the same. */
export function partName(call: string, accumulator: string): string {
  return `_${call}.${accumulator}`
}

const names = (grain: Grain): string[] => [...grain.windows.paneColumns, ...grain.keys.map(({ name }) => name)]

const types = (grain: Grain): (readonly [string, string])[] => [
  ...grain.windows.paneColumns.map(name => [name, 'BIGINT'] as const),
  ...grain.keys.map(({ name, type }) => [name, type.sql] as const),
]

/** What the grain's columns are for an input row. */
function places({ windows, timeUs, watermark, keys }: Grain): string[] {
  return [...windows.panes(timeUs, watermark), ...keys.map(({ name, type }) => normalKey(inputColumn(name), type))]
}

/** The grain's columns for an input row. */
function placed(grain: Grain): string[] {
  const columns = names(grain)
  return places(grain).map((sql, index) => `${sql} AS ${id(columns[index] as string)}`)
}

/**
 * The rows that are on time, as `_in`. Where windows come from the rows, each has the pane of those that are here with
 * it.
 */
function onTime({ windows, timeUs, watermark, keys }: Grain, rows: Relation): string {
  const accepted = windows.accepts(timeUs, watermark)
  if (!windows.together) return `(${rows.sql}) AS _in WHERE ${accepted}`
  const columns = [
    '_in.*',
    ...windows.paneColumns.map(name => `${timeUs} AS ${name}`),
    ...keys.map(({ name, type }, index) => `${normalKey(inputColumn(name), type)} AS _key${index}`),
  ]
  const placed = `SELECT ${columns.join(', ')} FROM (${rows.sql}) AS _in WHERE ${accepted}`
  return `(${windows.together(
    placed,
    keys.map((_, index) => `_key${index}`),
  )}) AS _in`
}

/** Partial rows, those of one window with the same pane. */
function together({ windows, keys }: Grain, partials: string): string {
  const names = keys.map(({ name }) => id(name))
  return windows.together ? windows.together(partials, names) : partials
}

/** The same where others, which are left out again, may lie between them. @param others SQL with the grain's columns */
export function togetherWith(grain: Grain, partials: string, others: string): string {
  const both =
    `SELECT *, TRUE AS _is_own FROM (${partials}) UNION ALL BY NAME ` +
    `SELECT ${names(grain).map(id).join(', ')}, FALSE AS _is_own FROM (${others})`
  return `SELECT * EXCLUDE (_is_own) FROM (${together(grain, both)}) WHERE _is_own`
}

/** @param columns of the channel */
function lifeOf(grain: Grain, columns: ColumnTypes): Life {
  const [first, last] = grain.windows.paneColumns
  const { touchUs } = grain.windows
  if (touchUs === undefined || !first || !last) return { is: 'row' }
  const visible = Object.keys(columns).map(name =>
    name === first || name === last ? `_own${name} AS ${name}` : id(name),
  )
  return {
    is: 'merged',
    columns: Object.fromEntries(types(grain)),
    firstUs: first,
    lastUs: last,
    touchUs,
    islands: partials => `SELECT DISTINCT ${names(grain).map(id).join(', ')} FROM (${together(grain, partials)})`,
    alive(partials, islands, watermarkUs) {
      // What ends before all islands is dead without a look at its own.
      const recent = `${last} >= (SELECT min(${first}) FROM (${islands}))`
      const own = `SELECT *, ${first} AS _own${first}, ${last} AS _own${last} FROM (${partials}) WHERE ${recent}`
      const isAlive = `${grain.windows.closesAt} > ${watermarkUs}`
      const whole = `SELECT * FROM (${togetherWith(grain, own, islands)}) WHERE ${isAlive}`
      return `SELECT ${visible.join(', ')} FROM (${whole})`
    },
  }
}

/** How many rows of the input come to the same pane and group. */
function rowCountSql(grain: Grain): string {
  return `count(*) OVER (PARTITION BY ${places(grain).join(', ')})`
}

/** The call's value over an input row; NULL where its filter leaves the row out. */
function valueOf({ column, filter }: PlannedCall): string {
  if (column === undefined) return ''
  return filter === undefined ? inputColumn(column) : `CASE WHEN ${filter} THEN ${inputColumn(column)} END`
}

const rowCountColumn = '_row_count'

function inputRow({ timeUs }: Grain, { filter }: PlannedCall, rows: Relation): InputRow {
  const [seq, rowCount] = [inputColumn('_seq'), inputColumn(rowCountColumn)]
  return { timeUs, seq, row: rowNumber(rows), filter, rowCount, column: inputColumn }
}

/** `_start, zone, _trips.count, _revenue.sum`: a row for each pane and group, a column for each accumulator. */
export function mainChannel(grain: Grain, plans: readonly PlannedCall[]): Channel {
  const groups = names(grain)
  const columns = Object.fromEntries([
    ...types(grain),
    ...plans.flatMap(({ name, plan }) =>
      plan.accumulators.map(part => [partName(name, part.name), part.type] as const),
    ),
  ])
  return {
    name: '',
    columns,
    order: groups,
    life: lifeOf(grain, columns),
    closesAt: grain.windows.closesAt,
    emitsFrom: grain.windows.emitsFrom,
    flushAt: grain.windows.flushAt,
    partial(rows) {
      const accumulators = plans.flatMap(call =>
        call.plan.accumulators.map(
          part =>
            `${part.partial(valueOf(call), inputRow(grain, call, rows))} AS ${id(partName(call.name, part.name))}`,
        ),
      )
      const positions = groups.map((_, index) => index + 1).join(', ')
      const isCounted = plans.some(({ plan }) => plan.accumulators.some(({ countsRows }) => countsRows))
      const from = `FROM ${onTime(grain, rows)}`
      const counted = `FROM (SELECT _in.*, ${rowCountSql(grain)} AS ${rowCountColumn} ${from}) AS _in`
      return (
        `SELECT ${[...placed(grain), ...accumulators].join(', ')} ${isCounted ? counted : from} ` +
        `GROUP BY ${positions}`
      )
    },
    merge: partials => grouped(groups, mergedItems(plans), together(grain, partials)),
  }
}

/**
 * `_start, zone, _bin, _units`: a row for each pane, group and bucket of one aggregate. An aggregate's own names begin
 * with '_', which users' columns do not.
 */
export function sideChannel(grain: Grain, name: string, call: PlannedCall, side: Side): Channel {
  const groups = [...names(grain), ...side.buckets.map(({ name }) => name)]
  const own = [...side.buckets, ...side.accumulators].find(({ name }) => !name.startsWith('_'))
  if (own) throw new Error(`unreachable: side column ${own.name} of ${call.name} must begin with '_'`)
  const value = valueOf(call) || 'NULL'
  const columns = Object.fromEntries([
    ...types(grain),
    ...[...side.buckets, ...side.accumulators].map(({ name, type }) => [name, type] as const),
  ])
  return {
    name,
    columns,
    order: groups,
    life: lifeOf(grain, columns),
    closesAt: grain.windows.closesAt,
    emitsFrom: grain.windows.emitsFrom,
    ...(side.neededBy === undefined ? {} : { neededBy: partName(call.name, side.neededBy) }),
    partial(rows) {
      const item = side.items ? `unnest(${side.items(value)})` : value
      const from = onTime(grain, rows)
      const wanted = side.where ? `${grain.windows.together ? ' WHERE' : ' AND'} ${side.where(value)}` : ''
      const inner = `SELECT ${[...placed(grain), `${item} AS _item`].join(', ')} FROM ${from}${wanted}`
      const items = [
        ...names(grain).map(id),
        ...side.buckets.map(({ name, of }) => `${of('_item')} AS ${id(name)}`),
        ...side.accumulators.map(
          ({ name, partial }) => `${partial('_item', inputRow(grain, call, rows))} AS ${id(name)}`,
        ),
      ]
      return `SELECT ${items.join(', ')} FROM (${inner}) GROUP BY ${groups.map((_, index) => index + 1).join(', ')}`
    },
    merge: partials => grouped(groups, sideItems(side), together(grain, partials)),
  }
}

/** An accumulator of several rows as SQL, under the name that it has in each. */
export interface MergedItem {
  readonly column: string
  readonly sql: string
}

export function asItems(items: readonly MergedItem[]): string[] {
  return items.map(({ column, sql }) => `${sql} AS ${column}`)
}

/** The merged accumulators of main rows. */
export function mergedItems(plans: readonly PlannedCall[]): readonly MergedItem[] {
  return plans.flatMap(({ name, plan }) =>
    plan.accumulators.map(part => {
      const column = id(partName(name, part.name))
      return { column, sql: part.merge(column) }
    }),
  )
}

/** The merged accumulators of side rows. */
export function sideItems(side: Side): readonly MergedItem[] {
  return side.accumulators.map(({ name, merge }) => ({ column: id(name), sql: merge(id(name)) }))
}

/** No partial rows, with the table's columns. */
export function emptyPartials({ columns }: { readonly columns: ColumnTypes }): string {
  return `SELECT ${Object.entries(columns)
    .map(([name, type]) => `CAST(NULL AS ${type}) AS ${id(name)}`)
    .join(', ')} WHERE FALSE`
}

function grouped(groups: readonly string[], items: readonly MergedItem[], partials: string): string {
  const list = groups.map(id).join(', ')
  return `SELECT ${[list, ...asItems(items)].join(', ')} FROM (${partials}) GROUP BY ${list}`
}
