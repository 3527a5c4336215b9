import { map, Subject, type Subscription } from 'rxjs'
import { configError, MillraceError, withCallSite } from '../core/errors.ts'
import type { Json } from '../core/json.ts'
import { type Collector, PlannedBatch, type Terminal } from '../plan/mini-batch.ts'
import { planJson, type PlanNode } from '../plan/node.ts'
import type { Pipeline } from '../plan/pipeline.ts'
import { within } from '../plan/run-scope.ts'
import type { SourceDefinition } from '../plan/source.ts'
import type { SourceStep } from '../plan/step.ts'

/** The flows of one run, each subscribed once to one Subject of mini-batches. */
export interface Flows {
  readonly definition: SourceDefinition
  /** Sends one mini-batch through every flow and returns what each described. Throws what a flow threw. */
  describe(epoch: number): readonly Terminal[]
  /** Throws what a flow's own RxJS operators threw since (after `rows()`). */
  check(): void
  complete(): void
}

const sourceStep: SourceStep = { is: 'source', op: 'source', columns: input => input }

/** The source of a pipeline, which is not run. */
export function sourceOf(pipeline: Pipeline): SourceDefinition {
  const subscribed = subscribeFlows(pipeline)
  subscribed.complete()
  return subscribed.definition
}

export function subscribeFlows(pipeline: Pipeline): Flows {
  const epochs = new Subject<number>()
  const subscriptions: Subscription[] = []
  const described: Terminal[][] = pipeline.flows.map(() => [])
  let definition: SourceDefinition | undefined
  let failure: Error | undefined
  let open = true
  const mistake = (code: string, message: string) => new MillraceError('user', code, message, undefined, pipeline.at)
  const name = (index: number) => `flow-${index + 1} of pipeline ${pipeline.name}`

  for (const [index, flow] of pipeline.flows.entries()) {
    const collector: Collector = { end: terminal => described[index]?.push(terminal) }
    const head = (asked: SourceDefinition) => {
      if (definition && definition !== asked)
        throw mistake(
          'several-sources',
          `${name(index)}: reads source '${asked.settings.name}' beside '${definition.settings.name}'; this release takes one source for all flows of a pipeline.`,
        )
      definition = asked
      const node: PlanNode = {
        op: 'source',
        options: asked.settings as unknown as Json,
        input: undefined,
        columns: asked.settings.columns,
        step: sourceStep,
      }
      return epochs.pipe(map(epoch => new PlannedBatch(epoch, node, collector)))
    }
    const fail = (error: unknown) => {
      failure ??= error instanceof Error ? error : new Error(String(error))
    }
    within({ head }, () => {
      subscriptions.push(
        flow.subscribe({
          error: fail,
          complete: () => {
            if (open)
              fail(
                mistake(
                  'flow-ended',
                  `${name(index)}: completed by itself; operators such as take() cannot end a flow.`,
                ),
              )
          },
        }),
      )
    })
  }
  const check = () => {
    if (failure !== undefined) throw failure
  }
  check()
  if (!definition)
    throw withCallSite(
      configError(`pipeline ${pipeline.name}`, 'flows', 'flows that begin with source(...)'),
      pipeline.at,
    )

  let first: string | undefined
  return {
    definition,
    check,
    describe(epoch) {
      for (const terminals of described) terminals.length = 0
      epochs.next(epoch)
      check()
      const terminals = described.map((ends, index) => {
        const [terminal] = ends
        if (ends.length !== 1 || !terminal)
          throw mistake(
            'flow-end',
            `${name(index)}: reached ${ends.length} ends in epoch ${epoch}; expected exactly one: ${ends.length === 0 ? 'add to(...) or rows() at the end' : 'to(...) or rows()'}. A plain RxJS operator before the end must pass every mini-batch on, one for one.`,
          )
        return terminal
      })
      const plan = JSON.stringify(pipelinePlan(terminals))
      if (first !== undefined && plan !== first)
        throw mistake(
          'plan-changed',
          `pipeline ${pipeline.name}: the plan of epoch ${epoch} differs from the first one; operators must not choose by epoch.`,
        )
      first = plan
      return terminals
    },
    complete() {
      open = false
      epochs.complete()
      for (const subscription of subscriptions) subscription.unsubscribe()
    },
  }
}

/** The plan of all flows, as the manifest keeps it. */
export function pipelinePlan(terminals: readonly Terminal[]): Json {
  return terminals.map(terminal => [
    ...planJson(terminal.node),
    terminal.is === 'rows' ? { op: 'rows' } : { op: 'to', options: { format: terminal.format } },
  ])
}
