import type { RecordBatch } from 'apache-arrow'
import { MillraceError } from '../../core/errors.ts'
import { type ParsedType, parseColumnType } from '../../core/types.ts'
import { type PlanNode, planKey, timeNameOf } from '../../plan/node.ts'
import { inputAlias, inputColumn, ordinalColumn, type Relation } from '../../plan/relation.ts'
import { id } from '../../plan/sql.ts'
import type { LookupDefinition, LookupRows } from '../../plan/lookup.ts'
import { applySteps, type BoundNode, hiddenAfter } from '../../plan/stages.ts'
import type { FunctionCall } from '../../plan/step.ts'
import { arrowWire } from '../duckdb/arrow-types.ts'
import { type Chunk, rowWire } from '../duckdb/chunks.ts'
import type { SessionExecutor } from '../duckdb/executor.ts'
import { filterRows } from './filter-rows.ts'
import type { Column, Pass } from './function-pass.ts'
import { mapBatches } from './map-batches.ts'
import { mapRows } from './map-rows.ts'

/** Where functions of TypeScript run. */
export interface FunctionRun {
  readonly executor: SessionExecutor
  /** Makes a table of the query; dropped with the epoch's other tables. */
  table(sql: string): Promise<string>
  /** The object of a sequence number, for errors about rows as read; absent behind a stage. */
  keyOf?(seq: number): string | undefined
  /** A window follows, so the event time must be handed on unchanged. */
  readonly isBeforeWindow?: boolean
  /** What each function of this epoch gave, by its plan: flows that share a function share its rows. */
  readonly given?: Map<string, Relation>
  /** The versions of a lookup that the rows may meet. */
  lookup(of: LookupDefinition): LookupRows
}

/**
 * As `applySteps`, with functions run: what is before one streams through it into a table, and what follows reads that.
 * Without functions nothing runs.
 */
export async function runSteps(run: FunctionRun, input: Relation, steps: readonly BoundNode[]): Promise<Relation> {
  const parts = { lookup: run.lookup }
  let relation = input
  let from = 0
  for (const [index, { node }] of steps.entries()) {
    if (node.step.is !== 'function') continue
    const key = planKey(node)
    relation =
      run.given?.get(key) ??
      (await runFunction(run, applySteps(relation, steps.slice(from, index), parts), node, node.step.call))
    run.given?.set(key, relation)
    from = index + 1
  }
  return applySteps(relation, steps.slice(from), parts)
}

function columnsOf(columns: Relation['columns'], wireOf: (type: ParsedType) => string): readonly Column[] {
  return Object.entries(columns).map(([name, text]) => {
    const type = parseColumnType(text, name)
    return { name, type, wire: wireOf(type) }
  })
}

async function runFunction(run: FunctionRun, input: Relation, node: PlanNode, call: FunctionCall): Promise<Relation> {
  const wireOf = call.is === 'map-batches' ? arrowWire : rowWire
  const inputs = columnsOf(input.columns, wireOf)
  const outputs = columnsOf(node.columns, wireOf)
  const hidden = hiddenAfter(input, node.step)
  const time = timeNameOf(node)
  const pass: Pass = {
    op: node.op,
    hidden: input.hidden,
    inputs,
    outputs,
    time: run.isBeforeWindow && time !== undefined && Object.hasOwn(node.columns, time) ? time : undefined,
    fail: (chunk, row, what, cause) =>
      new MillraceError(
        'fatal',
        'function',
        `${node.op}: ${whereIs(run, input.hidden, inputs, chunk, row)}: ${what}. ` +
          'Nothing of its epoch was counted. Correct the function, or leave such rows out before it.',
        cause,
      ),
  }
  const items = inputs.map(({ name, type, wire }) => {
    const column = inputColumn(name)
    return `${wire === type.sql ? column : `CAST(${column} AS ${wire})`} AS ${id(name)}`
  })
  const from = `FROM (${input.sql}) AS ${id(inputAlias)}`
  // Rows that one row became are numbered on by the next function, so it must see them in order.
  const isChained = call.is === 'map-rows' && input.hidden.includes(ordinalColumn)
  // Results of an aggregate come in any order, and an error should name the same one each time.
  const isOrdered = isChained || !input.hidden.includes('_seq')
  const order = isOrdered ? ` ORDER BY ${input.hidden.map(name => `${inputColumn(name)} NULLS LAST`).join(', ')}` : ''
  const query = `SELECT ${[...input.hidden.map(inputColumn), ...items].join(', ')} ${from}${order}`
  const shape = [
    ...hidden.map(name => (input.hidden.includes(name) ? inputColumn(name) : `CAST(0 AS BIGINT) AS ${name}`)),
    ...outputs.map(({ name, wire }) => `CAST(NULL AS ${wire}) AS ${id(name)}`),
  ]
  const table = await run.table(`SELECT ${shape.join(', ')} ${from} LIMIT 0`)
  const through =
    call.is === 'map-rows'
      ? mapRows(pass, call.of as (row: unknown) => unknown, hidden, isChained)
      : call.is === 'filter-rows'
        ? filterRows(pass, call.of as (row: unknown) => unknown)
        : await mapBatches(pass, call.of as (batch: RecordBatch) => unknown, input.columns)
  await run.executor.through(query, table, through.pass, through.end)
  const given = [
    ...hidden.map(id),
    ...outputs.map(({ name, type, wire }) =>
      wire === type.sql ? id(name) : `CAST(${id(name)} AS ${type.sql}) AS ${id(name)}`,
    ),
  ]
  return { ...input, sql: `SELECT ${given.join(', ')} FROM ${table}`, columns: node.columns, hidden }
}

/** `object 'trips/1.parquet', row 7`; after a window, where no object is, the row's own columns. */
function whereIs(
  run: FunctionRun,
  hidden: readonly string[],
  inputs: readonly Column[],
  chunk: Chunk,
  row: number,
): string {
  const item = (name: string) => chunk.getColumnVector(hidden.indexOf(name)).getItem(row)
  if (run.keyOf && hidden.includes('_seq') && hidden.includes('_row')) {
    const key = run.keyOf(Number(item('_seq')))
    const object = key === undefined ? `object number ${String(item('_seq'))}` : `object '${key}'`
    return `${object}, row ${String(item('_row'))}`
  }
  const values = inputs
    .slice(0, 5)
    .map(({ name }, column) => `${name} ${String(chunk.getColumnVector(hidden.length + column).getItem(row))}`)
  return `the row of ${values.join(', ')}`
}
