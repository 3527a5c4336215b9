import { configError } from '../src/core/errors.ts'
import { plainJson, sortedByName } from '../src/core/json.ts'
import { readOptions } from '../src/core/options.ts'
import { type ParsedType, parseColumnType, type Show } from '../src/core/types.ts'
import {
  type ColumnsOf,
  type Grouped,
  type MiniBatch,
  type NoWindow,
  type OfWindow,
  operator,
  type Operator,
  type TimeOf,
  type TookRows,
} from '../src/plan/batches.ts'
import { type ColumnTypes, inputColumn, timeColumn, watermarkColumn } from '../src/plan/relation.ts'
import type { WindowAssigner } from '../src/plan/window.ts'
import type { GroupsContext, Stateful, StatefulStep } from '../src/plan/step.ts'
import type { AggregateCall, AggregatePlan } from './aggregates/aggregate.ts'
import { foldedGroups, groupsPlan } from './aggregates/folded-groups.ts'
import { keptGroups } from './aggregates/kept-groups.ts'
import { type AggregateResult, aggregates, type AnyCall } from './aggregates/registry.ts'
import type { Grain } from './aggregates/tables.ts'
import { checkWholeDays, endColumn, startColumn, windowTimes } from './aggregates/window-times.ts'
import { checkNewName, columnType } from './columns.ts'
import { groupByStep } from './group-by.ts'

/** Output name to call, as plain data. */
interface AggregateCalls {
  readonly [name: string]: Readonly<Record<string, string | number>> & {
    readonly aggregate: string
    readonly column?: string
    readonly filter?: string
  }
}

export const aggregateStep: StatefulStep<AggregateCalls> = {
  is: 'stateful',
  takes: 'groups',
  op: 'aggregate',
  tells: calls => Object.entries(calls).map(([name, call]) => `${name} = ${callTold(call)}`),
  // The keys are known only when the step is folded; until then every input column may still be one.
  columns(input, calls) {
    for (const [name, call] of Object.entries(calls)) planCall(name, call, input)
    return input
  },
  expressions: calls =>
    Object.entries(calls).flatMap(([name, { filter }]) =>
      filter === undefined ? [] : [{ field: `aggregate ${name}: filter`, sql: filter, mustBe: 'BOOLEAN' }],
    ),
  canonical: (calls, expressions) => {
    const filters = [...expressions]
    return Object.fromEntries(
      Object.entries(calls).map(([name, call]) => {
        // With the options that were left out, by their defaults.
        const { aggregate, options } = readAggregate(name, call)
        const filter = call.filter === undefined ? {} : { filter: filters.shift() ?? null }
        return [name, sortedByName({ aggregate: aggregate.name, ...plainJson(options), ...filter })]
      }),
    )
  },
  fold,
}

/** `sum(amount) where paid`, `approxQuantile(amount, at: 0.9)`. */
function callTold({ aggregate, column, filter, ...others }: AggregateCalls[string]): string {
  const given = Object.entries(others).map(([name, value]) => `${name}: ${value}`)
  const taken = [...(column === undefined ? [] : [column]), ...given].join(', ')
  return `${aggregate}(${taken})${filter === undefined ? '' : ` where ${filter}`}`
}

function planCall(name: string, call: AggregateCall, input: ColumnTypes): AggregatePlan {
  const field = `aggregate ${name}`
  const { aggregate, at, options } = readAggregate(name, call)
  const type = call.column === undefined ? undefined : parseColumnType(columnType(field, call.column, input), field)
  const plan = aggregate.plan(type, at, options, input)
  // A filter may leave no row, so nothing is promised of the result but a count.
  return call.filter === undefined || aggregate.isCount
    ? plan
    : { ...plan, result: plan.result.replace(/ NOT NULL$/, '') }
}

/** The aggregate that a call names, with the call's options, checked; `at` names the call in errors. */
function readAggregate(name: string, call: AggregateCall) {
  const field = `aggregate ${name}`
  const { aggregate: called, ...given } = call
  const aggregate = aggregates.get(called)
  if (!aggregate) throw configError(field, called, `one of ${[...aggregates.keys()].join(', ')}`)
  const at = `${field}: ${called}(${given.column === undefined ? '' : `'${given.column}'`})`
  return { aggregate, at, options: readOptions(at, aggregate.options, given) }
}

