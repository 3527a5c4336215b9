import { type PlanNode, sourceSettings, timeNameOf } from '../../plan/node.ts'

/** The event time of rows, as a query may name it. */
export interface EventTime {
  /** The column that has it now; undefined where no step has handed one on. */
  readonly column: string | undefined
  /** What its source calls it: so it is told where no column has it, as no step can drop the time itself. */
  readonly source: string | undefined
}

export function eventTimeOf(node: PlanNode): EventTime {
  return { column: carried(node), source: timeNameOf(node) }
}

function carried(node: PlanNode): string | undefined {
  const { step, options, inputs } = node
  if (step.is === 'source') return sourceSettings(node).time
  const names = new Set(inputs.map(carried))
  const [name] = names
  if (names.size !== 1 || name === undefined) return undefined
  if (step.is === 'stateless') return step.carries?.(name, options as never)
  // It gives rows that came to it, as they were.
  if (step.is === 'stateful') return inputs.length === 1 && step.takes === 'rows' && step.keepsTimes ? name : undefined
  return ['lookup', 'window', 'group', 'union'].includes(step.is) ? name : undefined
}
