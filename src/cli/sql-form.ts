import { MillraceError } from '../core/errors.ts'
import { describeFlows } from '../engine/bind/describe-flows.ts'
import { openSession } from '../engine/duckdb/session.ts'
import { formsOf } from '../plan/forms.ts'
import { createGate, type Gate } from '../plan/gate.ts'
import type { Pipeline } from '../plan/pipeline.ts'
import { compileSql } from '../sql/compile-sql.ts'
import { sqlOf } from '../sql/write/write-sql.ts'

/**
 * The SQL form of a pipeline. It is compiled again and its plan compared: what would be another plan is not shown.
 *
 * @throws MillraceError `user` that says what has no SQL form
 */
export async function sqlForm(pipeline: Pipeline): Promise<string> {
  const written = sqlOf(pipeline, await described(pipeline))
  if (written.is === 'none') throw noForm(pipeline, written.why)
  const session = await openSession({ threads: 1 })
  try {
    const executor = await session.executor(new AbortController().signal)
    const gate = createGate(executor)
    // Values of variables that stand for secrets are no part of the plan.
    const environment = new Proxy({}, { get: () => 'postgres://user@host/database', has: () => true })
    const again = await compileSql({ file: 'pipeline.sql', text: written.sql }, { executor, environment })
    const [own, other] = [await keysOf(pipeline, gate), await keysOf(again, gate)]
    if (own !== other) throw noForm(pipeline, 'its statements would be another plan')
    return written.sql
  } finally {
    await session.close()
  }
}

async function described(pipeline: Pipeline) {
  const flows = await describeFlows(pipeline)
  flows.unsubscribe()
  return flows
}

/** Equal for pipelines of equal flows. */
async function keysOf(pipeline: Pipeline, gate: Pick<Gate, 'canonical'>): Promise<string> {
  const { terminals } = await described(pipeline)
  const nodes = terminals.map(({ node }) => node)
  const forms = await formsOf(nodes, gate)
  return nodes.map(node => forms.get(node)?.key).join()
}

function noForm({ name }: Pipeline, why: string): MillraceError {
  return new MillraceError(
    'user',
    'sql-form',
    `pipeline ${name}: ${why}; expected a pipeline of operators that SQL can say.`,
  )
}
