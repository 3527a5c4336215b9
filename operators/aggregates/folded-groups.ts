import { type ColumnTypes, inputColumn, type Relation } from '../../src/plan/relation.ts'
import { id } from '../../src/plan/sql.ts'
import type { ChangeUnit, Corrections, Stateful, StateChannel, Updates } from '../../src/plan/step.ts'
import type { WindowAssigner } from '../../src/plan/window.ts'
import { lateInWindows } from '../late-in-windows.ts'
import type { Side } from './aggregate.ts'
import { emitGroups, type GroupsPlan, groupColumns } from './emit-groups.ts'
import { type Grain, mainChannel, type PlannedCall, sideChannel } from './tables.ts'
import { endColumn, startColumn, type WindowTimes } from './window-times.ts'

/**
 * Groups in windows as partial rows that merge, and as what they give.
 *
 * @param columns of the results
 * @param retentionUs so long after its end a window can take late rows; absent: never
 */
export function foldedGroups(
  asked: Grain,
  plans: readonly PlannedCall[],
  columns: ColumnTypes,
  times: WindowTimes,
  retentionUs?: bigint,
): Stateful {
  const grain = retentionUs === undefined ? asked : { ...asked, windows: retained(asked.windows, retentionUs) }
  const { windows } = grain
  const main = mainChannel(grain, plans)
  const sides = plans.flatMap(({ name, column, filter, plan }, index) =>
    plan.side
      ? [{ name, plan, side: sideChannel(grain, String(index + 1), { name, column, filter, plan }, plan.side) }]
      : [],
  )
  const groups = { grain, plans, main, sides, columns, times }
  return {
    channels: [main, ...sides.map(({ side }) => side)],
    columns,
    gives: 'closing',
    holdUs: windows.holdUs,
    ...(windows.beside ? { beside: windows.beside } : {}),
    late: lateInWindows(windows, retentionUs !== undefined),
    emit: view => emitGroups(groups, view),
    ...(windows.isEndless
      ? { isEndless: true }
      : { openWindows: (partials, watermarkUs) => openWindowsSql(grain, times, partials, watermarkUs) }),
    // Rows may make one session of two, and what then becomes of their results no key tells.
    ...(windows.together ? {} : { updates: updatesOf(groups) }),
    ...(retentionUs !== undefined && { corrections: correctionsOf(groups, retentionUs) }),
  }
}

/** The same windows, whose state outlives their end. */
function retained(windows: WindowAssigner, retentionUs: bigint): WindowAssigner {
  return { ...windows, closesAt: `(${windows.closesAt} + ${retentionUs})` }
}

function correctionsOf(groups: GroupsPlan, retentionUs: bigint): Corrections {
  const single = singleWindow(groups)
  const { touched } = updatesOf(groups)
  return {
    retentionUs,
    taken: (channel, rows) => takenPartial(single, channel, rows),
    touched: (unit, fresh) => touched(unit, fresh, null),
    results: (unit, partials, table, toUs) =>
      emitGroups(groups, { partials, fromUs: null, toUs, touched: { table, columns: toldBy(groups, unit) } }),
  }
}

/** The same groups, each row of which counts in the one window that its `_window_end` names. */
function singleWindow({ grain, plans, sides, ...groups }: GroupsPlan): GroupsPlan {
  const { windows } = grain
  const single: WindowAssigner = {
    ...windows,
    panes: () => windows.paneOf?.(inputColumn('_window_end')) ?? [],
    accepts: () => 'TRUE',
  }
  const own = { ...grain, windows: single }
  return {
    ...groups,
    grain: own,
    plans,
    main: mainChannel(own, plans),
    sides: sides.map(({ name, plan, side }) => {
      const call = plans.find(one => one.name === name) as PlannedCall
      return { name, plan, side: sideChannel(own, side.name, call, plan.side as Side) }
    }),
  }
}

/** What such groups make of rows for a channel. */
function takenPartial({ main, sides }: GroupsPlan, { name }: StateChannel, rows: Relation): string {
  return (sides.find(({ side }) => side.name === name)?.side ?? main).partial(rows)
}

/** The columns that tell results apart, or their windows. */
function toldBy({ grain }: GroupsPlan, unit: ChangeUnit): readonly string[] {
  return unit === 'group' ? groupColumns(grain) : grain.windows.windowColumns
}

function updatesOf(groups: GroupsPlan): Updates {
  const { windows, keys } = groups.grain
  const borders = windows.startsAlike ? [endColumn] : [startColumn, endColumn]
  return {
    key: [...(windows.isEndless ? [] : [borders]), ...keys.map(({ name }) => [name])],
    touched: (unit, fresh, fromUs) =>
      `SELECT DISTINCT ${toldBy(groups, unit).map(id).join(', ')} FROM (${windows.windowsOf(fresh, fromUs, null)})`,
    results: (unit, partials, touched, fromUs) =>
      emitGroups(groups, { partials, fromUs, toUs: null, touched: { table: touched, columns: toldBy(groups, unit) } }),
  }
}

function openWindowsSql(
  { windows, keys }: Grain,
  { startOf }: WindowTimes,
  partials: string,
  watermarkUs: bigint | null,
): string {
  const names = keys.map(({ name }) => id(name))
  const group = names.length > 0 ? `struct_pack(${names.map((key, index) => `k${index} := ${key}`).join(', ')})` : '1'
  const whole = windows.together ? windows.together(partials, names) : partials
  const items = [
    `${startOf('_window_end', '_window_start')} AS _window_start`,
    '_window_end',
    `count(DISTINCT ${group}) AS groups`,
  ]
  return (
    `SELECT ${items.join(', ')} ` +
    `FROM (${windows.windowsOf(whole, watermarkUs, null)}) GROUP BY ${windows.windowColumns.join(', ')}`
  )
}
