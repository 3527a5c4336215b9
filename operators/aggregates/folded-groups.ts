import type { ColumnTypes } from '../../src/plan/relation.ts'
import { id } from '../../src/plan/sql.ts'
import type { Corrections, Stateful, Updates } from '../../src/plan/step.ts'
import { lateInWindows } from '../late-in-windows.ts'
import { emitGroups, type GroupsPlan } from './emit-groups.ts'
import { resultKey, singleWindow, takenPartial, toldBy } from './single-window.ts'
import { type Grain, mainChannel, type PlannedCall, sideChannel } from './tables.ts'
import type { WindowTimes } from './window-times.ts'

/** How the state and the results of groups in windows are built. @param columns of the results */
export function groupsPlan(
  grain: Grain,
  plans: readonly PlannedCall[],
  columns: ColumnTypes,
  times: WindowTimes,
): GroupsPlan {
  const sides = plans.flatMap(({ name, column, filter, plan }, index) =>
    plan.side
      ? [{ name, plan, side: sideChannel(grain, String(index + 1), { name, column, filter, plan }, plan.side) }]
      : [],
  )
  return { grain, plans, main: mainChannel(grain, plans), sides, columns, times }
}

/**
 * Groups in windows as partial rows that merge, and as what they give.
 *
 * @param retentionUs so long after its end a window can take late rows; absent: never
 */
export function foldedGroups(asked: GroupsPlan, retentionUs?: bigint): Stateful {
  const groups = retentionUs === undefined ? asked : retained(asked, retentionUs)
  const { grain, main, sides, columns, times } = groups
  const { windows } = grain
  return {
    channels: [main, ...sides.map(({ side }) => side)],
    columns,
    gives: 'closing',
    holdUs: windows.holdUs,
    partedBy: grain.keys.map(({ name }) => name),
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

/** The same groups, whose state outlives the end of their windows. */
function retained({ grain, plans, columns, times }: GroupsPlan, retentionUs: bigint): GroupsPlan {
  const windows = { ...grain.windows, closesAt: `(${grain.windows.closesAt} + ${retentionUs})` }
  return groupsPlan({ ...grain, windows }, plans, columns, times)
}

function correctionsOf(groups: GroupsPlan, retentionUs: bigint): Corrections {
  const single = singleWindow(groups)
  const { touched } = updatesOf(groups)
  return {
    retentionUs,
    key: resultKey(groups),
    taken: (channel, rows) => takenPartial(single, channel, rows),
    touched: (unit, fresh) => touched(unit, fresh, null),
    results: (unit, partials, table, toUs) =>
      emitGroups(groups, { partials, fromUs: null, toUs, touched: { table, columns: toldBy(groups, unit) } }),
  }
}

function updatesOf(groups: GroupsPlan): Updates {
  const { windows } = groups.grain
  return {
    key: resultKey(groups),
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
