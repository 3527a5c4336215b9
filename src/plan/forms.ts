import { createHash } from 'node:crypto'
import type { Json } from '../core/json.ts'
import type { Gate } from './gate.ts'
import { chain, type PlanNode } from './node.ts'

/** A step as plans are compared by it. */
export interface Form {
  /** Its options, equal for all ways to write the same. */
  readonly options: Json
  /** Of all that shapes its rows: the step and what feeds it. Equal steps of equal plans have equal keys. */
  readonly key: string
}

export type Forms = ReadonlyMap<PlanNode, Form>

/** The forms of all steps of these plans. */
export async function formsOf(ends: readonly PlanNode[], gate: Pick<Gate, 'canonical'>): Promise<Forms> {
  const forms = new Map<PlanNode, Form>()
  for (const node of ends.flatMap(chain)) {
    if (forms.has(node)) continue
    const options = await canonicalOptions(node, node.options, gate)
    const inputs = node.inputs.map(input => (forms.get(input) as Form).key)
    const key = createHash('sha256')
      .update(JSON.stringify([node.op, options, inputs]))
      .digest('hex')
    forms.set(node, { options, key })
  }
  return forms
}

/**
 * Options in canonical form.
 *
 * @param node the step whose options they are; its own, or those that a checkpoint has of it
 */
export async function canonicalOptions(
  { step, inputs }: PlanNode,
  options: Json,
  gate: Pick<Gate, 'canonical'>,
): Promise<Json> {
  const canonical = 'canonical' in step ? step.canonical : undefined
  if (canonical === undefined) return options
  const columns = inputs.flatMap(input => Object.keys(input.columns))
  const expressions: Json[] = []
  if ('expressions' in step)
    for (const { sql } of step.expressions(options as never)) expressions.push(await gate.canonical(sql, columns))
  return canonical(options as never, expressions)
}
