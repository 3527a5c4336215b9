import type { CallSite } from '../core/call-site.ts'
import type { ClockInput, ClockShape } from './clock.ts'
import type { LookupDefinition, LookupRows } from './lookup.ts'
import type { Terminal } from './mini-batch.ts'
import { foldStep, inputOf, type PlanNode, sourceSettings } from './node.ts'
import { flowName, type StepIds } from './plan-ids.ts'
import { type ColumnTypes, type Relation, withOrdinal } from './relation.ts'
import { lateIndex } from './aside.ts'
import type { Stateful, Step } from './step.ts'

/** A stateless step, a function or a join with a lookup, with its expressions gated and bound. */
export interface BoundNode {
  readonly node: PlanNode
  readonly bound: readonly string[]
}

/**
 * Where rows come from: a source of the pipeline, a stage, what one of these has set aside, or several of these at
 * once.
 */
export type StageInput =
  | { readonly is: 'source'; readonly source: string; readonly node: PlanNode }
  | { readonly is: 'stage'; readonly stage: Stage }
  | LateInput
  | { readonly is: 'quarantine'; readonly source: string; readonly node: PlanNode }
  | { readonly is: 'union'; readonly node: PlanNode; readonly branches: readonly Branch[] }

/** The late rows of a stage. */
export interface LateInput {
  readonly is: 'late'
  readonly stage: Stage
  /** Which of its inputs they are of. */
  readonly index: number
  readonly node: PlanNode
}

/** Rows on their way from where they come from, through stateless steps. */
export interface Branch {
  readonly from: StageInput
  readonly steps: readonly BoundNode[]
}

/** A stateful step of one or more flows. Flows with equal plans up to here share it, its state and its partials. */
export interface Stage {
  /** The step's id in the checkpoint's plan: names the state's tables and channels. */
  readonly id: string
  /** The operator's name. */
  readonly op: string
  /** Where the user's file calls the operator, for messages. */
  readonly at?: CallSite
  readonly step: Stateful
  /** What feeds it: two of a join, else one. */
  readonly inputs: readonly Branch[]
}

/** One flow, cut where its state lies. */
export interface Flow {
  /** 'flow-1', in the order given to `pipeline()`. */
  readonly name: string
  readonly terminal: Terminal
  /** What comes after its last stages, or all of it. */
  readonly rows: Branch
}

/**
 * Cuts described flows into stages. Those of one id are one stage.
 *
 * @param bound the gated expressions of every node
 * @param ids of the steps of each flow
 */
export function splitFlows(
  terminals: readonly Terminal[],
  bound: ReadonlyMap<PlanNode, readonly string[]>,
  ids: readonly StepIds[],
): readonly Flow[] {
  const stages = new Map<string, Stage>()
  return terminals.map((terminal, index) => {
    const found = new Map<PlanNode, Branch>()
    const branchTo = (node: PlanNode): Branch => {
      const branch = found.get(node) ?? cut(node)
      found.set(node, branch)
      return branch
    }
    const cut = (node: PlanNode): Branch => {
      const { step } = node
      if (step.is === 'source') return { from: { is: 'source', source: sourceSettings(node).name, node }, steps: [] }
      if (step.is === 'union') return { from: { is: 'union', node, branches: node.inputs.map(branchTo) }, steps: [] }
      if (step.is === 'stateful') return { from: { is: 'stage', stage: stageOf(node) }, steps: [] }
      if (step.is === 'aside') return { from: asideOf(node), steps: [] }
      const before = branchTo(inputOf(node))
      if (step.is !== 'stateless' && step.is !== 'function' && step.is !== 'lookup') return before
      return { ...before, steps: [...before.steps, { node, bound: bound.get(node) ?? [] }] }
    }
    const asideOf = (node: PlanNode): StageInput => {
      const before = inputOf(node)
      if (before.step.is === 'source') return { is: 'quarantine', source: sourceSettings(before).name, node }
      return { is: 'late', stage: stageOf(before), index: lateIndex(node), node }
    }
    const stageOf = (node: PlanNode): Stage => {
      const { op, at, step, inputs, options } = node
      if (step.is !== 'stateful') throw new Error(`unreachable: ${op} has no state`)
      const id = ids[index]?.get(node) as string
      const stage: Stage = stages.get(id) ?? {
        id,
        op,
        ...(at && { at }),
        step: foldStep(inputs, step, options as never, bound.get(node) ?? []),
        inputs: inputs.map(branchTo),
      }
      stages.set(id, stage)
      return stage
    }
    return { name: flowName(index), terminal, rows: branchTo(terminal.node) }
  })
}

/** A place where the rows of a branch come from. */
export type Leaf = Exclude<StageInput, { readonly is: 'union' }>

/** The columns of a branch's rows. */
export function columnsOf({ from, steps }: Branch): ColumnTypes {
  const last = steps.at(-1)
  if (last) return last.node.columns
  return from.is === 'stage' ? from.stage.step.columns : from.node.columns
}

