import { configError } from '../../core/errors.ts'
import { flag, oneOf } from '../../core/option-kinds.ts'
import { visible } from '../../core/visible.ts'
import type { Explanation } from '../../engine/explain.ts'
import { runOptions } from '../../engine/options.ts'
import type { Pipeline } from '../../plan/pipeline.ts'
import type { Command } from '../command.ts'
import { loadPipeline } from '../load-pipeline.ts'
import { type Arguments, flagName, jsonOption, pipelineArgument, usageError } from '../options.ts'
import { drawMermaid } from '../plan-mermaid.ts'
import { drawPlan } from '../plan-picture.ts'
import { addressToPath, shownPath } from '../shown-path.ts'
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
  checkpoint: {
    ...runOptions.checkpoint,
    otherwise: "the pipeline's own, where that is a folder",
    about: 'The checkpoint whose figures of state the picture has.',
  },
  portable: {
    kind: flag,
    about: 'Print the plan as JSON for another executor, or what of it only this process can do.',
  },
  json: jsonOption,
} as const

type Given = Arguments<typeof options>

export const explainCommand: Command<typeof options> = {
  name: 'explain',
  summary: 'show the plan as a picture, and the SQL of each stage',
  about: `Binds the pipeline and draws it: sources above, then each step with its expressions and state, the ends of
flows below. Steps say what they hold in the checkpoint. Claims nothing and reads no data, so it is also the
quickest check of a pipeline.`,
  options,
  async run(given, terminal) {
    checkExclusive(given)
    const pipeline = await loadPipeline(given.file)
    if (given.as === 'sql') {
      const { sqlForm } = await import('../sql-form.ts')
      terminal.out(await sqlForm(pipeline))
      return 0
    }
    if (given.portable) {
      const { portablePlan } = await import('../../spark/portable.ts')
      terminal.out(`${JSON.stringify(await portablePlan(pipeline))}\n`)
      return 0
    }
    const { explain } = await import('../../engine/explain.ts')
    const explained = await explain(pipeline, checkpointOf(pipeline, given.checkpoint))
    if (given.checkpoint !== undefined && explained.checkpoint === null)
      throw configError('--checkpoint', given.checkpoint, 'the folder of a checkpoint; it holds none')
    terminal.out(await shown(explained, given, terminal))
    return 0
  },
}

/** A bucket is asked only where that was wanted: the quick check of a pipeline needs no network. */
function checkpointOf({ checkpoint }: Pipeline, asked: string | undefined): string | undefined {
  if (asked !== undefined) return asked
  return /^[a-z][a-z0-9+.-]*:\/\//i.test(checkpoint) && !checkpoint.startsWith('file:') ? undefined : checkpoint
}

function checkExclusive(given: Given): void {
  const asked = (['stages', 'mermaid', 'as', 'portable', 'json'] as const).filter(name => given[name])
  const [one, other] = asked
  if (one && other)
    throw usageError('explain', `--${flagName(one)} and --${flagName(other)} exclude each other; expected one of them.`)
}

async function shown(explained: Explanation, { json, stages, mermaid }: Given, terminal: Terminal): Promise<string> {
  if (json) return `${JSON.stringify(explained)}\n`
  if (mermaid) return drawMermaid(explained.graph)
  if (!stages) return `${head(explained)}\n${drawPlan(explained.graph, terminal.columns)}`
  const { formatSql } = await import('../format-sql.ts')
  return renderStages(explained, formatSql)
}

function head({ pipeline, checkpoint }: Explanation): string {
  if (checkpoint === null) return `${visible(pipeline)}\n`
  const { address, epoch, problem } = checkpoint
  const told = problem === null ? `as of epoch ${epoch}` : `whose figures are not shown: ${problem}`
  return `${visible(pipeline)}\ncheckpoint ${visible(`${shownPath(addressToPath(address))}, ${told}`)}\n`
}

/** The SQL of each stage. */
function renderStages({ flows }: Explanation, formatSql: (sql: string) => string): string {
  const parts = flows.flatMap(({ name, state, stages }) => [
    `-- ${name}${state === null ? ', which keeps no state' : `, whose state is ${state}`}`,
    ...stages.map(({ stage, sql }) => `-- ${name}: ${stage}\n${formatSql(sql)};`),
  ])
  return `${parts.join('\n\n')}\n`
}
