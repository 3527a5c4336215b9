import type { CallSite } from '../core/call-site.ts'
import { MillraceError } from '../core/errors.ts'
import type { Json } from '../core/json.ts'
import type { LookupDefinition } from './lookup.ts'
import type { ColumnTypes } from './relation.ts'
import type { SourceSettings } from './source-settings.ts'
import type { FoldedStep, GroupsContext, RowsContext, Stateful, Step } from './step.ts'
import type { WindowAssigner } from './window.ts'

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
  return found(end, ({ inputs }) => inputs)
}

function found(end: PlanNode, before: (node: PlanNode) => readonly PlanNode[]): readonly PlanNode[] {
  const nodes = new Set<PlanNode>()
  const visit = (node: PlanNode) => {
    if (nodes.has(node)) return
    for (const input of before(node)) visit(input)
    nodes.add(node)
  }
  visit(end)
  return [...nodes]
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

/**
 * A step after those that its rows have gone through, back to where they begin: at the source, where several inputs
 * meet, or where they were set aside.
 */
export function line(node: PlanNode): readonly PlanNode[] {
  const [input] = node.inputs
  return node.inputs.length === 1 && input && node.step.is !== 'aside' ? [...line(input), node] : [node]
}

/** The plan up to a step as far as its rows have gone through it: what has set them aside gives other rows. */
export function way(end: PlanNode): readonly PlanNode[] {
  return found(end, ({ step, inputs }) => (step.is === 'aside' ? [] : inputs))
}

/** The settings of the sources that a plan begins with, each once. */
export function sourcesOf(node: PlanNode): readonly SourceSettings[] {
  const heads = chain(node).filter(({ step }) => step.is === 'source')
  return [...new Set(heads.map(sourceSettings))]
}

/** The lookups that a plan joins rows with, as often as it does. */
export function lookupsOf(node: PlanNode): readonly LookupDefinition[] {
  return chain(node).flatMap(({ step }) => (step.is === 'lookup' ? [step.lookup] : []))
}

/** Of a plan's first node. */
export function sourceSettings({ options }: PlanNode): SourceSettings {
  return options as unknown as SourceSettings
}

/**
 * The column that rows of this step still have their event time in, as it was read; undefined behind a stateful step,
 * and where inputs that meet name it differently.
 */
export function timeNameOf(node: PlanNode): string | undefined {
  const before = sinceState(node)
  if (before.some(({ step }) => step.is === 'stateful' || step.is === 'aside')) return undefined
  const names = new Set(before.filter(({ step }) => step.is === 'source').map(head => sourceSettings(head).time))
  const [name] = names
  return names.size === 1 ? name : undefined
}

/** The type of the event time, which windows keep, and inputs that meet agree on; empty where there is none. */
export function timeTypeOf(node: PlanNode): string {
  if (asideOf(node)) return ''
  const { time, columns } = sourcesOf(node)[0] as SourceSettings
  return time === undefined ? '' : withoutNull(columns[time])
}

/** What has set these rows aside, or some of them; undefined of rows that were not. */
export function asideOf(node: PlanNode): PlanNode | undefined {
  return way(node).find(({ step }) => step.is === 'aside')
}

const windowMissing = 'rows are aggregated in windows: add a window such as tumbling(...) before it'

/** Describes a stateful step after these nodes. */
export function foldStep<O extends Json>(
  nodes: readonly PlanNode[],
  step: FoldedStep<O>,
  options: O,
  bound?: readonly string[],
): Stateful {
  if (step.takes === 'two') {
    const [left, right] = nodes.map(rowsContext)
    return step.fold(left as RowsContext, right as RowsContext, options, bound)
  }
  if (step.takes === 'two windows') {
    const [left, right] = nodes.map(rowsContext)
    return step.fold(left as RowsContext, right as RowsContext, sharedWindow(nodes, step.op), options, bound)
  }
  const [node] = nodes as readonly [PlanNode]
  return step.takes === 'groups'
    ? step.fold(groupsContext(node, step.op), options, bound)
    : step.fold(rowsContext(node), options, bound)
}

/** What a step after this node is folded from where it takes rows. */
function rowsContext(node: PlanNode): RowsContext {
  const retentionUs = retentionOf(node)
  const steps = line(node)
  const sinceAside = steps.slice(steps.findLastIndex(({ step }) => step.is === 'aside') + 1)
  const isOfResults = retentionUs !== undefined && sinceAside.some(({ step }) => step.is === 'stateful')
  return {
    input: node.columns,
    timeType: timeTypeOf(node),
    ...(retentionUs !== undefined && { retentionUs }),
    ...(isOfResults && { isOfResults }),
  }
}

/** So long the rows of this node can be applied late: as all of its sources say. */
export function retentionOf(node: PlanNode): bigint | undefined {
  const [first, ...others] = new Set(sourcesOf(node).map(({ late }) => late?.retentionUs))
  return first === undefined || others.length > 0 ? undefined : BigInt(first)
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

/** The one window that all of these are. */
function sharedWindow(nodes: readonly PlanNode[], op: string): WindowAssigner {
  const windows = nodes.flatMap(({ op: name, step, options }) => {
    if (step.is !== 'window') return []
    const form = JSON.stringify([name, step.canonical?.(options as never, []) ?? options])
    return [{ form, shown: `${name} ${JSON.stringify(options)}`, assigner: step.assigner(options as never) }]
  })
  const [first] = windows
  if (!first || windows.length < nodes.length) throw new Error(`unreachable: ${op} follows no window`)
  const other = windows.find(({ form }) => form !== first.form)
  if (!other) return first.assigner
  throw new MillraceError(
    'user',
    'plan',
    `${op}: window: true is for the same window on both sides; found ${first.shown} on this side ` +
      `and ${other.shown} on the other.`,
  )
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
  if (step.is === 'stateful' && step.takes === 'two windows') checkWindow(input, fail)
  const isOpen = input.step.is === 'window' || input.step.is === 'group'
  const closes =
    (step.is === 'group' && input.step.is === 'window') ||
    (step.is === 'stateful' && step.takes === 'groups' && input.step.is === 'group') ||
    (step.is === 'stateful' && step.takes === 'two windows' && input.step.is === 'window')
  if (step.is === 'group' && input.step.is === 'group')
    fail('cannot follow groupBy; name all keys in one groupBy(...).')
  if (step.is === 'group' && !isOpen) fail(`${windowMissing}.`)
  if (step.is === 'stateless' && step.unit === 'window' && !isOpen) checkSharedWindow(input, step.op, fail)
  if (isOpen && step.is === 'lookup') fail(`cannot follow ${input.op}; put it before the window.`)
  if (isOpen && !closes) fail(`cannot follow ${input.op}; add aggregate({...}) before it, which makes rows of windows.`)
}

/** What joins the rows of a window takes them as they are. */
function checkWindow({ step, op, columns }: PlanNode, fail: (what: string) => void): void {
  if (step.is === 'window') return
  if (Object.hasOwn(columns, 'window_end') && step.is !== 'group')
    fail(
      `window: true takes rows in windows, and ${op} gives rows of its own. To join the results of windows compare ` +
        "their columns: on: ['window_start', 'window_end', ...], within: ['0 seconds', '0 seconds'].",
    )
  fail(
    `window: true takes rows in windows; put the same window, such as tumbling('1 hour'), at the end of both sides. ` +
      `One of them ends with ${op}.`,
  )
}

/** What compares the rows of a window needs them together: all groups share the windows of the aggregate before it. */
function checkSharedWindow(input: PlanNode, op: string, fail: (what: string) => void): void {
  const before = line(input).findLast(({ step }) => step.is === 'stateful' && !('keepsTimes' in step))
  if (before?.step.is === 'stateful' && before.step.takes === 'two windows') return
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

/** Refuses inputs of a step whose event times are of different types: windows keep that type. */
export function checkSameTime(inputs: readonly PlanNode[], op: string): void {
  const types = inputs.map(timeTypeOf)
  const [first] = types
  const other = types.findIndex(type => type !== first)
  if (other < 0) return
  const named = (index: number) => {
    const names = sourcesOf(inputs[index] as PlanNode).map(({ name }) => name)
    return `${types[index] || 'none'} (source ${names.join(', ')})`
  }
  throw new MillraceError(
    'user',
    'plan',
    `${op}: the event time of its inputs is ${named(0)} and ${named(other)}; expected one type. ` +
      'Declare the columns alike in the sources.',
  )
}

/** What comes of all rows together has no time of its own, by which anything could go on. */
function checkNotEndless(input: PlanNode, fail: (what: string) => void): void {
  for (const node of chain(input)) {
    if (node.step.is !== 'stateful') continue
    const window = line(node).find(({ step }) => step.is === 'window' && step.isEndless)
    if (window)
      fail(
        `cannot follow ${node.op} over ${window.op}(), ` +
          'whose rows come when all is over and have no time; end the flow with to(...).',
      )
  }
}

/**
 * There must be an event time. It rides along hidden; a visible column of its name must still be it, or windows would
 * surprise.
 */
function checkTime(input: PlanNode, fail: (what: string) => never): void {
  const before = sinceState(input)
  const aside = asideOf(input)
  if (aside) fail(`it goes by an event time, and the rows of ${aside.op}(...) have none; end the flow with to(...).`)
  const timeless = sourcesOf(input).find(source => source.time === undefined)
  if (timeless)
    fail(
      `it goes by an event time, and source ${timeless.name} has none; ` +
        "name the column in the options of the source, such as time: 'at'.",
    )
  for (const node of before) {
    const [from] = node.inputs
    if (!from) continue
    const time = timeNameOf(node)
    if (time === undefined) continue
    const replaced = (by: string, otherwise: string) =>
      fail(
        `the event time column '${time}' was replaced by ${by}(); ` +
          `watermarks are taken from the column as read, so ${otherwise}.`,
      )
    if (node.op === 'derive' && Object.hasOwn(node.options as object, time)) replaced('derive', 'derive another name')
    if (node.op === 'rename' && Object.values(node.options as object).includes(time))
      replaced('rename', 'give the other column another name')
    if (node.op === 'unnest' && Object.hasOwn(node.columns, time) && !Object.hasOwn(from.columns, time))
      replaced('unnest', 'give the column of the elements another name')
    if (node.step.is === 'lookup' && Object.hasOwn(node.columns, time) && !Object.hasOwn(from.columns, time))
      replaced('join', 'give the column of the lookup another name')
    const type = ({ columns }: PlanNode) => withoutNull(columns[time])
    if (node.step.is === 'function' && Object.hasOwn(node.columns, time) && type(from) !== type(node))
      fail(
        `the event time column '${time}' was made anew by ${node.op}(); ` +
          `watermarks are taken from the column as read, so hand it on with its type, ${timeTypeOf(node)}.`,
      )
  }
}

/** The steps that lead to a node, back to where its rows begin, and to stateful ones, which are among them. */
function sinceState(node: PlanNode): readonly PlanNode[] {
  if (node.step.is === 'stateful' || node.step.is === 'aside') return [node]
  return [...new Set([...node.inputs.flatMap(sinceState), node])]
}

function withoutNull(type: string | undefined): string {
  return (type ?? '').replace(/ NOT NULL$/, '')
}
