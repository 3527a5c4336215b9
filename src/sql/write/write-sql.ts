import { sinks } from '../../../connectors/registry.ts'
import type { LookupDefinition } from '../../plan/lookup.ts'
import type { Terminal } from '../../plan/mini-batch.ts'
import { chain, planKey, type PlanNode, sourceSettings } from '../../plan/node.ts'
import type { Pipeline } from '../../plan/pipeline.ts'
import type { SourceDefinition } from '../../plan/source-definition.ts'
import { id, text } from '../../plan/sql.ts'
import { NoSqlForm } from './no-sql-form.ts'
import { queryText } from './write-query.ts'
import { sinkText } from './write-sink.ts'
import { lookupText, sourceText } from './write-source.ts'

/** A pipeline as it is described: what `subscribeFlows` gives. */
export interface Described {
  readonly definitions: readonly SourceDefinition[]
  readonly lookups: readonly LookupDefinition[]
  readonly terminals: readonly Terminal[]
}

/**
 * The SQL form of a pipeline, or what of it has none. Each step is a view, as many as there are: whoever goes on with
 * the text may put them together.
 */
export function sqlOf(
  { name, checkpoint }: Pick<Pipeline, 'name' | 'checkpoint'>,
  described: Described,
): { readonly is: 'sql'; readonly sql: string } | { readonly is: 'none'; readonly why: string } {
  try {
    const statements = [`CREATE PIPELINE ${id(name)} WITH (checkpoint = ${text(checkpoint.replaceAll('${', '$${'))});`]
    statements.push(...described.definitions.map(sourceText))
    statements.push(...described.lookups.map(lookupText))
    statements.push(...flowTexts(described.terminals))
    return { is: 'sql', sql: `${statements.join('\n\n')}\n` }
  } catch (error) {
    if (error instanceof NoSqlForm) return { is: 'none', why: error.message }
    throw error
  }
}

function flowTexts(terminals: readonly Terminal[]): readonly string[] {
  const statements: string[] = []
  const views = new Map<string, string>()
  const nameOf = (node: PlanNode): string =>
    node.step.is === 'source' ? id(sourceSettings(node).name) : (views.get(planKey(node)) ?? '')
  for (const [index, terminal] of terminals.entries()) {
    if (terminal.is !== 'sink') throw new NoSqlForm(`${terminal.op}() hands rows to code, and has no SQL form`)
    const last = terminal.node
    for (const node of chain(last)) {
      if (node === last || node.step.is === 'source' || views.has(planKey(node))) continue
      const query = queryText(node, nameOf)
      if (query === undefined) continue
      const view = `step_${views.size + 1}`
      views.set(planKey(node), view)
      statements.push(`CREATE VIEW ${view} AS\n${query};`)
    }
    const { epochsMax: epochsBehindMax, bytesMax: bytesBehindMax } = terminal.behind
    const sink = `sink_${index + 1}`
    statements.push(sinkText(sink, terminal.sink, { epochsBehindMax, bytesBehindMax }, sinks))
    const own =
      last.step.is === 'source' || views.has(planKey(last)) ? `SELECT * FROM ${nameOf(last)}` : queryText(last, nameOf)
    statements.push(`INSERT INTO ${sink}${terminal.emit === 'update' ? ' EMIT UPDATE' : ''}\n${own};`)
  }
  return statements
}
