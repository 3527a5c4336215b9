import type { Observable } from 'rxjs'
import type { PlannedBatch } from './mini-batch.ts'
import type { SourceDefinition } from './source.ts'

/** The run that is subscribing to flows just now. */
export interface RunScope {
  /** The mini-batches of this source, for the flow that is being subscribed. */
  head(definition: SourceDefinition): Observable<PlannedBatch>
}

let current: RunScope | undefined

/** A source is one definition and any number of runs: subscribing inside `within` joins that run. */
export function currentRun(): RunScope | undefined {
  return current
}

/** Runs synchronous code, subscribing to flows, inside a run's scope. */
export function within<T>(scope: RunScope, subscribe: () => T): T {
  const before = current
  current = scope
  try {
    return subscribe()
  } finally {
    current = before
  }
}
