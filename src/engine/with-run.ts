import type { Pipeline } from '../plan/pipeline.ts'
import { describeFlows } from './bind/describe-flows.ts'
import type { Components } from './components.ts'
import { openSession, type Session } from './duckdb/session.ts'
import type { AgainContext } from './intake/again.ts'
import { openRun, type Run } from './open-run.ts'
import type { BackfillOptions, RunOptions } from './options.ts'
import { engineRecords } from './state/engine-state.ts'

/** Opens a run, works, and leaves nothing behind in this process, whatever happens. */
export async function withRun<T>(
  parts: Components,
  pipeline: Pipeline,
  options: RunOptions & Pick<BackfillOptions, 'from' | 'to' | 'ledger'>,
  work: (run: Run) => Promise<T>,
): Promise<T> {
  const flows = await describeFlows(pipeline)
  const abort = new AbortController()
  const forward = () => abort.abort(options.signal?.reason)
  options.signal?.addEventListener('abort', forward, { once: true })
  if (options.signal?.aborted) forward()
  let session: Session | undefined
  try {
    session = await openSession(options)
    return await work(await openRun(pipeline, options, flows, session, parts, abort))
  } finally {
    options.signal?.removeEventListener('abort', forward)
    // What ran ahead stops before its folder goes.
    abort.abort()
    flows.unsubscribe()
    await session?.close()
  }
}

/** What is read again before anything new in a run. */
export function againOf({ claim, replayed, sources, lookUps, clock, onEvent }: Run): AgainContext {
  const { retry: request, applyLate } = replayed ? { retry: null, applyLate: [] } : engineRecords(claim.head.manifest)
  return { request, applyLate, attempt: claim.attempt, sources, lookUps, clock, onEvent }
}
