import { bindFlows, rowHidden } from '../plan/bind.ts'
import { createGate } from '../plan/gate.ts'
import type { Pipeline } from '../plan/pipeline.ts'
import type { ColumnTypes, Relation } from '../plan/relation.ts'
import { id } from '../plan/sql.ts'
import { applySteps, hiddenAfter } from '../plan/stages.ts'
import { chain, type PlanNode } from '../plan/node.ts'
import { openSession } from './duckdb/session.ts'
import { subscribeFlows } from './flows.ts'

/** A pipeline as the engine would run it: plain data. */
export interface Explanation {
  readonly pipeline: string
  readonly source: { readonly name: string; readonly format: string; readonly columns: ColumnTypes }
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
   * rows; 0 for the watermark up to which windows close.
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
    const flows = await bindFlows(subscribed.terminals, createGate(executor), executor)
    const { settings } = subscribed.definition
    const rows: Relation = { sql: 'SELECT * FROM rows', columns: settings.columns, hidden: rowHidden }
    return {
      pipeline: pipeline.name,
      source: { name: settings.name, format: settings.format, columns: settings.columns },
      flows: flows.map(({ name, terminal, stateful, after }) => {
        const stages: { stage: string; sql: string }[] = []
        const given = (input: Relation, { op, step, columns }: PlanNode): Relation => {
          const name = `given_${stages.filter(({ stage }) => stage.startsWith('function ')).length + 1}`
          stages.push({ stage: `function ${op} of TypeScript, not portable: gives ${name} for`, sql: input.sql })
          return { sql: `SELECT * FROM ${name}`, columns, hidden: hiddenAfter(input, step) }
        }
        let result = rows
        if (stateful) {
          const before = applySteps(rows, stateful.before, given)
          for (const table of stateful.step.tables) {
            const of = table.name === '' ? '' : ` ${table.name}`
            stages.push({ stage: `partial${of}`, sql: table.partial(before) })
            stages.push({ stage: `merge${of}`, sql: table.merge(`SELECT * FROM partials${of && `_${table.name}`}`) })
          }
          stages.push({ stage: 'late', sql: stateful.step.late(before) })
          result = stateful.step.emit(
            ({ name: table }) => [{ sql: `SELECT * FROM partials${table && `_${table}`}`, isMerged: false }],
            null,
            0n,
          )
        }
        const output = applySteps(result, after, given)
        const order = output.hidden.map(column => `${id(column)} ASC NULLS LAST`).join(', ')
        const columns = Object.keys(output.columns).map(id).join(', ')
        stages.push({ stage: 'output', sql: `SELECT ${columns} FROM (${output.sql}) ORDER BY ${order}` })
        const end =
          terminal.is === 'rows'
            ? { op: terminal.op, options: {} }
            : { op: 'to', options: { files: terminal.uri, format: terminal.format } }
        return {
          name,
          steps: [...chain(terminal.node).map(({ op, options }) => ({ op, options })), end],
          state: stateful?.id ?? null,
          stages,
          columns: output.columns,
        }
      }),
    }
  } finally {
    subscribed.unsubscribe()
    await session.close()
  }
}
