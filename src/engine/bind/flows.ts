import type { ErrorCode } from '../../core/error-codes/index.ts'
import { defer, map, Observable, of, Subject } from 'rxjs'
import { toError, configError, MillraceError, withCallSite } from '../../core/errors.ts'
import type { Json } from '../../core/json.ts'
import { type AskedSteps, UnknownSteps } from '../../plan/asked-steps.ts'
import { type Collector, type CommittedRows, PlannedBatch, type Terminal } from '../../plan/mini-batch.ts'
import type { LookupDefinition } from '../../plan/lookup.ts'
import { lookupsOf, planKey, type PlanNode } from '../../plan/node.ts'
import type { NotificationSpec } from '../../plan/notification-spec.ts'
import type { Pipeline } from '../../plan/pipeline.ts'
import { endOf, flowName } from '../../plan/plan-ids.ts'
import { within } from '../../plan/run-scope.ts'
import type { SourceDefinition } from '../../plan/source-definition.ts'
import type { SourceStep } from '../../plan/step.ts'
import { describedPart } from '../../plan/stream.ts'

/**
 * The flows of one run. A flow that ends in `to()` is subscribed once, to a Subject of mini-batches. One that hands
 * rows over describes its plan at the start, and is subscribed as a whole for each delivery.
 */
export interface Flows {
  /** Each source once, in the order in which the flows ask for them. */
  readonly definitions: readonly SourceDefinition[]
  /** Each lookup once, in the order in which the flows join with them. */
  readonly lookups: readonly LookupDefinition[]
  /** What each flow described in epoch 0, the binding pass. */
  readonly terminals: readonly Terminal[]
  /** Sends the mini-batch of a later epoch through. @throws what a flow threw, and where its plan is another one. */
  describe(epoch: number): void
  /**
   * Subscribes a flow that hands rows over to one committed epoch. Resolves when it completes.
   *
   * @param index of the flow in its pipeline
   * @throws what the flow ends in; at an abort, which unsubscribes it, the signal's reason
   */
  deliver(index: number, epoch: number, committed: CommittedRows, signal: AbortSignal): Promise<void>
  /** Nothing is emitted at the end: what the flows' own operators keep is no result. */
  unsubscribe(): void
}

const sourceStep: SourceStep = { is: 'source', op: 'source', columns: input => input }

/** The sources of a pipeline, which is not run. */
export function definitionsOf(pipeline: Pipeline): readonly SourceDefinition[] {
  const subscribed = subscribe(pipeline)
  subscribed.unsubscribe()
  return subscribed.definitions
}

/** What announces objects of these sources. */
export function announcersOf(definitions: readonly SourceDefinition[]): readonly NotificationSpec[] {
  return definitions.flatMap(({ notifications }) => notifications ?? [])
}

/**
 * Subscribes each flow and has it describe epoch 0.
 *
 * @throws MillraceError `user` for what cannot be a plan; UnknownSteps, which `describeFlows` answers
 */
export function subscribeFlows(pipeline: Pipeline): Flows {
  const { definitions, unsubscribe, subscriptions, send, sourceNode } = subscribe(pipeline)
  const terminals = send(0).map((ends, index) => onlyEnd(ends, pipeline, index, 0))
  for (const [index, { is }] of terminals.entries()) if (is === 'rows') subscriptions[index]?.unsubscribe()
  const plans = terminals.map(flowKey)
  const lookups = lookupsIn(pipeline, terminals, definitions)

  function checkSame(terminal: Terminal, index: number, epoch: number): void {
    if (flowKey(terminal) === plans[index]) return
    throw mistake(
      pipeline,
      'plan-changed',
      `${flowOf(pipeline, index)}: the plan of epoch ${epoch} differs from the first one; operators must not ` +
        'choose by epoch.',
    )
  }

  return {
    definitions,
    lookups,
    terminals,
    describe(epoch) {
      for (const [index, ends] of send(epoch).entries())
        if (terminals[index]?.is !== 'rows') checkSame(onlyEnd(ends, pipeline, index, epoch), index, epoch)
    },
    deliver(index, epoch, committed, signal) {
      const ends: Terminal[] = []
      const collector: Collector = {
        end(terminal) {
          checkSame(terminal, index, epoch)
          ends.push(terminal)
        },
        ask,
      }
      // Operators such as retry subscribe again, and only the last time counts.
      const head = (asked: SourceDefinition) =>
        defer(() => {
          ends.length = 0
          return of(new PlannedBatch(epoch, sourceNode(asked, index), collector, committed))
        })
      const flow = pipeline.flows[index] as Observable<unknown>
      return completion(new Observable(subscriber => within({ head }, () => flow.subscribe(subscriber))), signal).then(
        () => void onlyEnd(ends, pipeline, index, epoch),
      )
    },
    unsubscribe,
  }
}

/** Names of lookups are told apart as the views of `millrace sql` are. */
function viewName({ settings }: Pick<LookupDefinition, 'settings'>): string {
  return settings.name.toLowerCase().replaceAll('-', '_')
}