function fold(context: GroupsContext, calls: AggregateCalls, bound: readonly string[] = []): Stateful {
  const { input, windows, keys } = context
  const timeType = parseColumnType(context.timeType, 'time')
  const names = Object.keys(calls)
  checkFold(context, timeType, names)
  const filtered = names.filter(name => calls[name]?.filter !== undefined)
  const filters = new Map(filtered.map((name, index) => [name, bound[index]]))
  const plans = names.map(name => ({
    name,
    column: calls[name]?.column,
    filter: filters.get(name),
    plan: planCall(name, calls[name] as AggregateCall, input),
  }))
  const grain: Grain = {
    windows,
    timeUs: inputColumn(timeColumn),
    watermark: inputColumn(watermarkColumn),
    keys: keys.map(name => ({ name, type: parseColumnType(columnType('groupBy', name, input), name) })),
  }
  const columns = Object.fromEntries([
    ...windowColumnsOf(windows).map(name => [name, `${timeType.sql} NOT NULL`] as const),
    ...keys.map(key => [key, columnType('groupBy', key, input)] as const),
    ...plans.map(({ name, plan }) => [name, plan.result] as const),
  ])
  const groups = groupsPlan(grain, plans, columns, windowTimes(windows, timeType))
  const retentionUs = windows.paneOf && context.retentionUs
  if (retentionUs !== undefined && context.isOfResults) return keptGroups(groups, input, retentionUs)
  return foldedGroups(groups, retentionUs)
}

/** The columns that windows add to results. */
function windowColumnsOf({ isEndless }: WindowAssigner): readonly string[] {
  return isEndless ? [] : [startColumn, endColumn]
}

function checkFold({ windows, keys }: GroupsContext, timeType: ParsedType, names: readonly string[]): void {
  checkWholeDays(windows, timeType)
  const own = windowColumnsOf(windows)
  for (const reserved of own)
    if (keys.includes(reserved))
      throw configError('groupBy', reserved, 'another column: windows add this one themselves')
  for (const name of names) {
    if ([...keys, ...own].includes(name))
      throw configError('aggregate', name, `a name that is ${['neither a group key', ...own].join(' nor ')}`)
    checkNewName('aggregate', name, [...keys, ...own, ...names])
  }
}

type GroupKeysOf<I> = I extends Grouped<infer C, infer K, unknown> ? K & keyof C : never

/** The columns after `aggregate`: the window, the group's keys, the aggregates. */
export type Aggregated<C, K extends keyof C, A, T> = Show<
  ([T] extends [NoWindow] ? unknown : { window_start: T; window_end: T }) &
    Pick<C, K> & { -readonly [N in keyof A]: AggregateResult<C, A[N]> }
>

/**
 * One row for each window and group; without `groupBy` the whole window is one group. State is mergeable partial rows;
 * a window's result does not depend on how its rows were spread over objects, epochs and restarts.
 *
 *     trips.pipe(tumbling('1 hour'), groupBy('PULocationID'),
 *       aggregate({ trips: count(), revenue: sum('total_amount'), farthest: max('trip_distance') }))
 *
 * Output columns: `window_start`, `window_end` (the event time's type; not after `global`), the keys, the aggregates.
 * Each window is given once, when the watermark closes it, unless the flow ends with `emit: 'update'`.
 *
 * @throws MillraceError `user` for an unknown column, a type the aggregate cannot take, or a name used twice.
 */
export function aggregate<I, const A extends Record<string, AnyCall<ColumnsOf<I>>>>(
  calls: OfWindow<I, A>,
): Operator<
  I,
  MiniBatch<Aggregated<ColumnsOf<I>, GroupKeysOf<I>, A, TimeOf<I>>, TimeOf<I>, TookRows<ColumnsOf<I>, 'windows'>>
> {
  const entries = Object.entries(calls as AggregateCalls)
  if (entries.length === 0) throw configError('aggregate', calls, 'at least one aggregate: { name: count() }')
  for (const [name, call] of entries) {
    if (typeof call !== 'object' || call === null || !('aggregate' in call))
      throw configError(`aggregate ${name}`, call, "an aggregate such as count() or sum('column')")
    readAggregate(name, call)
  }
  // Without settings that were left undefined: options are plain data.
  const plan = Object.fromEntries(entries.map(([name, call]) => [name, plainJson(call)])) as AggregateCalls
  return operator(aggregateStep, plan, (batch, at) => {
    // Directly after a window the whole window is one group.
    const grouped = batch.node.step.is === 'window' ? batch.apply(groupByStep, { keys: [] }, at) : batch
    return grouped.apply(aggregateStep, plan, at) as never
  })
}
