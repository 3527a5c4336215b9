import { formatOf } from '../../connectors/registry.ts'
import { lateRelation, noAside } from '../plan/aside.ts'
import { type BoundFlows, bindFlows } from '../plan/bind.ts'
import { createGate, type Gate } from '../plan/gate.ts'
import type { Pipeline } from '../plan/pipeline.ts'
import { type ColumnTypes, type Emitted, orderOf, type Relation, resultColumn, rowHidden } from '../plan/relation.ts'
import { id } from '../plan/sql.ts'
import {
  applySteps,
  besideRows,
  type BoundNode,
  type Branch,
  type Flow,
  hiddenAfter,
  isBehind,
  type Leaf,
  type Stage,
  stagesOf,
  type StepParts,
} from '../plan/stages.ts'
import { changedRows, changesBy, changeUnit, endColumns } from '../plan/updates.ts'
import { planJson, type PlanNode, sourcesOf } from '../plan/node.ts'
import type { StateChannel } from '../plan/step.ts'
import { unionRows } from '../plan/union-rows.ts'
import { afterText } from './report/after-text.ts'
import { endOptions, type PlanGraph, planGraph } from './report/plan-graph.ts'
import { checkFormat } from './read/check-format.ts'
import { components } from './components.ts'
import type { SessionExecutor } from './duckdb/executor.ts'
import { openSession } from './duckdb/session.ts'
import { describeFlows } from './bind/describe-flows.ts'
import { fitPlan } from './bind/fit-plan.ts'
import { type PlanFigures, planFigures } from './inspect/plan-figures.ts'
import type { Flows } from './bind/flows.ts'

/** A pipeline as the engine would run it: plain data. */
export interface Explanation {
  /** Of what `--json` prints: it changes when a field goes, or means something else. */
  readonly version: 1
  readonly pipeline: string
  /** The checkpoint whose figures the picture has; null where none was read. */
  readonly checkpoint: ExplainedCheckpoint | null
  /** All flows as one picture. */
  readonly graph: PlanGraph
  readonly sources: readonly ExplainedSource[]
  readonly flows: readonly ExplainedFlow[]
}

export interface ExplainedCheckpoint {
  readonly address: string
  /** Its last one; null where it could not be read. */
  readonly epoch: number | null
  /** Why there are no figures; null where there are. */
  readonly problem: string | null
}

export interface ExplainedSource {
  readonly name: string
  readonly format: string
  readonly columns: ColumnTypes
  /** What becomes of objects when they are committed; null where they stay as they are. */
  readonly after: string | null
}

export interface ExplainedStep {
  readonly op: string
  readonly options: unknown
  /** The places of what feeds it among the steps; absent where that is the one before. */
  readonly inputs?: readonly number[]
}

export interface ExplainedFlow {
  readonly name: string
  /** Operators with their options, from source to end. */
  readonly steps: readonly ExplainedStep[]
  /** Names the state's tables and channels; null for a flow without state. Flows with the same one share it. */
  readonly state: string | null
  /**
   * The SQL of each stage. `rows` stands for the epoch's rows as read (`"rows of trips"` where there are several
   * sources), `partials` for state and the epoch's partial
   * rows, `own` for the latter alone, `beside` for the table of the stage of that name; 0 for the watermark up to which
   * windows close. Of a flow that gives changes `before` and `after` stand for the results out of state, and out of
   * state and the epoch's partial rows; 0 for the number of the epoch.
   */
  readonly stages: readonly { readonly stage: string; readonly sql: string }[]
  /** What the sink gets. */
  readonly columns: ColumnTypes
}

/** A pipeline that is bound and nothing more. */
export interface Looked {
  readonly subscribed: Flows
  readonly bound: BoundFlows
  readonly flows: readonly Flow[]
  readonly gate: Gate
  readonly executor: SessionExecutor
  /** A folder for files that are looked at. */
  readonly stage: string
}

