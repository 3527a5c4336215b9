import { of, type OperatorFunction } from 'rxjs'
import type { Json } from '../core/json.ts'
import { calledAt } from '../core/call-site.ts'
import { toError } from '../core/errors.ts'
import { type AskedSteps, UnknownSteps } from '../plan/asked-steps.ts'
import { PlannedBatch } from '../plan/mini-batch.ts'
import type { PlanNode } from '../plan/node.ts'
import { within } from '../plan/run-scope.ts'
import type { SourceDefinition } from '../plan/source-definition.ts'
import type { SourceStep } from '../plan/step.ts'
import { Stream } from '../plan/stream.ts'
import { placed, siteOf, type SqlFile } from './sql-error.ts'

/** A flow that a query goes on from, with what is known of it. */
export interface Rows {
  readonly flow: Stream<unknown>
  /** Its last step, which has its columns. */
  readonly node: PlanNode
}

const sourceStep: SourceStep = { is: 'source', op: 'source', columns: input => input }
const heads = new WeakMap<SourceDefinition, PlanNode>()

/** A source's node: one for each, as flows of one source meet in it. */
function headOf(definition: SourceDefinition): PlanNode {
  const { settings } = definition
  const head = heads.get(definition) ?? {
    op: 'source',
    options: settings as unknown as Json,
    inputs: [],
    columns: settings.columns,
    step: sourceStep,
  }
  heads.set(definition, head)
  return head
}

/**
 * Describes a flow without running it.
 *
 * @returns its last step; undefined of a flow that has ended
 * @throws what its steps refuse; UnknownSteps of a function that has queries of its own
 */
function describeFlow(flow: Stream<unknown>): PlanNode | undefined {
  let node: PlanNode | undefined
  let failure: Error | undefined
  const unknown: AskedSteps[] = []
  const collector = { end: () => {}, ask: (asked: AskedSteps) => void unknown.push(asked) }
  const scope = { head: (asked: SourceDefinition) => of(new PlannedBatch(0, headOf(asked), collector)) }
  within(scope, () =>
    flow.subscribe({
      next: batch => {
        if (batch instanceof PlannedBatch) node = batch.node
      },
      error: error => {
        failure = toError(error)
      },
    }),
  )
  if (failure) throw failure
  if (unknown.length > 0) throw new UnknownSteps(unknown)
  return node
}

/** The rows of a step that stands in a plan already. */
export function rowsBehind(node: PlanNode): Rows {
  const ask = ({ query }: AskedSteps) => {
    throw new Error(`unreachable: ${query} stands in no query`)
  }
  const flow = new Stream<unknown>(subscriber => {
    subscriber.next(new PlannedBatch(0, node, { end: () => {}, ask }))
  })
  return { flow, node }
}

type AnyOperator = OperatorFunction<never, unknown>

/** The rows behind one more step. What the step refuses is told with this place of the text. */
export function followed(rows: Rows, file: SqlFile, at: number, make: () => unknown): Rows {
  return begun(file, at, () => rows.flow.pipe(make() as AnyOperator as OperatorFunction<unknown, unknown>))
}

/** The rows of a flow that begins here. */
export function begun(file: SqlFile, at: number, make: () => Stream<unknown>): Rows {
  try {
    const flow = calledAt(siteOf(file, at), make)
    const node = describeFlow(flow)
    if (!node) throw new Error('unreachable: the flow described nothing')
    return { flow, node }
  } catch (error) {
    throw placed(file, at, error)
  }
}

/** A flow that ends with this step. What the step refuses is told with this place of the text. */
export function ended(rows: Rows, file: SqlFile, at: number, make: () => unknown): Stream<unknown> {
  try {
    const flow = calledAt(siteOf(file, at), () =>
      rows.flow.pipe(make() as AnyOperator as OperatorFunction<unknown, unknown>),
    )
    describeFlow(flow)
    return flow
  } catch (error) {
    throw placed(file, at, error)
  }
}
