import type { Explanation } from '../../engine/explain.ts'
import type { Command } from '../command.ts'
import { loadPipeline } from '../load-pipeline.ts'
import { type Options, readArguments, renderOptions, usageError } from '../options.ts'

const options = {
  json: { help: 'one line of JSON instead' },
} satisfies Options

export const explainCommand: Command = {
  name: 'explain',
  summary: 'show the plan and the SQL of each stage',
  help: `Usage: millrace explain PIPELINE.ts [OPTIONS]

Binds the pipeline and shows, for each flow, its operators, its state and the SQL that each stage runs.
Claims nothing and reads no data, so it is also the quickest check of a pipeline.

${renderOptions(options)}
`,
  async run(args, terminal) {
    const { positionals, values } = readArguments('explain', options, args)
    const [file, extra] = positionals
    if (file === undefined) throw usageError('explain', 'the pipeline is missing; expected a file such as pipeline.ts.')
    if (extra !== undefined) throw usageError('explain', `found '${extra}' after ${file}; expected one pipeline file.`)
    const pipeline = await loadPipeline(file)
    const { explain } = await import('../../engine/explain.ts')
    const explained = await explain(pipeline)
    terminal.out(values.json ? `${JSON.stringify(explained)}\n` : renderExplanation(explained))
    return 0
  },
}

function renderExplanation({ pipeline, flows }: Explanation): string {
  const lines = [pipeline]
  for (const { name, steps, state, stages, columns } of flows) {
    lines.push('', name)
    for (const { op, options: settings } of steps) lines.push(`  ${op} ${JSON.stringify(settings)}`)
    lines.push('', `  state    ${state ?? 'none'}`)
    lines.push(
      `  columns  ${Object.entries(columns)
        .map(([column, type]) => `${column} ${type}`)
        .join(', ')}`,
    )
    for (const { stage, sql } of stages) lines.push('', `  -- ${stage}`, `  ${sql}`)
  }
  return `${lines.join('\n')}\n`
}