/** Binds a pipeline and looks at what it is; claims nothing and reads no data. */
export async function lookAt<T>(pipeline: Pipeline, look: (looked: Looked) => T | Promise<T>): Promise<T> {
  const subscribed = await describeFlows(pipeline)
  const session = await openSession({ threads: 1 })
  try {
    const executor = await session.executor(new AbortController().signal)
    const gate = createGate(executor)
    const bound = await bindFlows(subscribed.terminals, gate, executor)
    for (const { settings, policies } of subscribed.definitions)
      await checkFormat(formatOf(settings, policies, components.formats), `source ${settings.name}`, executor)
    for (const { settings, policies } of subscribed.lookups)
      await checkFormat(formatOf(settings, policies, components.formats), `lookup ${settings.name}`, executor)
    const flows = bound.flows()
    for (const { terminal, name } of flows)
      if (terminal.is === 'sink')
        components.sinks
          .find(({ kind }) => kind === terminal.sink.sink)
          ?.rows?.(terminal.sink, endColumns(terminal), name, changesBy(terminal))
    return await look({ subscribed, bound, flows, gate, executor, stage: session.stage })
  } finally {
    subscribed.unsubscribe()
    await session.close()
  }
}

/**
 * Tells a pipeline's plan and the SQL of each stage.
 *
 * @param checkpoint the address of a checkpoint whose figures are told; absent: none is looked at
 */
export function explain(pipeline: Pipeline, checkpoint?: string): Promise<Explanation> {
  return lookAt(pipeline, async ({ subscribed, bound, flows, gate, executor, stage }) => {
    const found: PlanFigures =
      checkpoint === undefined ? { is: 'none' } : await planFigures(checkpoint, stage, executor)
    const isOwn = found.is === 'read' && found.pipeline === pipeline.name
    const { ids } = await fitPlan(isOwn ? found.manifest : undefined, pipeline.name, bound, gate)
    const held = isOwn ? { held: found.figures } : {}
    const byColumns = new Set(
      subscribed.definitions
        .filter(({ settings, policies }) => formatOf(settings, policies, components.formats).needed !== undefined)
        .map(({ settings }) => settings.name),
    )
    return {
      version: 1,
      pipeline: pipeline.name,
      checkpoint: explainedCheckpoint(found, pipeline.name),
      graph: planGraph({ pipeline: pipeline.name, ...subscribed, ids, byColumns, ...held }),
      sources: subscribed.definitions.map(({ settings: { name, format, columns }, after }) => ({
        name,
        format,
        columns,
        after: afterText(after, pipeline.name) ?? null,
      })),
      flows: flows.map(flow => explainFlow(flow)),
    }
  })
}

function explainedCheckpoint(found: PlanFigures, name: string): ExplainedCheckpoint | null {
  if (found.is === 'none') return null
  if (found.is === 'unread') return { address: found.address, epoch: null, problem: found.why }
  const { address, figures, pipeline } = found
  const problem = pipeline === name ? null : `it is that of pipeline ${pipeline}`
  return { address, epoch: figures.epoch, problem }
}

/** Stands for the number of the last version before the row's entry in the ledger. */
const versionInForce = '"version before the row"'

