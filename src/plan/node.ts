import type { CallSite } from '../core/call-site.ts'
import { MillraceError } from '../core/errors.ts'
import type { Json } from '../core/json.ts'
import type { ColumnTypes } from './relation.ts'
import type { SourceSettings } from './source-settings.ts'
import type { StatefulContext, Step } from './step.ts'

/** One step of a plan with its options: what an operator adds. Plain data but for `step`, which `op` names. */
export interface PlanNode {
  readonly op: string
  readonly options: Json
  readonly input: PlanNode | undefined
  readonly columns: ColumnTypes
  readonly step: Step
  /** Where the user's file calls the operator: for messages, no part of the plan. */
  readonly at?: CallSite
}

/** The plan from source to end. */
export function chain(node: PlanNode): readonly PlanNode[] {
  return node.input ? [...chain(node.input), node] : [node]
}

/** The plan as data: what must stay equal for a checkpoint to fit. Says everything that shapes the answer, in order. */
export function planJson(node: PlanNode): readonly Json[] {
  return chain(node).map(({ op, options }) => ({ op, options }))
}

/** Equal plans have equal keys. */
export function planKey(node: PlanNode): string {
  return JSON.stringify(planJson(node))
}

/** The settings of the source that a plan begins with. */
export function sourceOf(node: PlanNode): SourceSettings {
  const head = chain(node)[0] as PlanNode
  return head.options as unknown as SourceSettings
}

/** What a stateful step after this node is folded from: the annotations since the source. */
export function statefulContext(node: PlanNode): StatefulContext {
  const { time } = sourceOf(node)
  const group = node
  const window = group.input
  if (group.step.is !== 'group' || window?.step.is !== 'window')
    throw new MillraceError(
      'user',
      'plan',
      `aggregate: expected tumbling or hopping and then groupBy before it, found ${chain(node)
        .map(({ op }) => op)
        .join(', ')}.`,
    )
  return {
    input: node.columns,
    time,
    windows: window.step.assigner(window.options as never),
    keys: group.step.keys(group.options as never),
  }
}

/** Refuses what a step may not follow, naming both. */
export function checkOrder(input: PlanNode, step: Step): void {
  const before = chain(input)
  const open = input.step.is === 'window' || input.step.is === 'group'
  const fail = (what: string) => {
    throw new MillraceError('user', 'plan', `${step.op}: ${what}`)
  }
  if (step.is === 'window') {
    const stateful = before.find(node => node.step.is === 'stateful')
    if (stateful)
      fail(
        `a second stateful step after '${stateful.op}' is not in this release; write the first result with to() and read it in another pipeline.`,
      )
    const { time } = sourceOf(input)
    if (!Object.hasOwn(input.columns, time))
      fail(`the event time column '${time}' is gone; keep it in select() and in the columns of functions.`)
    if (before.some(node => node.op === 'derive' && Object.hasOwn(node.options as object, time)))
      fail(
        `the event time column '${time}' was replaced by derive(); watermarks are taken from the column as read, so derive another name.`,
      )
    const type = (columns: ColumnTypes) => columns[time]?.replace(/ NOT NULL$/, '')
    const remade = before.find(
      ({ step: { is }, input, columns }) =>
        is === 'function' && Object.hasOwn(columns, time) && type(input?.columns ?? {}) !== type(columns),
    )
    if (remade)
      fail(
        `the event time column '${time}' was made anew by ${remade.op}(); watermarks are taken from the column as read, so hand it on with its type, ${type(before[0]?.columns ?? {})}.`,
      )
  }
  if (
    open &&
    !(step.is === 'group' && input.step.is === 'window') &&
    !(step.is === 'stateful' && input.step.is === 'group')
  )
    fail(`cannot follow ${input.op}; ${input.step.is === 'window' ? 'groupBy' : 'aggregate'} must come next.`)
}
