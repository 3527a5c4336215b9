import type { Observable } from 'rxjs'
import type { CallSite } from '../core/call-site.ts'
import { MillraceError } from '../core/errors.ts'
import type { Json } from '../core/json.ts'
import type { AskedSteps } from './asked-steps.ts'
import { correctionKey } from './corrections.ts'
import { checkOrder, checkSameTime, foldStep, type PlanNode } from './node.ts'
import type { ColumnTypes } from './relation.ts'
import type { Behind, Sink } from './sink.ts'
import type { AsideStep, OneInputStep, SeveralInputsStep, Step } from './step.ts'
import { updateKey } from './updates.ts'

/** What a flow ends in: told to the engine once an epoch by the flow's last operator. */
export type Terminal =
  | (End & { readonly is: 'sink'; readonly sink: Sink; readonly behind: Partial<Behind> })
  | (End & { readonly is: 'rows'; readonly op: string })

interface End {
  readonly node: PlanNode
  /** Its rows are changes of results (S15). Absent: results, each once. */
  readonly emit?: 'update'
}

/** Where a flow's last operator reports; the engine's side of a mini-batch. */
export interface Collector {
  end(terminal: Terminal): void
  /** A step has to be read before the flow can be described any further. */
  ask(asked: AskedSteps): void
}

/** A committed epoch's rows, some at a time, read anew for each subscriber. */
export type CommittedRows<R = unknown> = Observable<readonly R[]>

/**
 * One epoch's rows as a description: a plan over the epoch's object versions, nothing read yet. This is what flows
 * through the RxJS operators; the engine executes it when every flow has described its epoch.
 */
export class PlannedBatch {
  readonly epoch: number
  readonly node: PlanNode
  /** Where the epoch is committed and the flow is subscribed to take its rows: what it made of them. */
  readonly committed: CommittedRows | undefined
  readonly #collector: Collector

  constructor(epoch: number, node: PlanNode, collector: Collector, committed?: CommittedRows) {
    this.epoch = epoch
    this.node = node
    this.committed = committed
    this.#collector = collector
  }

  get columns(): ColumnTypes {
    return this.node.columns
  }

  /** Notes the step, runs nothing. @param at where the user's file calls the operator */
  apply<O extends Json>(step: OneInputStep<O>, options: O, at?: CallSite): PlannedBatch {
    checkOrder(this.node, step as Step)
    const columns = step.columns(this.node.columns, options)
    const folded = step.is === 'stateful' ? foldStep([this.node], step, options).columns : columns
    return this.#with(step as Step, options, [this.node], folded, at)
  }

  /** The same for a step of several inputs, of which this one is the first. */
  meet<O extends Json>(
    step: SeveralInputsStep<O>,
    options: O,
    others: readonly PlannedBatch[],
    at?: CallSite,
  ): PlannedBatch {
    const inputs = [this.node, ...others.map(({ node }) => node)]
    for (const input of inputs) checkOrder(input, step as Step)
    checkSameTime(inputs, step.op)
    const columns =
      step.is === 'union'
        ? step.columns(
            inputs.map(({ columns }) => columns),
            options,
          )
        : foldStep(inputs, step, options).columns
    return this.#with(step as Step, options, inputs, columns, at)
  }

  /** What the step before has set aside, in the place of what it gives. @param columns of such rows */
  aside(step: AsideStep, options: Json, columns: ColumnTypes, at?: CallSite): PlannedBatch {
    return this.#with(step, options, [this.node], columns, at)
  }

  #with(step: Step, options: Json, inputs: readonly PlanNode[], columns: ColumnTypes, at?: CallSite): PlannedBatch {
    const node = { op: step.op, options, inputs, columns, step, ...(at ? { at } : {}) }
    return new PlannedBatch(this.epoch, node, this.#collector, this.committed)
  }

  /** The steps that come next are not known yet; the flow is described again when they are. */
  ask(asked: Omit<AskedSteps, 'input'>): void {
    this.#collector.ask({ ...asked, input: this.node })
  }

  /** The flow ends here. */
  end(terminal: Terminal): void {
    const op = terminal.is === 'rows' ? terminal.op : 'to'
    checkOrder(this.node, { is: 'sink', op, columns: input => input })
    if (terminal.emit === 'update') updateKey(this.node, op)
    correctionKey(terminal, op)
    this.#collector.end(terminal)
  }
}

/** What a flow gives that has ended with `to`. */
function isDone(value: unknown): boolean {
  return typeof value === 'object' && value !== null && Object.keys(value).join() === 'epoch'
}

/** The mini-batch an operator was given, or an error that says who passed something else. */
export function plannedBatch(value: unknown, op: string): PlannedBatch {
  if (value instanceof PlannedBatch) return value
  if (isDone(value))
    throw new MillraceError('user', 'plan', `${op}: a flow that ends with to(...) has no rows; take it before that.`)
  throw new MillraceError(
    'user',
    'not-a-mini-batch',
    `${op}: expected a mini-batch from the operator before it, got ${typeof value}. ` +
      'A plain RxJS operator between millrace operators must pass every mini-batch on, one for one.',
  )
}
