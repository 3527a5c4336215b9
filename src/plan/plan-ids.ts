import type { Json } from '../core/json.ts'
import { canonicalOptions, type Forms } from './forms.ts'
import type { Gate } from './gate.ts'
import type { Terminal } from './mini-batch.ts'
import { chain, type PlanNode } from './node.ts'
import { sinkOptions } from './sink.ts'
import { asksForChanges } from './updates.ts'
import { type StoredFlow, type StoredNode, type StoredPlan, stepsOf, writtenOptions } from './stored-plan.ts'

/** The ids of a flow's steps. */
export type StepIds = ReadonlyMap<PlanNode, string>

/** The name of a flow by its place in the pipeline. */
export function flowName(index: number): string {
  return `flow-${index + 1}`
}

/** Ids of steps that are in no checkpoint yet: equal steps of equal plans have one. By flow, in order. */
export function freshIds(terminals: readonly Terminal[], forms: Forms): readonly StepIds[] {
  const name = namer(forms, new Map())
  return terminals.map(({ node }) => new Map(chain(node).map(step => [step, name(step)])))
}

/**
 * Ids for a checkpoint that has given some already. A step takes that of the stored step which is equal to it and is
 * fed by equal ones, in the flow of its own name before others: what flows shared stays shared, and what was apart
 * stays so. Others get new ones.
 *
 * Both sides are brought into canonical form by the running DuckDB, from the text that was written: neither an upgrade
 * nor another way to write the same gives state another name (P14).
 */
export async function takenIds(
  terminals: readonly Terminal[],
  forms: Forms,
  stored: StoredPlan,
  gate: Pick<Gate, 'canonical'>,
): Promise<readonly StepIds[]> {
  const isSame = equality(forms, gate)
  const name = namer(forms, new Map(stored.nodes.map(({ id }) => [id, ''])))
  const found: StepIds[] = []
  for (const [index, { node: end }] of terminals.entries()) {
    const own = stepsOf(stored, flowName(index))
    const candidates = [...own, ...stored.nodes.filter(node => !own.includes(node))]
    const ids = new Map<PlanNode, string>()
    for (const node of chain(end)) {
      const inputs = node.inputs.map(input => ids.get(input)).join(' ')
      let taken: string | undefined
      for (const candidate of candidates) {
        if (candidate.op !== node.op || candidate.inputs.join(' ') !== inputs) continue
        if (!(await isSame(candidate, node))) continue
        taken = candidate.id
        break
      }
      ids.set(node, taken ?? name(node))
    }
    found.push(ids)
  }
  return found
}

/** Whether a stored step says the same as one of the pipeline, of the same operator. */
export type IsSame = (stored: StoredNode, node: PlanNode) => Promise<boolean>

export function equality(forms: Forms, gate: Pick<Gate, 'canonical'>): IsSame {
  return async (stored, node) => {
    const written = writtenOptions(stored)
    if (isEqual(written, node.options)) return true
    return isEqual(await canonicalOptions(node, written, gate), forms.get(node)?.options)
  }
}

export function isEqual(a: Json | undefined, b: Json | undefined): boolean {
  return JSON.stringify(a) === JSON.stringify(b)
}

/** Names steps by their keys. @param taken id to the key that has it; '' for that of a stored step */
function namer(forms: Forms, taken: Map<string, string>): (node: PlanNode) => string {
  return node => {
    const { key } = forms.get(node) as { readonly key: string }
    for (let from = 0; ; from += 8) {
      const id = key.slice(from, from + 8)
      const owner = taken.get(id)
      if (owner !== undefined && owner !== key) continue
      taken.set(id, key)
      return id
    }
  }
}

/** The plan as the manifest keeps it. */
export function planOf(
  pipeline: string,
  terminals: readonly Terminal[],
  forms: Forms,
  ids: readonly StepIds[],
): StoredPlan {
  const nodes = new Map<string, StoredNode>()
  const flows: Record<string, StoredFlow> = {}
  for (const [index, terminal] of terminals.entries()) {
    const idOf = (node: PlanNode) => ids[index]?.get(node) as string
    for (const node of chain(terminal.node)) {
      const id = idOf(node)
      if (nodes.has(id)) continue
      const options = forms.get(node)?.options as Json
      const written = isEqual(options, node.options) ? {} : { written: node.options }
      nodes.set(id, { id, op: node.op, options, ...written, inputs: node.inputs.map(idOf) })
    }
    flows[flowName(index)] = { from: idOf(terminal.node), ...endOf(terminal) }
  }
  return { pipeline, nodes: [...nodes.values()], flows }
}

/** The end of a flow as far as it is part of the plan. */
export function endOf(terminal: Terminal): Omit<StoredFlow, 'from'> {
  // How rows are handed over is no part of the plan: rows() may become batches().
  const emit = asksForChanges(terminal.emit)
  if (terminal.is === 'rows') return { op: 'rows', ...(terminal.emit && { options: emit }) }
  return { op: 'to', options: { ...sinkOptions(terminal.sink), ...emit } }
}
