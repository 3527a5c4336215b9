import { formatOf } from '../../connectors/registry.ts'
import { bindFlows } from '../plan/bind.ts'
import { createGate } from '../plan/gate.ts'
import type { Pipeline } from '../plan/pipeline.ts'
import { type ColumnTypes, orderOf, type Relation, rowHidden } from '../plan/relation.ts'
import { type Sink, sinkOptions } from '../plan/sink.ts'
import { id } from '../plan/sql.ts'
import { applySteps, besideRows, type Flow, hiddenAfter, type Stage, stagesOf } from '../plan/stages.ts'
import { asksForChanges, changedRows, endColumns } from '../plan/updates.ts'
import { chain, type PlanNode } from '../plan/node.ts'
import type { Channel } from '../plan/step.ts'
import { afterText } from './report/after-text.ts'
import { checkFormat } from './read/check-format.ts'
import { components } from './components.ts'
import { openSession } from './duckdb/session.ts'
import { subscribeFlows } from './bind/flows.ts'

/** A pipeline as the engine would run it: plain data. */
export interface Explanation {
  readonly pipeline: string
  readonly source: { readonly name: string; readonly format: string; readonly columns: ColumnTypes }
  /** What becomes of objects when they are committed; null where they stay as they are. */
  readonly after: string | null
  readonly flows: readonly ExplainedFlow[]
}

export interface ExplainedFlow {
  readonly name: string
  /** Operators with their options, from source to end. */
  readonly steps: readonly { readonly op: string; readonly options: unknown }[]
  /** Names the state's tables and channels; null for a flow without state. Flows with the same one share it. */
  readonly state: string | null
  /**
   * The SQL of each stage. `rows` stands for the epoch's rows as read, `partials` for state and the epoch's partial
   * rows, `beside` for the table of the stage of that name; 0 for the watermark up to which windows close. Of a flow
   * that gives changes `fresh` stands for the epoch's partial rows alone, `before` and `after` for the results out of
   * state, and out of state and those; 0 for the number of the epoch.
   */
  readonly stages: readonly { readonly stage: string; readonly sql: string }[]
  /** What the sink gets. */
  readonly columns: ColumnTypes
}

/** Binds a pipeline and tells its plan and the SQL of each stage; claims and reads nothing. */
export async function explain(pipeline: Pipeline): Promise<Explanation> {
  const subscribed = subscribeFlows(pipeline)
  const session = await openSession({ threads: 1 })
  try {
    const executor = await session.executor(new AbortController().signal)
    const bound = await bindFlows(subscribed.terminals, createGate(executor), executor)
    const { settings, policies, after } = subscribed.definition
    await checkFormat(formatOf(settings, policies, components.formats), settings.name, executor)
    for (const { terminal, name } of bound.flows())
      if (terminal.is === 'sink')
        components.sinks
          .find(({ kind }) => kind === terminal.sink.sink)
          ?.rows?.(terminal.sink, endColumns(terminal), name)
    const rows: Relation = { sql: 'SELECT * FROM rows', columns: settings.columns, hidden: rowHidden }
    return {
      pipeline: pipeline.name,
      source: { name: settings.name, format: settings.format, columns: settings.columns },
      after: afterText(after, pipeline.name) ?? null,
      flows: bound.flows().map(flow => explainFlow(flow, rows)),
    }
  } finally {
    subscribed.unsubscribe()
    await session.close()
  }
}

/** `{ files: 'data/output', format: 'parquet' }` */
function explainSink(given: Sink): object {
  const { sink: _, ...options } = sinkOptions(given)
  return { [given.sink]: given.uri, ...options, ...given.hold }
}

function explainFlow(flow: Flow, rows: Relation): ExplainedFlow {
  const { name, terminal, after } = flow
  const stages: { stage: string; sql: string }[] = []
  const given = (input: Relation, { op, step, columns }: PlanNode): Relation => {
    const name = `given_${stages.filter(({ stage }) => stage.startsWith('function ')).length + 1}`
    stages.push({ stage: `function ${op} of TypeScript, not portable: gives ${name} for`, sql: input.sql })
    return { ...input, sql: `SELECT * FROM ${name}`, columns, hidden: hiddenAfter(input, step) }
  }
  const steps = stagesOf(flow)
  let input = rows
  let result = rows
  for (const [index, { step, op, before }] of steps.entries()) {
    // One stateful step needs no name; of several each is told by its place.
    const own = steps.length > 1 ? `${op} ${index + 1}: ` : ''
    const read = applySteps(input, before, given)
    if (step.beside) stages.push({ stage: `${own}beside`, sql: step.beside.table(read) })
    const from = besideRows(step, read, 'beside')
    for (const channel of step.channels) {
      const of = channel.name === '' ? '' : ` ${channel.name}`
      stages.push({ stage: `${own}partial${of}`, sql: channel.partial(from) })
      stages.push({
        stage: `${own}merge${of}`,
        sql: channel.merge(`SELECT * FROM partials${of && `_${channel.name}`}`),
      })
    }
    stages.push({ stage: `${own}late`, sql: step.late.rows(from) })
    const partials = ({ name }: Channel) => `SELECT * FROM partials${name && `_${name}`}`
    result = step.emit({
      rows: from,
      partials: channel => [{ sql: partials(channel), isMerged: false }],
      committed: partials,
      fromUs: null,
      toUs: 0n,
    })
    if (index < steps.length - 1) stages.push({ stage: `${own}gives rows_${index + 1} for`, sql: result.sql })
    input = { sql: `SELECT * FROM rows_${index + 1}`, columns: step.columns, hidden: rowHidden }
  }
  const last = steps.at(-1)
  const output =
    terminal.emit === 'update' && last ? explainChanges(last, after, stages) : applySteps(result, after, given)
  const order = orderOf(output)
    .map(column => `${id(column)} ASC NULLS LAST`)
    .join(', ')
  const columns = Object.keys(output.columns).map(id).join(', ')
  stages.push({ stage: 'output', sql: `SELECT ${columns} FROM (${output.sql}) ORDER BY ${order}` })
  const end =
    terminal.is === 'rows' ? { op: terminal.op, options: {} } : { op: 'to', options: explainSink(terminal.sink) }
  const emit = asksForChanges(terminal.emit)
  return {
    name,
    steps: [
      ...chain(terminal.node).map(({ op, options }) => ({ op, options })),
      { ...end, options: { ...end.options, ...emit } },
    ],
    state: steps.at(-1)?.id ?? null,
    stages,
    columns: output.columns,
  }
}

/** What the epoch's rows change of results. */
function explainChanges({ step }: Stage, after: Flow['after'], stages: { stage: string; sql: string }[]): Relation {
  if (!step.updates) throw new Error('unreachable: results that do not change give no changes')
  stages.push({ stage: 'touched', sql: step.updates.touched('SELECT * FROM fresh', null) })
  const results = step.updates.results(
    ({ name }) => [{ sql: `SELECT * FROM partials${name && `_${name}`}`, isMerged: false }],
    'touched',
    null,
  )
  stages.push({ stage: 'before, after', sql: results.sql })
  const [was, is] = ['before', 'after'].map(table => applySteps({ ...results, sql: `SELECT * FROM ${table}` }, after))
  return changedRows(was as Relation, is as Relation, '0')
}
