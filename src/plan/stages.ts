import type { ClockShape } from './clock.ts'
import type { Terminal } from './mini-batch.ts'
import { chain, foldStep, inputOf, type PlanNode, sourceSettingsOf } from './node.ts'
import { flowName, type StepIds } from './plan-ids.ts'
import { ordinalColumn, type Relation } from './relation.ts'
import type { Stateful, Step } from './step.ts'

/** A stateless step, or a function, with its expressions gated and bound. */
export interface BoundNode {
  readonly node: PlanNode
  readonly bound: readonly string[]
}

/** Where rows come from: a source of the pipeline, by its name, or a stage. */
export type StageInput =
  | { readonly is: 'source'; readonly source: string }
  | { readonly is: 'stage'; readonly stage: Stage }

/** A stateful step of one or more flows. Flows with equal plans up to here share it, its state and its partials. */
export interface Stage {
  /** The step's id in the checkpoint's plan: names the state's tables and channels. */
  readonly id: string
  /** The operator's name. */
  readonly op: string
  readonly step: Stateful
  readonly from: StageInput
  /** The stateless steps between `from` and this one. */
  readonly before: readonly BoundNode[]
}

/** One flow, cut where its state lies. */
export interface Flow {
  /** 'flow-1', in the order given to `pipeline()`. */
  readonly name: string
  readonly terminal: Terminal
  readonly from: StageInput
  /** The stateless steps after the last stateful one, or all of them. */
  readonly after: readonly BoundNode[]
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
    let from: StageInput = { is: 'source', source: sourceSettingsOf(terminal.node).name }
    let before: BoundNode[] = []
    for (const node of chain(terminal.node)) {
      const { step, op } = node
      if (step.is === 'stateless' || step.is === 'function') before.push({ node, bound: bound.get(node) ?? [] })
      if (step.is !== 'stateful') continue
      const id = ids[index]?.get(node) as string
      const stage: Stage = stages.get(id) ?? {
        id,
        op,
        step: foldStep(inputOf(node), step, node.options as never, bound.get(node) ?? []),
        from,
        before,
      }
      stages.set(id, stage)
      from = { is: 'stage', stage }
      before = []
    }
    return { name: flowName(index), terminal, from, after: before }
  })
}

/** The stages that a flow goes through, in order. */
export function stagesOf({ from }: Pick<Flow, 'from'>): readonly Stage[] {
  return from.is === 'source' ? [] : [...stagesOf(from.stage), from.stage]
}

/** Each stage of the flows once, those before others first. */
export function stagesInOrder(flows: readonly Flow[]): readonly Stage[] {
  return [...new Set(flows.flatMap(stagesOf))]
}

/** What the stage's clock is made of. */
export function clockShape({ id, from }: Stage): ClockShape {
  const input =
    from.is === 'source' ? from : { is: 'stage' as const, stage: from.stage.id, holdUs: from.stage.step.holdUs }
  return { id, inputs: [input] }
}

/**
 * Wraps a relation in stateless steps, in order.
 *
 * @param functions what stands for the rows that a function gives, where nothing runs; the engine runs them in
 * `src/engine/fold/function-steps.ts`
 */
export function applySteps(
  input: Relation,
  steps: readonly BoundNode[],
  functions?: (input: Relation, node: PlanNode) => Relation,
): Relation {
  return steps.reduce((relation, { node, bound }) => {
    if (node.step.is === 'function' && functions) return functions(relation, node)
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
  return isMany && !hidden.includes(ordinalColumn) ? [...hidden, ordinalColumn] : hidden
}
