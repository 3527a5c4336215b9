import { configError } from '../../core/errors.ts'
import type { Executor } from '../../core/ports.ts'
import type { Pipeline } from '../../plan/pipeline.ts'
import { clockShape, type Flow, type Stage } from '../../plan/stages.ts'
import { delaysOf } from '../fold/stamp.ts'
import type { EarlierWindows, OpenWindow, WindowFacts } from '../report/why.ts'
import { engineRecords } from '../state/engine-state.ts'
import { partialsSql, stateTable } from '../state/state.ts'
import {
  type AskedWindow,
  type Borders,
  bordersOf,
  groupCondition,
  type WindowedStage,
  windowedStages,
  windowsAt,
} from './asked-window.ts'
import { type BoundCheckpoint, withBoundCheckpoint } from './bound-checkpoint.ts'
import { type ClockHistory, clockHistory } from './clock-history.ts'
import { holdOf, type SourceRecord } from './holds.ts'
import { lateFor, reachOf } from './reached.ts'

/** What is known of a time in the windows of a pipeline. */
export interface WhyWindow {
  readonly pipeline: string
  readonly checkpoint: string
  /** The last one that is committed. */
  readonly epoch: number
  /** Each window of each flow that holds the time: the first ones, where there are many. */
  readonly windows: readonly WindowFacts[]
  /** So many more there are. */
  readonly more: number
  /** Flows that have no window there, and why: a sentence for each. */
  readonly others: readonly string[]
}

export interface WhyWindowOptions extends AskedWindow {
  /** Absent: the pipeline's own. */
  readonly checkpoint?: string
  /** 'flow-2'; absent: all flows that have windows. */
  readonly flow?: string
}

/** Windows of one flow that are told. */
const windowsMax = 5

/**
 * Why windows have no output yet, or what became of them, by what a checkpoint holds: safe beside a running owner.
 *
 * @throws MillraceError `user` where there is no checkpoint of this pipeline, and for a flow, a key or a value that is
 * not there
 */
export async function whyWindow(pipeline: Pipeline, options: WhyWindowOptions): Promise<WhyWindow> {
  return withBoundCheckpoint(pipeline, options.checkpoint, async found => {
    const asked = flowsAsked(found.flows, options.flow)
    const windows: AskedBorders[] = []
    const others: string[] = []
    let more = 0
    for (const flow of asked) {
      const target = windowedStages(found, flow).at(-1)
      if (!target) {
        others.push(`${flow.name} has no windows with an end.`)
        continue
      }
      const group = await groupCondition(found.executor, target, options.group)
      const borders = await bordersAt(found, target, options.timeUs, group)
      if (borders.length === 0) others.push(noSession(flow, options))
      more += Math.max(0, borders.length - windowsMax)
      windows.push(...borders.slice(0, windowsMax).map(border => ({ ...border, flow, target, group })))
    }
    const history = await historyOf(found, windows)
    const records = await sourceRecords(found.executor, history)
    const facts: WindowFacts[] = []
    for (const [index, window] of windows.entries())
      facts.push(await factsOf(found, options, window, { history, index, records }))
    const { epoch } = found.reader.manifest
    return { pipeline: pipeline.name, checkpoint: found.address, epoch, windows: facts, more, others }
  })
}

/** A window that is asked for. @see groupCondition */
interface AskedBorders extends Borders {
  readonly flow: Flow
  readonly target: WindowedStage
  readonly group: string | undefined
}

function flowsAsked(flows: readonly Flow[], name: string | undefined): readonly Flow[] {
  if (name === undefined) return flows
  const flow = flows.find(one => one.name === name)
  if (!flow) throw configError('flow', name, `one of ${flows.map(one => one.name).join(', ')}`)
  return [flow]
}

/** The windows that hold the time; of those that are known by their rows alone the ones that are open. */
async function bordersAt(
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

function noSession({ name }: Flow, { group }: AskedWindow): string {
  const of = Object.keys(group).length === 0 ? '' : ' of that group'
  return (
    `${name}: no session${of} that holds this time is open. Closed ones are among the results: ` +
    `millrace sql CHECKPOINT 'FROM output' has them.`
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

function historyOf(
  { executor, definitions, stages, position }: BoundCheckpoint,
  windows: readonly AskedBorders[],
): Promise<ClockHistory> {
  return clockHistory(
    executor,
    'ledger',
    Object.keys(position.sources),
    delaysOf(definitions.map(({ settings }) => settings)),
    stages.map(clockShape),
    windows.map(({ target, endUs }) => ({ stage: target.stage.id, us: endUs + target.stage.step.holdUs })),
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

interface Known {
  readonly history: ClockHistory
  /** Of the window among those that the history was asked for. */
  readonly index: number
  readonly records: (source: string) => SourceRecord
}

async function factsOf(
  found: BoundCheckpoint,
  { group }: WhyWindowOptions,
  window: AskedBorders,
  { history, index, records }: Known,
): Promise<WindowFacts> {
  const { reader, executor, position, definitions } = found
  const { flow, target, startUs, endUs } = window
  const { stage } = target
  const closesAtUs = endUs + stage.step.holdUs
  const clockUs = position.clocks[stage.id] ?? null
  const asked = Object.entries(group).map(([name, value]) => `${name} ${value}`)
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
