import type { CallSite } from '../core/call-site.ts'
import { MillraceError } from '../core/errors.ts'
import type { Json } from '../core/json.ts'
import type { ColumnTypes } from './relation.ts'
import type { SourceSettings } from './source-settings.ts'
import type { GroupsContext, RowsContext, Stateful, StatefulStep, Step } from './step.ts'

/** One step of a plan with its options: what an operator adds. Plain data but for `step`, which `op` names. */
export interface PlanNode {
  readonly op: string
  readonly options: Json
  /** What feeds it: nothing feeds a source. */
  readonly inputs: readonly PlanNode[]
  readonly columns: ColumnTypes
  readonly step: Step
  /** Where the user's file calls the operator: for messages, no part of the plan. */
  readonly at?: CallSite
}

/** The plan up to a step: each step once, after those that feed it. */
export function chain(end: PlanNode): readonly PlanNode[] {
  const found = new Set<PlanNode>()
  const visit = (node: PlanNode) => {
    if (found.has(node)) return
    for (const input of node.inputs) visit(input)
    found.add(node)
  }
  visit(end)
  return [...found]
}

/** What feeds a step that takes the rows of one. */
export function inputOf({ op, inputs }: PlanNode): PlanNode {
  const [input, ...others] = inputs
  if (!input || others.length > 0) throw new Error(`unreachable: ${op} has ${inputs.length} inputs`)
  return input
}

/**
 * The plan as data: all that shapes the answer, as the user wrote it. A step follows the one before it, unless `inputs`
 * names the places of others.
 */
export function planJson(end: PlanNode): readonly Json[] {
  const nodes = chain(end)
  return nodes.map(({ op, options, inputs }, place) => {
    const places = inputs.map(input => nodes.indexOf(input))
    const follows = place === 0 ? places.length === 0 : places.length === 1 && places[0] === place - 1
    return { op, options, ...(follows ? {} : { inputs: places }) }
  })
}

/** Equal plans have equal keys. */
export function planKey(node: PlanNode): string {
  return JSON.stringify(planJson(node))
}

/** The settings of the source that a plan begins with. */
export function sourceSettingsOf(node: PlanNode): SourceSettings {
  const head = chain(node)[0] as PlanNode
  return head.options as unknown as SourceSettings
}

const windowMissing = 'rows are aggregated in windows: add a window such as tumbling(...) before it'

/** Describes a stateful step after this node. */
export function foldStep<O extends Json>(
  node: PlanNode,
  step: StatefulStep<O>,
  options: O,
  bound?: readonly string[],
): Stateful {
  return step.takes === 'groups'
    ? step.fold(groupsContext(node, step.op), options, bound)
    : step.fold(rowsContext(node), options, bound)
}

/**
 * What a step after this node is folded from where it takes rows. Windows keep the event time's type, so it is the
 * source's.
 */
function rowsContext(node: PlanNode): RowsContext {
  const { time, columns } = sourceSettingsOf(node)
  if (time === undefined) throw new Error('unreachable: checkTime lets no step follow that needs an event time')
  return { input: node.columns, timeType: withoutNull(columns[time]) }
}

/** What a step after this node is folded from where it takes groups: the annotations before it as well. */
export function groupsContext(node: PlanNode, op: string): GroupsContext {
  const group = node
  const [window] = group.inputs
  if (group.step.is !== 'group' || window?.step.is !== 'window')
    throw new MillraceError(
      'user',
      'plan',
      `${op}: ${windowMissing}; found ${chain(node)
        .map(found => found.op)
        .join(', ')}.`,
    )
  return {
    ...rowsContext(node),
    windows: window.step.assigner(window.options as never),
    keys: group.step.keys(group.options as never),
  }
}

