import { configError } from '../../core/errors.ts'
import type { Pipeline } from '../../plan/pipeline.ts'
import type { Flow } from '../../plan/stages.ts'
import type { WindowFacts } from '../report/why.ts'
import { type AskedWindow, groupCondition, windowedStages } from './asked-window.ts'
import { withBoundCheckpoint } from './bound-checkpoint.ts'
import { type AskedBorders, bordersAt, windowFacts } from './window-facts.ts'

/** What is known of a time in the windows of a pipeline. */
export interface WhyWindow {
  readonly pipeline: string
  readonly checkpoint: string
  /** The last one that is committed. */
  readonly epoch: number
  /** Each window of each flow that holds the time: the first ones, where there are many. */
  readonly windows: readonly WindowFacts[]
  /** So many more there are. */
  readonly more: number
  /** Flows that have no window there, and why: a sentence for each. */
  readonly others: readonly string[]
}

export interface WhyWindowOptions extends AskedWindow {
  /** Absent: the pipeline's own. */
  readonly checkpoint?: string
  /** 'flow-2'; absent: all flows that have windows. */
  readonly flow?: string
}

/** Windows of one flow that are told. */
const windowsMax = 5

/**
 * Why windows have no output yet, or what became of them, by what a checkpoint holds: safe beside a running owner.
 *
 * @throws MillraceError `user` where there is no checkpoint of this pipeline, and for a flow, a key or a value that is
 * not there
 */
export async function whyWindow(pipeline: Pipeline, options: WhyWindowOptions): Promise<WhyWindow> {
  return withBoundCheckpoint(pipeline, options.checkpoint, async found => {
    const flows = flowsAsked(found.flows, options.flow)
    const windows: AskedBorders[] = []
    const others: string[] = []
    let more = 0
    for (const flow of flows) {
      const target = windowedStages(found, flow).at(-1)
      if (!target) {
        others.push(`${flow.name} has no windows with an end.`)
        continue
      }
      const group = await groupCondition(found.executor, target, options.group)
      const borders = await bordersAt(found, target, options.timeUs, group)
      if (borders.length === 0) others.push(noSession(flow, options))
      more += Math.max(0, borders.length - windowsMax)
      windows.push(
        ...borders.slice(0, windowsMax).map(border => ({ ...border, flow, target, group, asked: options.group })),
      )
    }
    const facts = await windowFacts(found, windows)
    const { epoch } = found.reader.manifest
    return { pipeline: pipeline.name, checkpoint: found.address, epoch, windows: facts, more, others }
  })
}

function flowsAsked(flows: readonly Flow[], name: string | undefined): readonly Flow[] {
  if (name === undefined) return flows
  const flow = flows.find(one => one.name === name)
  if (!flow) throw configError('flow', name, `one of ${flows.map(one => one.name).join(', ')}`)
  return [flow]
}

function noSession({ name }: Flow, { group }: AskedWindow): string {
  const of = Object.keys(group).length === 0 ? '' : ' of that group'
  return (
    `${name}: no session${of} that holds this time is open. Closed ones are among the results: ` +
    `millrace sql CHECKPOINT 'FROM output' has them.`
  )
}