/** Each lookup of the flows once. @throws MillraceError `user` where two of the pipeline have one name */
function lookupsIn(
  pipeline: Pipeline,
  terminals: readonly Terminal[],
  sources: readonly SourceDefinition[],
): readonly LookupDefinition[] {
  const lookups = [...new Set(terminals.flatMap(({ node }) => lookupsOf(node)))]
  for (const [index, { settings }] of lookups.entries()) {
    const isSource = sources.some(source => source.settings.name === settings.name)
    const alike = lookups.findIndex(other => viewName(other) === viewName({ settings }))
    if (!isSource && alike === index) continue
    const other = isSource ? settings.name : lookups[alike]?.settings.name
    throw mistake(
      pipeline,
      'lookup-names',
      `pipeline ${pipeline.name}: another ${isSource ? 'source' : 'lookup'} is called '${other}' too. Name each ` +
        'lookup otherwise, in more than case, - and _, or let flows join with one constant: const zones = lookup(...).',
    )
  }
  return lookups
}

/** Every flow, or the part of it that describes its plan, subscribed to the epochs that are sent. */
function subscribe(pipeline: Pipeline) {
  const epochs = new Subject<number>()
  const described: Terminal[][] = pipeline.flows.map(() => [])
  const nodes = new Map<SourceDefinition, PlanNode>()
  const asked: AskedSteps[] = []
  let failure: Error | undefined
  const fail = (error: unknown) => {
    failure ??= toError(error)
  }

  /** The node of this source, which a flow asks for. */
  function sourceNode(definition: SourceDefinition, index: number): PlanNode {
    const known = nodes.get(definition)
    if (known) return known
    const { settings } = definition
    if ([...nodes.keys()].some(other => other.settings.name === settings.name))
      throw mistake(
        pipeline,
        'source-names',
        `${flowOf(pipeline, index)}: another source is called '${settings.name}' too. Name each source otherwise, or ` +
          'let the flows begin with the same constant: const trips = source(...).',
      )
    const options = settings as unknown as Json
    const node: PlanNode = { op: 'source', options, inputs: [], columns: settings.columns, step: sourceStep }
    nodes.set(definition, node)
    return node
  }
  const subscriptions = pipeline.flows.map((flow, index) => {
    const collector: Collector = {
      end: terminal => described[index]?.push(terminal),
      ask: steps => asked.push(steps),
    }
    const head = (asked: SourceDefinition) => {
      const node = sourceNode(asked, index)
      return epochs.pipe(map(epoch => new PlannedBatch(epoch, node, collector)))
    }
    const complete = () => fail(endedByItself(pipeline, index))
    return within({ head }, () => describedPart(flow).subscribe({ error: fail, complete }))
  })
  const unsubscribe = () => {
    for (const subscription of subscriptions) subscription.unsubscribe()
  }
  const check = () => {
    if (failure === undefined && asked.length === 0) return
    unsubscribe()
    throw failure ?? new UnknownSteps(asked)
  }
  check()
  if (nodes.size === 0)
    throw withCallSite(
      configError(`pipeline ${pipeline.name}`, 'flows', 'flows that begin with source(...)'),
      pipeline.at,
    )
  return {
    definitions: [...nodes.keys()],
    subscriptions,
    unsubscribe,
    sourceNode,
    /** The ends that each flow came to. @throws what a flow threw */
    send(epoch: number): readonly (readonly Terminal[])[] {
      for (const ends of described) ends.length = 0
      epochs.next(epoch)
      check()
      return described
    },
  }
}

/** What a flow describes when its rows are handed over, it has described before. */
function ask({ query }: AskedSteps): never {
  throw new Error(`unreachable: the steps of ${query} were known when the run began`)
}

/** Waits for completion. @throws what it ends in; at an abort, which unsubscribes, the signal's reason */
function completion(flow: Observable<unknown>, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const subscription = flow.subscribe({ error: error => reject(toError(error)), complete: resolve })
    const abort = () => {
      subscription.unsubscribe()
      reject(toError(signal.reason))
    }
    if (signal.aborted) abort()
    signal.addEventListener('abort', abort)
    subscription.add(() => signal.removeEventListener('abort', abort))
  })
}

/** A flow as errors name it. */
function flowOf(pipeline: Pipeline, index: number): string {
  return `${flowName(index)} of pipeline ${pipeline.name}`
}

/** What is wrong with a flow as a whole, with the place of `pipeline()`. */
function mistake({ at }: Pipeline, code: ErrorCode, message: string): MillraceError {
  return new MillraceError('user', code, message, undefined, at)
}

function endedByItself(pipeline: Pipeline, index: number): MillraceError {
  return mistake(
    pipeline,
    'flow-ended',
    `${flowOf(pipeline, index)}: completed by itself; operators such as take() cannot end a flow.`,
  )
}

function onlyEnd(ends: readonly Terminal[], pipeline: Pipeline, index: number, epoch: number): Terminal {
  const [terminal] = ends
  if (ends.length === 1 && terminal) return terminal
  throw mistake(
    pipeline,
    'flow-end',
    `${flowOf(pipeline, index)}: reached ${ends.length} ends in epoch ${epoch}; expected exactly one: ` +
      `${ends.length === 0 ? 'add to(...), rows() or batches() at the end' : 'to(...), rows() or batches()'}. A ` +
      'plain RxJS operator before the end must pass every mini-batch on, one for one.',
  )
}

/** Equal flows have equal keys. */
function flowKey(terminal: Terminal): string {
  return JSON.stringify([planKey(terminal.node), endOf(terminal)])
}