/** Refuses what a step may not follow, naming both. */
export function checkOrder(input: PlanNode, step: Step): void {
  const fail = (what: string) => {
    throw new MillraceError('user', 'plan', `${step.op}: ${what}`)
  }
  if (step.is === 'window' || step.is === 'stateful') {
    checkTime(input, fail)
    checkNotEndless(input, fail)
  }
  const isOpen = input.step.is === 'window' || input.step.is === 'group'
  const closes =
    (step.is === 'group' && input.step.is === 'window') ||
    (step.is === 'stateful' && step.takes === 'groups' && input.step.is === 'group')
  if (step.is === 'group' && input.step.is === 'group')
    fail('cannot follow groupBy; name all keys in one groupBy(...).')
  if (step.is === 'group' && !isOpen) fail(`${windowMissing}.`)
  if (step.is === 'stateless' && step.unit === 'window' && !isOpen) checkSharedWindow(input, step.op, fail)
  if (isOpen && !closes) fail(`cannot follow ${input.op}; add aggregate({...}) before it, which makes rows of windows.`)
}

/** What compares the rows of a window needs them together: all groups share the windows of the aggregate before it. */
function checkSharedWindow(input: PlanNode, op: string, fail: (what: string) => void): void {
  const before = chain(input).findLast(({ step }) => step.is === 'stateful' && !('keepsTimes' in step))
  if (before?.step.is !== 'stateful' || before.step.takes !== 'groups') {
    fail(
      'compares the rows of a window, which an aggregate makes: ' +
        `write tumbling('1 day'), groupBy(...), aggregate({...}), ${op}(...). ` +
        "For the largest values among the rows as they are write aggregate({ top: largest('column', 10) }).",
    )
    return
  }
  const { windows } = groupsContext(inputOf(before), op)
  if (windows.together)
    fail(
      'cannot follow an aggregate of sessions: each has a window of its own, and nothing in it to be compared with. ' +
        "Fold them into windows first: tumbling('1 day'), groupBy(...), aggregate({...}). " +
        "For the largest sessions of a day write aggregate({ top: largest('column', 10) }) there.",
    )
}

/** What comes of all rows together has no time of its own, by which anything could go on. */
function checkNotEndless(input: PlanNode, fail: (what: string) => void): void {
  const nodes = chain(input)
  const endless = nodes.findIndex(({ step }) => step.is === 'window' && step.isEndless)
  const state = nodes.slice(endless + 1).find(({ step }) => step.is === 'stateful')
  if (endless >= 0 && state)
    fail(
      `cannot follow ${state.op} over ${nodes[endless]?.op}(), ` +
        'whose rows come when all is over and have no time; end the flow with to(...).',
    )
}

/**
 * There must be an event time. It rides along hidden; a visible column of its name must still be it, or windows would
 * surprise.
 */
function checkTime(input: PlanNode, fail: (what: string) => never): void {
  const before = sinceState(input)
  const { name, time } = sourceSettingsOf(input)
  if (time === undefined)
    fail(
      `it goes by an event time, and source ${name} has none; ` +
        "name the column in the options of the source, such as time: 'at'.",
    )
  if (before[0]?.step.is !== 'source') return
  if (before.some(node => node.op === 'derive' && Object.hasOwn(node.options as object, time)))
    fail(
      `the event time column '${time}' was replaced by derive(); ` +
        'watermarks are taken from the column as read, so derive another name.',
    )
  if (before.some(node => node.op === 'rename' && Object.values(node.options as object).includes(time)))
    fail(
      `the event time column '${time}' was replaced by rename(); ` +
        'watermarks are taken from the column as read, so give the other column another name.',
    )
  const type = (columns: ColumnTypes) => withoutNull(columns[time])
  const remade = before.find(
    ({ step: { is }, inputs: [from], columns }) =>
      is === 'function' && Object.hasOwn(columns, time) && type(from?.columns ?? {}) !== type(columns),
  )
  if (remade)
    fail(
      `the event time column '${time}' was made anew by ${remade.op}(); ` +
        `watermarks are taken from the column as read, so hand it on with its type, ${type(before[0].columns)}.`,
    )
}

/** The plan from the last stateful step on, or from the source. */
function sinceState(node: PlanNode): readonly PlanNode[] {
  const nodes = chain(node)
  const last = nodes.findLastIndex(({ step }) => step.is === 'stateful')
  return nodes.slice(Math.max(last, 0))
}

function withoutNull(type: string | undefined): string {
  return (type ?? '').replace(/ NOT NULL$/, '')
}
