import type { Executor } from '../../core/ports.ts'
import { clockShape, type Flow, type Stage } from '../../plan/stages.ts'
import { delaysOf } from '../fold/stamp.ts'
import type { EarlierWindows, OpenWindow, WindowFacts } from '../report/why.ts'
import { engineRecords } from '../state/engine-state.ts'
import { partialsSql, stateTable } from '../state/state.ts'
import {
  type AskedGroup,
  type Borders,
  bordersOf,
  type WindowedStage,
  windowedStages,
  windowsAt,
} from './asked-window.ts'
import type { BoundCheckpoint } from './bound-checkpoint.ts'
import { type ClockHistory, clockHistory } from './clock-history.ts'
import { holdOf, type SourceRecord } from './holds.ts'
import { lateFor, reachOf } from './reached.ts'

/** A window that is asked for. @see groupCondition */
export interface AskedBorders extends Borders {
  readonly flow: Flow
  readonly target: WindowedStage
  readonly group: string | undefined
  /** The same as it was asked for. */
  readonly asked: AskedGroup
}

/** The windows that hold the time; of those that are known by their rows alone the ones that are open. */
export async function bordersAt(
  { executor, position }: BoundCheckpoint,
  { stage, isOfRows }: WindowedStage,
  timeUs: bigint,
  group: string | undefined,
): Promise<readonly Borders[]> {
  if (!isOfRows) return windowsAt(executor, stage, timeUs)
  const open = openSql(stage, position.clocks[stage.id] ?? null, group)
  if (open === undefined) return []
  return bordersOf(
    executor,
    `SELECT _window_start, _window_end FROM (${open}) WHERE _window_start <= ${timeUs} AND _window_end > ${timeUs}`,
  )
}

/** SQL of the open windows of a stage; undefined where its state does not tell. @param group SQL; absent: all */
function openSql(stage: Stage, watermarkUs: bigint | null, group: string | undefined): string | undefined {
  const partials = partialsSql(stateTable(stage, stage.step.channels[0]))
  return stage.step.openWindows?.(
    group === undefined ? partials : `SELECT * FROM (${partials}) WHERE ${group}`,
    watermarkUs,
  )
}

/** @param before numbers of entries that are asked for */
export function historyOf(
  { executor, definitions, stages, position }: BoundCheckpoint,
  windows: readonly AskedBorders[],
  before: readonly number[] = [],
): Promise<ClockHistory> {
  const awaited = windows.map(({ target, endUs }) => ({
    stage: target.stage.id,
    us: endUs + target.stage.step.holdUs,
  }))
  return clockHistory(
    executor,
    'ledger',
    Object.keys(position.sources),
    delaysOf(definitions.map(({ settings }) => settings)),
    stages.map(clockShape),
    { awaited, before },
  )
}

/** What the ledger says of each source. */
async function sourceRecords(executor: Executor, { by }: ClockHistory): Promise<(source: string) => SourceRecord> {
  const rows = await executor.rows(
    'SELECT source, count(DISTINCT (bucket, key)) AS objects, ' +
      `count(*) FILTER (outcome = 'read') AS read FROM ledger WHERE "is" = 'object' GROUP BY source`,
  )
  const counts = new Map(rows.map(row => [String(row.source), row]))
  return source => ({
    by: by.get(source) ?? null,
    objects: Number(counts.get(source)?.objects ?? 0),
    read: Number(counts.get(source)?.read ?? 0),
  })
}

/** What is known of each of these windows. */
export async function windowFacts(
  found: BoundCheckpoint,
  windows: readonly AskedBorders[],
): Promise<readonly WindowFacts[]> {
  const history = await historyOf(found, windows)
  const records = await sourceRecords(found.executor, history)
  const facts: WindowFacts[] = []
  for (const [index, window] of windows.entries()) facts.push(await factsOf(found, window, { history, index, records }))
  return facts
}

interface Known {
  readonly history: ClockHistory
  /** Of the window among those that the history was asked for. */
  readonly index: number
  readonly records: (source: string) => SourceRecord
}

async function factsOf(
  found: BoundCheckpoint,
  window: AskedBorders,
  { history, index, records }: Known,
): Promise<WindowFacts> {
  const { reader, executor, position, definitions } = found
  const { flow, target, startUs, endUs, asked: group } = window
  const { stage } = target
  const closesAtUs = endUs + stage.step.holdUs
  const clockUs = position.clocks[stage.id] ?? null
  const asked = Object.entries(group).map(([name, value]) => `${name} ${value ?? 'NULL'}`)
  const facts = {
    flow: flow.name,
    startUs,
    endUs,
    closesAtUs,
    isUpdating: flow.terminal.emit === 'update',
    isSealed: engineRecords(reader.manifest).sealed,
    ...(asked.length > 0 && { group: asked.join(', ') }),
  }
  if (clockUs === null || clockUs < closesAtUs) {
    const hold = holdOf(stage, closesAtUs, position, definitions, records)
    return { ...facts, stands: { is: 'open', ...(await rowsIn(found, window)), hold } }
  }
  const at = history.closings[index]
  const late = await lateFor(reader, executor, stage.id, window, window.group)
  const reached =
    at === undefined || facts.isUpdating
      ? { reach: { is: 'unknown' } as const, results: null }
      : await reachOf(reader, executor, { flow: flow.name, epoch: at.epoch, startUs, endUs, group })
  return {
    ...facts,
    stands: { is: 'closed', at, late, canApplyLate: stage.step.corrections !== undefined, ...reached },
  }
}

/** What state has of an open window, and of windows of earlier steps that lie in it. */
async function rowsIn(
  found: BoundCheckpoint,
  { flow, target, group, startUs, endUs }: AskedBorders,
): Promise<Pick<OpenWindow, 'groups' | 'behind'>> {
  const { executor, position } = found
  const number = async (sql: string) => Number((await executor.rows(sql))[0]?.n ?? 0)
  const own = openSql(target.stage, position.clocks[target.stage.id] ?? null, group)
  const isWindow = `_window_start = ${startUs} AND _window_end = ${endUs}`
  const groups = own === undefined ? null : await number(`SELECT sum(groups) AS n FROM (${own}) WHERE ${isWindow}`)
  const behind: EarlierWindows[] = []
  for (const { stage } of windowedStages(found, flow).slice(0, -1)) {
    const open = openSql(stage, position.clocks[stage.id] ?? null, undefined)
    if (open === undefined) continue
    // A result has the time of its window's end, less one microsecond (S13).
    const inside = `_window_end > ${startUs} AND _window_end <= ${endUs}`
    const windows = await number(`SELECT count(*) AS n FROM (${open}) WHERE ${inside}`)
    if (windows > 0) behind.push({ op: stage.op, windows })
  }
  return { groups, behind }
}
