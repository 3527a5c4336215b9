import { UnknownSteps } from '../../plan/asked-steps.ts'
import type { Pipeline } from '../../plan/pipeline.ts'
import { openSession } from '../duckdb/session.ts'
import { type Flows, subscribeFlows } from './flows.ts'

/**
 * As `subscribeFlows`, once the queries of `sql(...)` are read. DuckDB parses and binds them in a session of its own,
 * which pipelines without any do not need.
 */
export async function describeFlows(pipeline: Pipeline): Promise<Flows> {
  try {
    return subscribeFlows(pipeline)
  } catch (error) {
    if (!(error instanceof UnknownSteps)) throw error
  }
  const { knowingSteps } = await import('../../sql/knowing-steps.ts')
  const session = await openSession({ threads: 1 })
  try {
    const executor = await session.executor(new AbortController().signal)
    return await knowingSteps(executor, () => subscribeFlows(pipeline))
  } finally {
    await session.close()
  }
}
