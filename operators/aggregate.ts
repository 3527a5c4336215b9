import { configError } from '../src/core/errors.ts'
import { plainJson, sortedByName } from '../src/core/json.ts'
import { readOptions } from '../src/core/options.ts'
import { parseColumnType, type Show } from '../src/core/types.ts'
import {
  type ColumnsOf,
  type Grouped,
  type MiniBatch,
  type OfWindow,
  operator,
  type Operator,
  type TimeOf,
} from '../src/plan/batches.ts'
import { type ColumnTypes, inputColumn, orderOf, timeColumn, watermarkColumn } from '../src/plan/relation.ts'
import { id } from '../src/plan/sql.ts'
import type { GroupsContext, PartialRows, Stateful, StatefulStep } from '../src/plan/step.ts'
import type { AggregateCall, AggregatePlan } from './aggregates/aggregate.ts'
import { type AggregateResult, aggregates, type AnyCall } from './aggregates/registry.ts'
import {
  asItems,
  emptyPartials,
  type Grain,
  mainChannel,
  type MergedItem,
  mergedItems,
  partName,
  sideItems,
  sideChannel,
  togetherWith,
} from './aggregates/tables.ts'
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

const startColumn = 'window_start'
const endColumn = 'window_end'

function fold(
  { input, timeType: windowTimes, windows, keys }: GroupsContext,
  calls: AggregateCalls,
  bound: readonly string[] = [],
): Stateful {
  const timeType = parseColumnType(windowTimes, 'time')
  const windowType = `${timeType.sql} NOT NULL`
  if (timeType.name === 'DATE' && windows.stepUs % 86_400_000_000n !== 0n)
    throw configError('window', `${windows.stepUs} microseconds`, 'whole days, as the event time is a DATE')
  for (const reserved of [startColumn, endColumn])
    if (keys.includes(reserved))
      throw configError('groupBy', reserved, 'another column: windows add this one themselves')
  const names = Object.keys(calls)
  for (const name of names) {
    if ([...keys, startColumn, endColumn].includes(name))
      throw configError('aggregate', name, 'a name that is neither a group key nor window_start nor window_end')
    checkNewName('aggregate', name, [...keys, startColumn, endColumn, ...names])
  }

  const filtered = names.filter(name => calls[name]?.filter !== undefined)
  const filters = new Map(filtered.map((name, index) => [name, bound[index]]))
  const plans = names.map(name => ({
    name,
    column: calls[name]?.column,
    filter: filters.get(name),
    plan: planCall(name, calls[name] as AggregateCall, input),
  }))
  const toTime = (us: string) =>
    timeType.name === 'TIMESTAMPTZ'
      ? `make_timestamptz(${us})`
      : timeType.name === 'DATE'
        ? `CAST(make_timestamp(${us}) AS DATE)`
        : `make_timestamp(${us})`
  const timeUs = inputColumn(timeColumn)
  const watermark = inputColumn(watermarkColumn)
  const grain: Grain = {
    windows,
    timeUs,
    watermark,
    keys: keys.map(name => ({ name, type: parseColumnType(columnType('groupBy', name, input), name) })),
  }
  const main = mainChannel(grain, plans)
  const sides = plans.flatMap(({ name, column, filter, plan }, index) =>
    plan.side
      ? [{ name, plan, side: sideChannel(grain, String(index + 1), { name, column, filter, plan }, plan.side) }]
      : [],
  )
  const hasOwnStart = windows.windowColumns.includes('_window_start')
  const startOf = (end: string, start: string) => (hasOwnStart ? start : windows.startOf(end))
  const columns = Object.fromEntries([
    [startColumn, windowType],
    [endColumn, windowType],
    ...keys.map(key => [key, columnType('groupBy', key, input)] as const),
    ...plans.map(({ name, plan }) => [name, plan.result] as const),
  ])

  return {
    channels: [main, ...sides.map(({ side }) => side)],
    columns,
    gives: 'closing',
    holdUs: windows.holdUs,

    late: {
      columns: ['_window_start', '_window_end'],
      reason: windows.lateReason,
      mayBe: (us, watermarkUs) => windows.firstEnd(us) <= watermarkUs,
      rows(rows) {
        const visible = Object.keys(rows.columns).map(id).join(', ')
        const ends = windows.lateEnds(timeUs, watermark)
        return (
          `SELECT ${orderOf(rows).join(', ')}, ${watermarkColumn}, ${windows.startOf('_window_end')} AS _window_start, _window_end, ${visible} ` +
          `FROM (SELECT *, unnest(${ends}) AS _window_end FROM (${rows.sql}) AS _in)`
        )
      },
    },

    emit({ partials, fromUs, toUs }) {
      const groups = [...windows.windowColumns, ...keys]
      const list = groups.map(id).join(', ')
      const placed = (
        parts: readonly PartialRows[],
        items: readonly MergedItem[],
        more: readonly string[] = [],
        whole = ({ sql }: PartialRows) => sql,
      ) => {
        const columns = [list, ...more.map(id)].join(', ')
        const one = (part: PartialRows) => {
          const { isMerged } = part
          const rows = windows.windowsOf(whole(part), fromUs, toUs)
          // What is one row a window already needs no second aggregation, which would cost as much as the first.
          return isMerged
            ? `SELECT ${[columns, ...items.map(({ column }) => column)].join(', ')} FROM (${rows})`
            : `SELECT ${[columns, ...asItems(items)].join(', ')} FROM (${rows}) GROUP BY ${columns}`
        }
        if (windows.isOneWindow) return parts.map(one).join(' UNION ALL ')
        return one({ sql: parts.map(({ sql }) => sql).join(' UNION ALL '), isMerged: false })
      }
      const mainRows = partials(main)
      const found = mainRows.length > 0 ? mainRows : [{ sql: emptyPartials(main), isMerged: true }]
      const torn = found.find(({ isMerged }) => !isMerged)
      // What the rows of a finer grain belong to, only the main ones tell.
      const wholeMain = ({ sql, isMerged }: PartialRows) =>
        windows.together && !isMerged ? windows.together(sql, keys.map(id)) : sql
      const wholeSide = ({ sql, isMerged }: PartialRows) =>
        windows.together && !isMerged && torn ? togetherWith(grain, sql, torn.sql) : sql
      let joined = `(${withQuick(placed(found, mergedItems(plans), [], wholeMain), plans)}) AS m`
      const folded = new Map<string, string>()
      for (const { name, plan, side } of sides) {
        const rows = partials(side)
        if (rows.length === 0 || !plan.side) continue
        const buckets = plan.side.buckets.map(bucket => bucket.name)
        const perBucket = placed(rows, sideItems(plan.side), buckets, wholeSide)
        const alias = `s${side.name}`
        const same = groups.map(group => `${alias}.${id(group)} IS NOT DISTINCT FROM m.${id(group)}`).join(' AND ')
        joined += ` LEFT JOIN (${plan.side.fold(`(${perBucket})`, list)}) AS ${alias} ON ${same}`
        folded.set(name, `${alias}._folded`)
      }
      const start = startOf('m._window_end', 'm._window_start')
      const mainColumn = (name: string) => `m.${id(name)}`
      const where = [
        `CAST(${toTime(start)} AS VARCHAR)`,
        ...keys.map(key => `coalesce(CAST(${mainColumn(key)} AS VARCHAR), 'NULL')`),
      ].join(" || ', ' || ")
      const items = [
        'm._window_end AS _end',
        ...(hasOwnStart ? ['m._window_start AS _start'] : []),
        ...keys.map((key, index) => `${mainColumn(key)} AS _key${index}`),
        `${toTime(start)} AS ${id(startColumn)}`,
        `${toTime('m._window_end')} AS ${id(endColumn)}`,
        ...keys.map(mainColumn),
        ...plans.map(({ name, plan }) => {
          const accumulators = plan.accumulators.map(part => mainColumn(partName(name, part.name)))
          const side = folded.get(name) ?? null
          const finished = plan.finish(accumulators, side, where)
          if (!plan.quick) return `${finished} AS ${id(name)}`
          const quick = mainColumn(partName(name, 'quick'))
          const usual = side === null ? quick : `CASE WHEN ${side} IS NULL THEN ${quick} END`
          return `coalesce(${usual}, ${finished}) AS ${id(name)}`
        }),
      ]
      const hidden = ['_end', ...(hasOwnStart ? ['_start'] : []), ...keys.map((_, index) => `_key${index}`)]
      return {
        sql: `SELECT ${items.join(', ')} FROM ${joined}`,
        columns,
        hidden,
        timeUs: '(_end - 1)',
        startUs: startOf('_end', '_start'),
        closesAt: windows.holdUs === 0n ? '_end' : `(_end + ${windows.holdUs})`,
      }
    },

    openWindows: (partials, watermarkUs) => {
      const group =
        keys.length > 0 ? `struct_pack(${keys.map((key, index) => `k${index} := ${id(key)}`).join(', ')})` : '1'
      const whole = windows.together ? windows.together(partials, keys.map(id)) : partials
      return (
        `SELECT ${startOf('_window_end', '_window_start')} AS _window_start, _window_end, count(DISTINCT ${group}) AS groups ` +
        `FROM (${windows.windowsOf(whole, watermarkUs, null)}) GROUP BY ${windows.windowColumns.join(', ')}`
      )
    },
  }
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

type GroupKeysOf<I> = I extends Grouped<infer C, infer K, unknown> ? K & keyof C : never

/** The columns after `aggregate`: the window, the group's keys, the aggregates. */
export type Aggregated<C, K extends keyof C, A, T> = Show<
  { window_start: T; window_end: T } & Pick<C, K> & { -readonly [N in keyof A]: AggregateResult<C, A[N]> }
>

/**
 * One row for each window and group; without `groupBy` the whole window is one group. State is mergeable partial rows;
 * a window's result does not depend on how its rows were spread over objects, epochs and restarts.
 *
 *     trips.pipe(tumbling('1 hour'), groupBy('PULocationID'),
 *       aggregate({ trips: count(), revenue: sum('total_amount'), farthest: max('trip_distance') }))
 *
 * Output columns: `window_start`, `window_end` (the event time's type), the keys, the aggregates. Emission is final:
 * each window once, when the watermark closes it.
 *
 * @throws MillraceError `user` for an unknown column, a type the aggregate cannot take, or a name used twice.
 */
export function aggregate<I, const A extends Record<string, AnyCall<ColumnsOf<I>>>>(
  calls: OfWindow<I, A>,
): Operator<I, MiniBatch<Aggregated<ColumnsOf<I>, GroupKeysOf<I>, A, TimeOf<I>>, TimeOf<I>>> {
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
