import type { ColumnTypes, Emitted } from '../../src/plan/relation.ts'
import { id } from '../../src/plan/sql.ts'
import type { Channel, EpochView, PartialRows } from '../../src/plan/step.ts'
import type { AggregatePlan } from './aggregate.ts'
import {
  asItems,
  emptyPartials,
  type Grain,
  type MergedItem,
  mergedItems,
  partName,
  type PlannedCall,
  sideItems,
  togetherWith,
} from './tables.ts'
import { endColumn, startColumn, type WindowTimes } from './window-times.ts'

/** Aggregates of groups in windows, as their state and results are built. */
export interface GroupsPlan {
  readonly grain: Grain
  readonly plans: readonly PlannedCall[]
  readonly main: Channel
  /** Of the aggregates that have a finer grain. */
  readonly sides: readonly { readonly name: string; readonly plan: AggregatePlan; readonly side: Channel }[]
  /** Of the results. */
  readonly columns: ColumnTypes
  readonly times: WindowTimes
}

/** Which partial rows results are made of. */
export interface GroupsView extends Pick<EpochView, 'partials' | 'fromUs' | 'toUs'> {
  /** The only results that are asked for: a table, and those of `groupColumns` that it has. Absent: all. */
  readonly touched?: { readonly table: string; readonly columns: readonly string[] }
}

/** The columns that tell a group in a window from others. */
export function groupColumns({ windows, keys }: Grain): readonly string[] {
  return [...windows.windowColumns, ...keys.map(({ name }) => name)]
}

/** Results of the windows that the watermark has closed, or of those that are asked for. */
export function emitGroups(groups: GroupsPlan, view: GroupsView): Emitted {
  const { grain, columns, times } = groups
  const { windows, keys } = grain
  const { joined, folded } = closedRows(groups, view)
  const { hasOwnStart, startOf } = times
  const hidden = ['_end', ...(hasOwnStart ? ['_start'] : []), ...keys.map((_, index) => `_key${index}`)]
  return {
    sql: `SELECT ${resultItems(groups, folded).join(', ')} FROM ${joined}`,
    columns,
    hidden,
    timeUs: '(_end - 1)',
    startUs: startOf('_end', '_start'),
    closesAt: windows.holdUs === 0n ? '_end' : `(_end + ${windows.holdUs})`,
  }
}

/** What the rows of a result are made of. */
interface ClosedRows {
  /** The main rows `m`, joined with those of each side. */
  readonly joined: string
  /** By the call: what its side has folded. */
  readonly folded: ReadonlyMap<string, string>
}

function closedRows({ grain, plans, main, sides }: GroupsPlan, view: GroupsView): ClosedRows {
  const { windows } = grain
  const keys = grain.keys.map(({ name }) => name)
  const groups = groupColumns(grain)
  const mainRows = view.partials(main)
  const found = mainRows.length > 0 ? mainRows : [{ sql: emptyPartials(main), isMerged: true }]
  const torn = found.find(({ isMerged }) => !isMerged)
  // What the rows of a finer grain belong to, only the main ones tell.
  const wholeMain = ({ sql, isMerged }: PartialRows) =>
    windows.together && !isMerged ? windows.together(sql, keys.map(id)) : sql
  const wholeSide = ({ sql, isMerged }: PartialRows) =>
    windows.together && !isMerged && torn ? togetherWith(grain, sql, torn.sql) : sql
  const merged = mergedRows(grain, view, { parts: found, items: mergedItems(plans), more: [], whole: wholeMain })
  let joined = `(${withQuick(merged, plans)}) AS m`
  const folded = new Map<string, string>()
  for (const { name, plan, side } of sides) {
    const parts = view.partials(side)
    if (parts.length === 0 || !plan.side) continue
    const more = plan.side.buckets.map(bucket => bucket.name)
    const perBucket = mergedRows(grain, view, { parts, items: sideItems(plan.side), more, whole: wholeSide })
    const alias = `s${side.name}`
    const same = areSame(alias, 'm', groups)
    joined += ` LEFT JOIN (${plan.side.fold(`(${perBucket})`, groups.map(id).join(', '))}) AS ${alias} ON ${same}`
    folded.set(name, `${alias}._folded`)
  }
  return { joined, folded }
}