/** Where the rows of a branch come from, as often as they do. */
export function leavesOf({ from }: Pick<Branch, 'from'>): readonly Leaf[] {
  return from.is === 'union' ? from.branches.flatMap(leavesOf) : [from]
}

/** Tells the sources and stages of one pipeline apart. */
export function leafName(leaf: Leaf): string {
  if (leaf.is === 'stage') return leaf.stage.id
  return leaf.is === 'late' ? lateName(leaf.stage, leaf.index) : `${leaf.is} ${leaf.source}`
}

/** Tells late rows apart. @param index of the stage's input */
export function lateName({ id }: Pick<Stage, 'id'>, index: number): string {
  return `late ${id} ${index}`
}

/**
 * Whether all of a branch's rows are read from sources, or set aside of such rows, so that they may run ahead of
 * commits.
 */
export function isOfSources(branch: Pick<Branch, 'from'>): boolean {
  return leavesOf(branch).every(leaf => leaf.is !== 'stage' && (leaf.is !== 'late' || isFirst(leaf.stage)))
}

/** Whether all that a stage takes is read from sources. */
export function isFirst({ inputs }: Pick<Stage, 'inputs'>): boolean {
  return inputs.every(isOfSources)
}

/** Whether some of a branch's rows are those that this stage gives. */
export function isBehind(branch: Branch, { id }: Pick<Stage, 'id'>): boolean {
  return leavesOf(branch).some(leaf => leaf.is === 'stage' && leaf.stage.id === id)
}

/** The stages that these rows have gone through or were late for, each once, those before others first. */
export function stagesBefore(branch: Branch): readonly Stage[] {
  const stages = leavesOf(branch).flatMap(leaf =>
    'stage' in leaf ? [...leaf.stage.inputs.flatMap(stagesBefore), leaf.stage] : [],
  )
  return [...new Set(stages)]
}

/** The stages that a flow goes through, in order. */
export function stagesOf({ rows }: Pick<Flow, 'rows'>): readonly Stage[] {
  return stagesBefore(rows)
}

/** Each stage of the flows once, those before others first. */
export function stagesInOrder(flows: readonly Flow[]): readonly Stage[] {
  return [...new Set(flows.flatMap(stagesOf))]
}

/** What the stage's clock is made of. */
export function clockShape({ id, inputs }: Stage): ClockShape {
  const shapeOf = (leaf: Leaf): ClockInput => {
    if (leaf.is === 'stage') return { is: 'stage', stage: leaf.stage.id, holdUs: leaf.stage.step.holdUs }
    if (leaf.is === 'source') return { is: 'source', source: leaf.source }
    throw new Error(`unreachable: nothing that keeps state follows ${leaf.node.op}`)
  }
  const found = new Map(inputs.flatMap(leavesOf).map(leaf => [leafName(leaf), shapeOf(leaf)]))
  return { id, inputs: [...found.values()] }
}

/** What steps need that SQL over their input does not say. */
export interface StepParts {
  /**
   * What stands for the rows that a function gives, where nothing runs; the engine runs them in
   * `src/engine/fold/function-steps.ts`.
   */
  given?(input: Relation, node: PlanNode): Relation
  /** The versions of a lookup that the rows may meet. */
  lookup?(of: LookupDefinition): LookupRows
}

/** Wraps a relation in stateless steps, in order. */
export function applySteps(input: Relation, steps: readonly BoundNode[], parts: StepParts = {}): Relation {
  return steps.reduce((relation, { node, bound }) => {
    if (node.step.is === 'function' && parts.given) return parts.given(relation, node)
    if (node.step.is === 'lookup' && parts.lookup) {
      const sql = node.step.sql(relation, node.options as never, parts.lookup(node.step.lookup))
      return { ...relation, sql, columns: node.columns }
    }
    if (node.step.is !== 'stateless') throw new Error(`unreachable: ${node.op} is not stateless`)
    const { step, options, columns } = node
    const hidden = step.hidden?.(relation) ?? relation.hidden
    return { ...relation, sql: step.sql(relation, options as never, bound), columns, hidden }
  }, input)
}

/**
 * The rows with what stands beside them, for a step that asks for it.
 *
 * @param table the step's own, made of these rows
 */
export function besideRows({ beside }: Pick<Stateful, 'beside'>, rows: Relation, table: string | undefined): Relation {
  return beside && table !== undefined ? { ...rows, sql: beside.join(rows, table) } : rows
}

/** The hidden columns of what a function gives: `mapRows` may make several rows of one. */
export function hiddenAfter({ hidden }: Relation, step: Step): readonly string[] {
  const isMany = step.is === 'function' && step.call.is === 'map-rows'
  return isMany ? withOrdinal(hidden) : hidden
}
