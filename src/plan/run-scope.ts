import { AsyncLocalStorage } from 'node:async_hooks'
import type { Observable } from 'rxjs'
import type { PlannedBatch } from './mini-batch.ts'
import type { SourceDefinition } from './source-definition.ts'

/** The run that is subscribing to flows just now. */
export interface RunScope {
  /** The mini-batches of this source, for the flow that is being subscribed. */
  head(definition: SourceDefinition): Observable<PlannedBatch>
}

/** Carried along by timers and promises: `retry` and `repeat` subscribe again when the first call has long returned. */
const scopes = new AsyncLocalStorage<RunScope>()

/** A source is one definition and any number of runs: subscribing inside `within` joins that run. */
export function currentRun(): RunScope | undefined {
  return scopes.getStore()
}

/** Runs code that subscribes to flows inside a run's scope. */
export function within<T>(scope: RunScope, subscribe: () => T): T {
  return scopes.run(scope, subscribe)
}
