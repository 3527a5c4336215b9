import { flag, oneOf } from '../../core/option-kinds.ts'
import type { Explanation } from '../../engine/explain.ts'
import type { Command } from '../command.ts'
import { loadPipeline } from '../load-pipeline.ts'
import { type Arguments, flagName, jsonOption, pipelineArgument, usageError } from '../options.ts'
import { drawMermaid } from '../plan-mermaid.ts'
import { drawPlan } from '../plan-picture.ts'
import type { Terminal } from '../terminal.ts'

const options = {
  file: pipelineArgument,
  stages: { kind: flag, about: 'Print the SQL that each stage of each flow runs.' },
  mermaid: {
    kind: flag,
    about: 'Print the picture as a flowchart of Mermaid, which Markdown of GitHub and GitLab draws.',
  },
  as: {
    kind: oneOf('sql'),
    placeholder: 'sql',
    about: 'Print the pipeline as statements of SQL, or what of it has no such form.',
  },
  json: jsonOption,
} as const

type Given = Arguments<typeof options>

export const explainCommand: Command<typeof options> = {
  name: 'explain',
  summary: 'show the plan as a picture, and the SQL of each stage',
  about: `Binds the pipeline and draws it: sources above, then each step with its expressions and state, the ends of
flows below. Claims nothing and reads no data, so it is also the quickest check of a pipeline.`,
  options,
  async run(given, terminal) {
    checkExclusive(given)
    const pipeline = await loadPipeline(given.file)
    if (given.as === 'sql') {
      const { sqlForm } = await import('../sql-form.ts')
      terminal.out(await sqlForm(pipeline))
      return 0
    }
    const { explain } = await import('../../engine/explain.ts')
    terminal.out(await shown(await explain(pipeline), given, terminal))
    return 0
  },
}

function checkExclusive(given: Given): void {
  const asked = (['stages', 'mermaid', 'as', 'json'] as const).filter(name => given[name])
  const [one, other] = asked
  if (one && other)
    throw usageError('explain', `--${flagName(one)} and --${flagName(other)} exclude each other; expected one of them.`)
}

async function shown(explained: Explanation, { json, stages, mermaid }: Given, terminal: Terminal): Promise<string> {
  if (json) return `${JSON.stringify(explained)}\n`
  if (mermaid) return drawMermaid(explained.graph)
  if (!stages) return `${explained.pipeline}\n\n${drawPlan(explained.graph, terminal.columns)}`
  const { formatSql } = await import('../format-sql.ts')
  return renderStages(explained, formatSql)
}

/** The SQL of each stage. */
function renderStages({ flows }: Explanation, formatSql: (sql: string) => string): string {
  const parts = flows.flatMap(({ name, state, stages }) => [
    `-- ${name}${state === null ? ', which keeps no state' : `, whose state is ${state}`}`,
    ...stages.map(({ stage, sql }) => `-- ${name}: ${stage}\n${formatSql(sql)};`),
  ])
  return `${parts.join('\n\n')}\n`
}
