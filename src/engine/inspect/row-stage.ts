import type { Relation } from '../../plan/relation.ts'
import { id } from '../../plan/sql.ts'
import { isBehind, type Stage } from '../../plan/stages.ts'
import type { WindowFacts } from '../report/why.ts'
import type { LateWindow } from '../report/why-row.ts'
import {
  type AskedGroup,
  type Borders,
  groupCondition,
  type WindowedStage,
  windowedStages,
  windowsAt,
} from './asked-window.ts'
import { meetKey } from './same-key.ts'
import { meetKeptRows } from './kept-rows.ts'
import { inTable, type RowWalk } from './row-walk.ts'
import { type AskedBorders, bordersAt, windowFacts } from './window-facts.ts'

/** Windows that are told of one row; and groups, where it became several. */
const windowsMax = 3
const groupsMax = 3

/** What a step that keeps state makes of the row. */
export async function meetStage(
  walk: RowWalk,
  stage: Stage,
  kept: Relation,
  index: number,
): Promise<Relation | undefined> {
  const { step, op } = stage
  if (step.isEndless) {
    walk.tell({ is: 'not-told', op, why: "It counts in the result of its group, which 'backfill --final' gives." })
    return undefined
  }
  const late = await lateIn(walk, stage, kept)
  const target = windowedStages(walk.found, walk.flow).find(one => one.stage.id === stage.id)
  if (target) {
    await countIn(walk, target, kept, late)
    return undefined
  }
  if (late !== undefined) return undefined
  const isPassing = step.gives === 'passing' && step.ports === undefined
  return isPassing ? meetKey(walk, stage, kept) : meetKeptRows(walk, stage, kept, index)
}

/** The windows that the row is late for, empty of a step without windows; undefined where it is in time for all. */
async function lateIn(walk: RowWalk, stage: Stage, kept: Relation): Promise<readonly LateWindow[] | undefined> {
  const { late } = stage.step
  const watermarkUs = walk.before.clocks[stage.id] ?? null
  const found = watermarkUs === null ? undefined : await inTable(walk, { ...kept, sql: late.rows(kept) })
  if (watermarkUs === null || !found) return undefined
  const hasWindows = late.columns.includes('_window_end')
  const rows = hasWindows
    ? await walk.found.executor.rows(
        `SELECT DISTINCT _window_start, _window_end FROM (${found.rows.sql}) ORDER BY _window_end, _window_start`,
      )
    : []
  const windows = rows
    .map(row => ({ startUs: row._window_start as bigint, endUs: row._window_end as bigint }))
    .map(borders => ({ ...borders, appliedIn: appliedIn(walk, stage, borders) }))
  walk.tell({ is: 'late', op: stage.op, watermarkUs, windows, reason: late.reason })
  return windows
}

/** The epoch in which `apply-late` brought the row into a window (S16): the first entry that names it, or none. */
function appliedIn({ seq, applied }: RowWalk, { id: stage, step }: Stage, { startUs, endUs }: Borders): number | null {
  const retentionUs = step.corrections?.retentionUs
  if (retentionUs === undefined) return null
  const first = applied.find(
    ({ named: { beforeSeq, fromUs, toUs } }) =>
      seq < beforeSeq && (fromUs === null || startUs >= fromUs) && (toUs === null || endUs <= toUs),
  )
  if (!first) return null
  const clockUs = first.before.clocks[stage] ?? null
  return clockUs !== null && endUs + retentionUs <= clockUs ? null : first.epoch
}

/** The windows that count the row, and what has become of them. */
async function countIn(
  walk: RowWalk,
  target: WindowedStage,
  kept: Relation,
  late: readonly LateWindow[] = [],
): Promise<void> {
  const { found, flow } = walk
  const { stage } = target
  const [row] = await found.executor.rows(`SELECT _time FROM (${kept.sql}) LIMIT 1`)
  const timeUs = row?._time as bigint
  const isLate = ({ startUs, endUs }: Borders) => late.some(one => one.startUs === startUs && one.endUs === endUs)
  if (target.isOfRows) {
    if (late.length === 0) await countInSession(walk, target, kept, timeUs)
    return
  }
  const borders = (await windowsAt(found.executor, stage, timeUs)).filter(one => !isLate(one))
  if (borders.length === 0) return
  if (!isBehind(flow.rows, stage)) {
    walk.tell({ is: 'handed-on', op: stage.op, windows: borders, to: await finalWindows(walk, target, borders) })
    return
  }
  const asked: AskedBorders[] = []
  const groups = await groupsOf(walk, target, kept)
  for (const group of groups.slice(0, groupsMax)) {
    const condition = await groupCondition(found.executor, target, group)
    const own = borders.slice(0, windowsMax)
    asked.push(...own.map(one => ({ ...one, flow, target, group: condition, asked: group })))
  }
  const windows = await windowFacts(found, asked)
  walk.tell({ is: 'counted', op: stage.op, of: borders.length * groups.length, windows })
}

/** The groups of the step that the rows are of. */
async function groupsOf({ found }: RowWalk, { keys }: WindowedStage, kept: Relation): Promise<readonly AskedGroup[]> {
  const names = [...keys.keys()]
  if (names.length === 0) return [{}]
  const items = names.map((name, index) => `CAST(${id(name)} AS VARCHAR) AS k${index}`)
  const rows = await found.executor.rows(`SELECT DISTINCT ${items.join(', ')} FROM (${kept.sql}) ORDER BY ALL`)
  return rows.map(row =>
    Object.fromEntries(names.map((name, index) => [name, (row[`k${index}`] ?? null) as string | null])),
  )
}

/** A session is known by its rows: while it is open, state has it. */
async function countInSession(walk: RowWalk, target: WindowedStage, kept: Relation, timeUs: bigint): Promise<void> {
  const { found, flow } = walk
  const { stage } = target
  const asked: AskedBorders[] = []
  const groups = await groupsOf(walk, target, kept)
  for (const group of groups.slice(0, groupsMax)) {
    const condition = await groupCondition(found.executor, target, group)
    const borders = await bordersAt(found, target, timeUs, condition)
    asked.push(...borders.map(one => ({ ...one, flow, target, group: condition, asked: group })))
  }
  if (asked.length > 0)
    walk.tell({ is: 'counted', op: stage.op, of: groups.length, windows: await windowFacts(found, asked) })
  else
    walk.tell({
      is: 'not-told',
      op: stage.op,
      why:
        'It counts in a session of its group, which is closed: ' +
        "millrace sql CHECKPOINT 'FROM output' has it among the results.",
    })
}

/** Results have the time of their window's end, less one microsecond (S13): the last windows that they go into. */
async function finalWindows(
  walk: RowWalk,
  { stage }: WindowedStage,
  borders: readonly Borders[],
): Promise<readonly WindowFacts[]> {
  const { found, flow } = walk
  const next = windowedStages(found, flow).find(one => one.stage.inputs.some(branch => isBehind(branch, stage)))
  if (!next || next.isOfRows) return []
  const ends = new Map<string, Borders>()
  for (const { endUs } of borders)
    for (const one of await windowsAt(found.executor, next.stage, endUs - 1n))
      ends.set(`${one.startUs} ${one.endUs}`, one)
  const into = [...ends.values()]
  if (!isBehind(flow.rows, next.stage)) return finalWindows(walk, next, into)
  return windowFacts(
    found,
    into.slice(0, windowsMax).map(one => ({ ...one, flow, target: next, group: undefined, asked: {} })),
  )
}
