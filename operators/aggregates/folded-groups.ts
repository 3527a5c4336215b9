import type { ColumnTypes } from '../../src/plan/relation.ts'
import { id } from '../../src/plan/sql.ts'
import type { Stateful, Updates } from '../../src/plan/step.ts'
import { lateInWindows } from '../late-in-windows.ts'
import { emitGroups, type GroupsPlan, groupColumns } from './emit-groups.ts'
import { type Grain, mainChannel, type PlannedCall, sideChannel } from './tables.ts'
import { endColumn, startColumn, type WindowTimes } from './window-times.ts'

/** Groups in windows as partial rows that merge, and as what they give. @param columns of the results */
export function foldedGroups(
  grain: Grain,
  plans: readonly PlannedCall[],
  columns: ColumnTypes,
  times: WindowTimes,
): Stateful {
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
    late: lateInWindows(windows),
    emit: view => emitGroups(groups, view),
    ...(windows.isEndless
      ? { isEndless: true }
      : { openWindows: (partials, watermarkUs) => openWindowsSql(grain, times, partials, watermarkUs) }),
    // Rows may make one session of two, and what then becomes of their results no key tells.
    ...(windows.together ? {} : { updates: updatesOf(groups) }),
  }
}

function updatesOf(groups: GroupsPlan): Updates {
  const { windows, keys } = groups.grain
  const told = { group: groupColumns(groups.grain), window: windows.windowColumns }
  const borders = windows.startsAlike ? [endColumn] : [startColumn, endColumn]
  return {
    key: [...(windows.isEndless ? [] : [borders]), ...keys.map(({ name }) => [name])],
    touched: (unit, fresh, fromUs) =>
      `SELECT DISTINCT ${told[unit].map(id).join(', ')} FROM (${windows.windowsOf(fresh, fromUs, null)})`,
    results: (unit, partials, touched, fromUs) =>
      emitGroups(groups, { partials, fromUs, toUs: null, touched: { table: touched, columns: told[unit] } }),
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