function areSame(left: string, right: string, columns: readonly string[]): string {
  return columns.map(name => `${left}.${id(name)} IS NOT DISTINCT FROM ${right}.${id(name)}`).join(' AND ')
}

interface RowsToMerge {
  readonly parts: readonly PartialRows[]
  readonly items: readonly MergedItem[]
  /** Columns that tell rows of a group apart, beside those of the group. */
  readonly more: readonly string[]
  /** The rows, with the panes of one window made one. */
  whole(part: PartialRows): string
}

/** One row a window, group and `more`, of the windows that the view closes. */
function mergedRows(
  grain: Grain,
  { fromUs, toUs, touched }: GroupsView,
  { parts, items, more, whole }: RowsToMerge,
): string {
  const { windows } = grain
  const groups = groupColumns(grain).map(id)
  const columns = [...groups, ...more.map(id)].join(', ')
  const semiJoin = touched ? ` AS w SEMI JOIN ${touched.table} AS t ON ${areSame('w', 't', touched.columns)}` : ''
  const one = (sql: string, isMerged: boolean) => {
    const all = windows.windowsOf(sql, fromUs, toUs)
    const rows = touched ? `SELECT * FROM (${all})${semiJoin}` : all
    // What is one row a window already needs no second aggregation, which would cost as much as the first.
    return isMerged
      ? `SELECT ${[columns, ...items.map(({ column }) => column)].join(', ')} FROM (${rows})`
      : `SELECT ${[columns, ...asItems(items)].join(', ')} FROM (${rows}) GROUP BY ${columns}`
  }
  if (windows.isOneWindow) return parts.map(part => one(whole(part), part.isMerged)).join(' UNION ALL ')
  return one(whole({ sql: parts.map(({ sql }) => sql).join(' UNION ALL '), isMerged: false }), false)
}

/** The columns of a result, those that are hidden first. */
function resultItems({ grain, plans, times }: GroupsPlan, folded: ReadonlyMap<string, string>): readonly string[] {
  const { hasOwnStart, areShown, startOf, toTime } = times
  const start = startOf('m._window_end', 'm._window_start')
  const keys = grain.keys.map(({ name }) => `m.${id(name)}`)
  const where = [
    ...(areShown ? [`CAST(${toTime(start)} AS VARCHAR)`] : ["'all rows'"]),
    ...keys.map(key => `coalesce(CAST(${key} AS VARCHAR), 'NULL')`),
  ].join(" || ', ' || ")
  return [
    'm._window_end AS _end',
    ...(hasOwnStart ? ['m._window_start AS _start'] : []),
    ...keys.map((key, index) => `${key} AS _key${index}`),
    ...(areShown ? [`${toTime(start)} AS ${id(startColumn)}`, `${toTime('m._window_end')} AS ${id(endColumn)}`] : []),
    ...keys,
    ...plans.map(call => `${resultOf(call, folded.get(call.name) ?? null, where)} AS ${id(call.name)}`),
  ]
}

/** @param where the window and group, as errors name them */
function resultOf({ name, plan }: PlannedCall, side: string | null, where: string): string {
  const partOf = (part: string) => `m.${id(partName(name, part))}`
  const finished = plan.finish(
    plan.accumulators.map(part => partOf(part.name)),
    side,
    where,
  )
  if (!plan.quick) return finished
  const quick = partOf('quick')
  const usual = side === null ? quick : `CASE WHEN ${side} IS NULL THEN ${quick} END`
  return `coalesce(${usual}, ${finished})`
}

/** Merged main rows with the columns of every plan's quick arithmetic. */
function withQuick(rows: string, plans: readonly { readonly name: string; readonly plan: AggregatePlan }[]): string {
  const layers = plans.flatMap(({ name, plan }) => {
    const of = (column: string) => id(partName(name, column))
    const accumulators = plan.accumulators.map(part => of(part.name))
    const named = plan.quick?.layers(accumulators, of) ?? []
    return [named.map(layer => Object.entries(layer).map(([column, sql]) => `${sql} AS ${of(column)}`))]
  })
  let wrapped = rows
  for (let depth = 0; depth < Math.max(0, ...layers.map(({ length }) => length)); depth++)
    wrapped = `SELECT *, ${layers.flatMap(own => own[depth] ?? []).join(', ')} FROM (${wrapped})`
  return wrapped
}
