import type { CallSite } from '../core/call-site.ts'
import type { Json } from '../core/json.ts'
import type { PlanNode } from './node.ts'
import type { ColumnTypes } from './relation.ts'
import type { OneInputStep } from './step.ts'

/** A step and its options, before it stands in a plan. */
export interface WrittenStep {
  readonly step: OneInputStep
  readonly options: Json
}

/** A query whose steps are not known yet: DuckDB has to parse and bind it, and operators never wait. */
export interface AskedSteps {
  readonly query: string
  /** What its rows are said to be. Absent: whatever they are. */
  readonly columns?: ColumnTypes
  /** Where the user's file calls the operator. */
  readonly at?: CallSite
  /** What it goes on from. */
  readonly input: PlanNode
  /** The operator that asks remembers the answer: where the same rows come again, it asks no more. */
  answer(steps: readonly WrittenStep[]): void
}

/** Flows cannot be described before these are answered. */
export class UnknownSteps extends Error {
  readonly asked: readonly AskedSteps[]

  constructor(asked: readonly AskedSteps[]) {
    super(`sql: ${asked.length} queries have not been read yet`)
    this.asked = asked
  }
}
