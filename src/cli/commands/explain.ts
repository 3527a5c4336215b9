import type { ExplainedStep, Explanation } from '../../engine/explain.ts'
import { oneOf } from '../../core/option-kinds.ts'
import type { Command } from '../command.ts'
import { loadPipeline } from '../load-pipeline.ts'
import { jsonOption, pipelineArgument } from '../options.ts'

const options = {
  file: pipelineArgument,
  as: {
    kind: oneOf('sql'),
    placeholder: 'sql',
    about: 'Print the pipeline as statements of SQL, or what of it has no such form.',
  },
  json: jsonOption,
} as const

export const explainCommand: Command<typeof options> = {
  name: 'explain',
  summary: 'show the plan and the SQL of each stage',
  about: `Binds the pipeline and shows, for each flow, its operators, its state and the SQL that each stage runs.
Claims nothing and reads no data, so it is also the quickest check of a pipeline.`,
  options,
  async run({ file, as, json }, terminal) {
    const pipeline = await loadPipeline(file)
    if (as === 'sql') {
      const { sqlForm } = await import('../sql-form.ts')
      terminal.out(await sqlForm(pipeline))
      return 0
    }
    const { explain } = await import('../../engine/explain.ts')
    const explained = await explain(pipeline)
    const { formatSql } = await import('../format-sql.ts')
    terminal.out(json ? `${JSON.stringify(explained)}\n` : renderExplanation(explained, formatSql))
    return 0
  },
}

function renderExplanation({ pipeline, sources, flows }: Explanation, formatSql: (sql: string) => string): string {
  const lines = [pipeline, ...sources.flatMap(({ after }) => (after === null ? [] : [`  ${after}`]))]
  for (const { name, steps, state, stages, columns } of flows) {
    lines.push('', name)
    lines.push(...stepLines(steps, steps.length - 1, '  '))
    lines.push('', `  state    ${state ?? 'none'}`)
    lines.push(
      `  columns  ${Object.entries(columns)
        .map(([column, type]) => `${column} ${type}`)
        .join(', ')}`,
    )
    for (const { stage, sql } of stages)
      lines.push(
        '',
        `  -- ${stage}`,
        ...formatSql(sql)
          .split('\n')
          .map(line => `  ${line}`),
      )
  }
  return `${lines.join('\n')}\n`
}

/** A step below those that feed it; what meets in it is told one after the other, each with a head. */
function stepLines(steps: readonly ExplainedStep[], place: number, indent: string): readonly string[] {
  const { op, options: settings, inputs = place === 0 ? [] : [place - 1] } = steps[place] as ExplainedStep
  const own = `${indent}${op} ${JSON.stringify(settings)}`
  const [only] = inputs
  if (inputs.length === 1 && only !== undefined) return [...stepLines(steps, only, indent), own]
  const names = op === 'join' ? ['left side', 'right side'] : inputs.map((_, index) => `input ${index + 1}`)
  const before = inputs.flatMap((input, index) => [
    `${indent}${names[index] ?? ''} of ${op}:`,
    ...stepLines(steps, input, `${indent}  `),
  ])
  return [...before, own]
}
