import { MillraceError } from '../core/errors.ts'
import { foldStep, line, type PlanNode, sourcesOf } from './node.ts'
import type { Stateful, Step } from './step.ts'
import { type Emit, keyAfter } from './updates.ts'

/** A flow's end, as far as it matters to late rows that come into results which were given. */
export interface CorrectedEnd {
  readonly is: 'sink' | 'rows'
  readonly node: PlanNode
  readonly emit?: Emit
}

/**
 * The columns by which the results of a flow are told apart, where late rows can be applied to them (S16); undefined
 * where no source of the flow asks for that, and where nothing keeps state.
 *
 * @param op that the flow ends in: names it in errors
 * @throws MillraceError `user` where a source asks for it and it cannot be done, with what to write instead
 */
export function correctionKey({ is, node, emit }: CorrectedEnd, op: string): readonly string[] | undefined {
  const source = sourcesOf(node).find(({ late }) => late !== undefined)
  if (!source) return undefined
  const fail = (what: string) =>
    new MillraceError(
      'user',
      'plan',
      `${op}: source ${source.name} has late: { retention }, and its late rows cannot be applied ` +
        `${what.replace(/\.$/, '')}. Leave the option out, or let this flow begin with a source of its own that has no such option.`,
    )
  const whole = line(node)
  // Rows that were set aside are given once, whatever becomes of them later.
  const all = whole.slice(whole.findLastIndex(({ step }) => step.is === 'aside') + 1)
  const [first = node] = whole
  if (all.length === whole.length && first.step.is !== 'source')
    throw fail(`behind ${first.op}, where several inputs meet`)
  const states = all.filter(({ step }) => step.is === 'stateful')
  const last = states.at(-1)
  if (!last) return undefined
  for (const one of states) if (!stateOf(one)?.corrections) throw fail(cannotTake(one))
  const between = all.slice(all.indexOf(states[0] as PlanNode), all.indexOf(last))
  const other = between.find(({ step }) => isOther(step))
  if (other) throw fail(`where ${other.op} stands between two steps that keep state`)
  if (is === 'rows' && emit !== 'update')
    throw fail(`to rows that were handed over; write ${op}({ emit: 'update' }), which tells what changes`)
  const { key = [] } = stateOf(last)?.corrections ?? {}
  return keyAfter(key, all.slice(all.indexOf(last) + 1), what => fail(`here, as the flow ${what}`))
}

/** Whether what comes out of a step is more than a row of each row, or depends on others. */
function isOther(step: Step): boolean {
  if (step.is === 'stateless') return step.carries === undefined || step.unit === 'window'
  return step.is === 'function' || step.is === 'lookup'
}

function stateOf({ step, inputs, options }: PlanNode): Stateful | undefined {
  return step.is === 'stateful' ? foldStep(inputs, step, options as never) : undefined
}

function cannotTake(state: PlanNode): string {
  const { op, step } = state
  const only = 'only aggregate({...}) over tumbling(...) or hopping(...) takes rows into windows that have closed'
  if (step.is !== 'stateful' || step.takes !== 'groups') return `behind ${op}: ${only}`
  const window = line(state).findLast(before => before.step.is === 'window')
  return `behind ${op} over ${window?.op}(...): ${only}`
}
