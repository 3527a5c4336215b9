import { inputColumn, type Relation } from '../../src/plan/relation.ts'
import type { ChangeUnit, StateChannel, Updates } from '../../src/plan/step.ts'
import type { WindowAssigner } from '../../src/plan/window.ts'
import type { Side } from './aggregate.ts'
import { type GroupsPlan, groupColumns } from './emit-groups.ts'
import { mainChannel, type PlannedCall, sideChannel } from './tables.ts'
import { endColumn, startColumn } from './window-times.ts'

/** The same groups, each row of which counts in the one window that its `_window_end` names. */
export function singleWindow({ grain, plans, sides, ...groups }: GroupsPlan): GroupsPlan {
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
export function takenPartial({ main, sides }: GroupsPlan, { name }: StateChannel, rows: Relation): string {
  return (sides.find(({ side }) => side.name === name)?.side ?? main).partial(rows)
}

/** The columns that tell results apart, or their windows. */
export function toldBy({ grain }: GroupsPlan, unit: ChangeUnit): readonly string[] {
  return unit === 'group' ? groupColumns(grain) : grain.windows.windowColumns
}

/** The columns that tell results apart. */
export function resultKey({ grain: { windows, keys } }: GroupsPlan): Updates['key'] {
  const borders = windows.startsAlike ? [endColumn] : [startColumn, endColumn]
  return [...(windows.isEndless ? [] : [borders]), ...keys.map(({ name }) => [name])]
}