function explainFlow(flow: Flow): ExplainedFlow {
  const { name, terminal } = flow
  const isOfOne = sourcesOf(terminal.node).length === 1
  const stages: { stage: string; sql: string }[] = []
  const steps = stagesOf(flow)
  const given = (input: Relation, { op, step, columns }: PlanNode): Relation => {
    const name = `given_${stages.filter(({ stage }) => stage.startsWith('function ')).length + 1}`
    stages.push({ stage: `function ${op} of TypeScript, not portable: gives ${name} for`, sql: input.sql })
    return { ...input, sql: `SELECT * FROM ${name}`, columns, hidden: hiddenAfter(input, step) }
  }
  const parts: StepParts = {
    given,
    lookup: ({ settings }) => ({ sql: `SELECT * FROM ${id(`lookup ${settings.name}`)}`, version: versionInForce }),
  }
  const leaf = (from: Leaf): Relation => {
    if (from.is === 'source') {
      const rows = isOfOne ? 'rows' : id(`rows of ${from.source}`)
      return { sql: `SELECT * FROM ${rows}`, columns: from.node.columns, hidden: rowHidden }
    }
    if (from.is === 'quarantine') {
      const { columns } = from.node
      return { ...noAside(columns), sql: `SELECT * FROM ${id(`set aside by ${from.source}`)}` }
    }
    if (from.is === 'late') {
      const { stage, index, node } = from
      const { late, ports } = stage.step
      const own = steps.length > 1 ? `${stage.op} ${steps.indexOf(stage) + 1}: ` : ''
      const table = id(`${own}${withName('late', ports?.[index])}`)
      return lateRelation(node, { table, order: ['_seq', '_row'], windows: late.columns, objects: 'FROM objects' })
    }
    const { columns, corrections } = from.stage.step
    const hidden = corrections ? [...rowHidden, resultColumn] : rowHidden
    return { sql: `SELECT * FROM rows_${steps.indexOf(from.stage) + 1}`, columns, hidden }
  }
  const read = ({ from, steps }: Branch): Relation =>
    applySteps(from.is === 'union' ? (unionRows(from, from.branches.map(read)) as Relation) : leaf(from), steps, parts)
  let last: Relation | undefined
  for (const [index, stage] of steps.entries()) {
    // One stateful step needs no name; of several each is told by its place.
    const own = steps.length > 1 ? `${stage.op} ${index + 1}: ` : ''
    const result = explainStage(stage, stage.inputs.map(read), (what, sql) => stages.push({ stage: own + what, sql }))
    const isReadOn =
      isBehind(flow.rows, stage) || steps.some(({ inputs }) => inputs.some(input => isBehind(input, stage)))
    if (flow.rows.from.is === 'stage' && flow.rows.from.stage === stage) last = result
    else if (isReadOn) stages.push({ stage: `${own}gives rows_${index + 1} for`, sql: result.sql })
  }
  const changing = terminal.emit === 'update' ? steps.at(-1) : undefined
  const ended = last ? applySteps(last, flow.rows.steps, parts) : read(flow.rows)
  const output = changing ? explainChanges(changing, flow.rows.steps, stages) : ended
  const order = orderOf(output)
    .map(column => `${id(column)} ASC NULLS LAST`)
    .join(', ')
  const columns = Object.keys(output.columns).map(id).join(', ')
  stages.push({ stage: 'output', sql: `SELECT ${columns} FROM (${output.sql}) ORDER BY ${order}` })
  return {
    name,
    steps: [
      ...(planJson(terminal.node) as unknown as readonly ExplainedStep[]),
      { op: terminal.is === 'rows' ? terminal.op : 'to', options: endOptions(terminal) },
    ],
    state: steps.at(-1)?.id ?? null,
    stages,
    columns: output.columns,
  }
}

/** What the epoch's rows change of results. */
function explainChanges(
  { step }: Stage,
  after: readonly BoundNode[],
  stages: { stage: string; sql: string }[],
): Relation {
  if (!step.updates) throw new Error('unreachable: results that do not change give no changes')
  const unit = changeUnit(after)
  stages.push({ stage: 'touched', sql: step.updates.touched(unit, 'SELECT * FROM own', null) })
  const results = step.updates.results(
    unit,
    ({ name }) => [{ sql: `SELECT * FROM partials${name && `_${name}`}`, isMerged: false }],
    'touched',
    null,
  )
  stages.push({ stage: 'before, after', sql: results.sql })
  const [was, is] = ['before', 'after'].map(table => applySteps({ ...results, sql: `SELECT * FROM ${table}` }, after))
  return changedRows(was as Relation, is as Relation, orderOf(results), '0')
}

/** Tells the SQL of a stage. @param inputs its rows @returns what it gives */
function explainStage(
  { step }: Stage,
  inputs: readonly Relation[],
  tell: (what: string, sql: string) => void,
): Emitted {
  const from = inputs.map((rows, index) => {
    if (step.beside) tell(withName('beside', step.ports?.[index]), step.beside.table(rows))
    return besideRows(step, rows, 'beside')
  })
  const partials = ({ name }: StateChannel) => `SELECT * FROM partials${name && `_${name}`}`
  const own = ({ name }: StateChannel) => `SELECT * FROM own${name && `_${name}`}`
  const view = {
    rows: from[0] as Relation,
    partials: (channel: StateChannel) => [{ sql: partials(channel), isMerged: false }],
    committed: partials,
    own,
    fromUs: null,
    toUs: 0n,
  }
  for (const channel of step.channels) {
    tell(withName('partial', channel.name), channel.partial(from[channel.input ?? 0] as Relation))
    tell(withName('merge', channel.name), channel.merge(partials(channel)))
  }
  for (const channel of step.learnt ?? []) {
    tell(withName('learn', channel.name), channel.learn(view))
    tell(withName('merge', channel.name), channel.merge(partials(channel)))
  }
  for (const [index, rows] of from.entries()) tell(withName('late', step.ports?.[index]), step.late.rows(rows))
  return step.emit(view)
}

function withName(what: string, name: string | undefined): string {
  return name ? `${what} ${name}` : what
}
