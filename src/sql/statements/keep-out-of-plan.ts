import { showValue } from '../../core/errors.ts'
import type { Json } from '../../core/json.ts'
import type { Catalog } from '../catalog.ts'
import { sqlError } from '../sql-error.ts'
import type { WithOptions } from '../with-options.ts'
import type { At } from './object-options.ts'

/**
 * Refuses a variable of the environment in what the plan keeps: checkpoints hold the plan, and none of what variables
 * hold.
 */
export function keepOutOfPlan({ file }: Catalog, { what }: At, options: WithOptions, plan: Json): void {
  const kept = textsIn(plan)
  for (const [name, { value, written, at }] of options) {
    const plain = textsIn(written)
    const variable = textsIn(value).filter((text, index) => text !== plain[index])
    if (variable.some(text => kept.some(each => each.includes(text))))
      throw sqlError(
        file,
        at,
        `${what}: ${name}: ${showValue(written)} would lie in the checkpoint, as ${name} is part of the plan; ` +
          `expected its value without variables.`,
      )
  }
}

function textsIn(value: unknown): readonly string[] {
  if (typeof value === 'string') return [value]
  return typeof value === 'object' && value !== null ? Object.values(value).flatMap(textsIn) : []
}
