import { createHash } from 'node:crypto'
import type { Json } from '../core/json.ts'

/** A plan as the manifest keeps it: plain data that another executor can read. */
export interface StoredPlan {
  /** The pipeline's name. */
  readonly pipeline: string
  /** Each step once, after those that feed it. */
  readonly nodes: readonly StoredNode[]
  /** By name: 'flow-1' and so on, in the order given to `pipeline()`. */
  readonly flows: Readonly<Record<string, StoredFlow>>
}

export interface StoredNode {
  /** Given once, when the step first came into the checkpoint. That of a stateful step names its state. */
  readonly id: string
  readonly op: string
  /** In canonical form: expressions as trees, durations in milliseconds. */
  readonly options: Json
  /**
   * As the user wrote them, where that differs. Plans are compared by these: canonical forms may change with DuckDB.
   */
  readonly written?: Json
  /** The ids of what feeds it. */
  readonly inputs: readonly string[]
}

export interface StoredFlow {
  /** The id of the last step. */
  readonly from: string
  /** The end: `to` with its options, or `rows` for all that hands rows over. */
  readonly op: string
  readonly options?: Json
}

/** The options as the user wrote them. */
export function writtenOptions({ options, written }: StoredNode): Json {
  return written ?? options
}

/** The flow's steps, each after those that feed it. */
export function stepsOf({ nodes, flows }: StoredPlan, flow: string): readonly StoredNode[] {
  const wanted = new Set([flows[flow]?.from])
  // Backwards, so that whoever is fed is seen before what feeds it.
  return nodes
    .toReversed()
    .filter(({ id, inputs }) => {
      if (!wanted.has(id)) return false
      for (const input of inputs) wanted.add(input)
      return true
    })
    .toReversed()
}

/** The plan of a manifest, of this release or of an earlier one. */
export function storedPlan(json: Json): StoredPlan {
  const plan = json as unknown as StoredPlan | EarlierPlan
  return Array.isArray(plan.flows) ? ofSteps(plan as EarlierPlan) : (plan as StoredPlan)
}

/**
 * The plan as it was kept before steps had ids: the steps of each flow with its end, the options as they were written.
 */
interface EarlierPlan {
  readonly pipeline: string
  readonly flows: readonly (readonly { readonly op: string; readonly options?: Json }[])[]
}

/** A step was named after the text of all steps up to it: equal texts shared one state. */
function ofSteps({ pipeline, flows }: EarlierPlan): StoredPlan {
  const nodes = new Map<string, StoredNode>()
  const ends = flows.map((steps, index) => {
    let inputs: readonly string[] = []
    for (const [place, { op, options = {} }] of steps.slice(0, -1).entries()) {
      const id = createHash('sha256')
        .update(JSON.stringify(steps.slice(0, place + 1)))
        .digest('hex')
        .slice(0, 8)
      nodes.set(id, { id, op, options, inputs })
      inputs = [id]
    }
    return [`flow-${index + 1}`, { from: inputs[0] ?? '', ...steps.at(-1) }] as const
  })
  return { pipeline, nodes: [...nodes.values()], flows: Object.fromEntries(ends) as StoredPlan['flows'] }
}
