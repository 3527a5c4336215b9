import { createHash } from 'node:crypto'
import type { Json } from '../core/json.ts'
import type { Terminal } from './mini-batch.ts'
import { chain, type PlanNode, planJson, statefulContext } from './node.ts'
import { ordinalColumn, type Relation } from './relation.ts'
import type { Stateful, Step } from './step.ts'

/** A stateless step, or a function, with its expressions gated and bound. */
export interface BoundNode {
  readonly node: PlanNode
  readonly bound: readonly string[]
}

/** A stateful step of one or more flows. Flows with equal plans up to here share it, its state and its partials. */
export interface StatefulNode {
  /** Derived from the plan: names the state's table and channels. */
  readonly id: string
  readonly step: Stateful
  /** The stateless steps before it. */
  readonly before: readonly BoundNode[]
}

/** One flow, split where its state lies. */
export interface Flow {
  /** 'flow-1', in the order given to `pipeline()`. */
  readonly name: string
  readonly terminal: Terminal
  readonly stateful: StatefulNode | undefined
  /** The stateless steps after the stateful one, or all of them. */
  readonly after: readonly BoundNode[]
}

/** The id of a stateful step. @param plan from the source up to it, as the manifest has it too */
export function stepId(plan: readonly Json[]): string {
  return createHash('sha256').update(JSON.stringify(plan)).digest('hex').slice(0, 8)
}

/** Splits a described flow; `bound` has the gated expressions of every stateless node. */
export function splitFlow(name: string, terminal: Terminal, bound: ReadonlyMap<PlanNode, readonly string[]>): Flow {
  const nodes = chain(terminal.node)
  const at = nodes.findIndex(node => node.step.is === 'stateful')
  const stateless = (part: readonly PlanNode[]): BoundNode[] =>
    part
      .filter(node => node.step.is === 'stateless' || node.step.is === 'function')
      .map(node => ({ node, bound: bound.get(node) ?? [] }))
  if (at === -1) return { name, terminal, stateful: undefined, after: stateless(nodes) }
  const node = nodes[at] as PlanNode
  if (node.step.is !== 'stateful' || !node.input) throw new Error('unreachable: checked by findIndex')
  return {
    name,
    terminal,
    stateful: {
      id: stepId(planJson(node)),
      step: node.step.fold(statefulContext(node.input), node.options as never, bound.get(node) ?? []),
      before: stateless(nodes.slice(0, at)),
    },
    after: stateless(nodes.slice(at)),
  }
}

/**
 * Wraps a relation in stateless steps, in order.
 *
 * @param functions what stands for the rows that a function gives, where nothing runs; the engine runs them in
 * `src/engine/function-steps.ts`
 */
export function applySteps(
  input: Relation,
  steps: readonly BoundNode[],
  functions?: (input: Relation, node: PlanNode) => Relation,
): Relation {
  return steps.reduce((relation, { node, bound }) => {
    if (node.step.is === 'function' && functions) return functions(relation, node)
    if (node.step.is !== 'stateless') throw new Error(`unreachable: ${node.op} is not stateless`)
    return { ...relation, sql: node.step.sql(relation, node.options as never, bound), columns: node.columns }
  }, input)
}

/** The hidden columns of what a function gives: `mapRows` may make several rows of one. */
export function hiddenAfter({ hidden }: Relation, step: Step): readonly string[] {
  const isMany = step.is === 'function' && step.call.is === 'map-rows'
  return isMany && !hidden.includes(ordinalColumn) ? [...hidden, ordinalColumn] : hidden
}

/** Each stateful node once. */
export function statefulNodes(flows: readonly Flow[]): readonly StatefulNode[] {
  const nodes = flows.flatMap(flow => (flow.stateful ? [flow.stateful] : []))
  return nodes.filter((node, index) => nodes.findIndex(other => other.id === node.id) === index)
}
