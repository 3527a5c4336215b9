import type { Explanation } from '../../engine/explain.ts'
import type { Command } from '../command.ts'
import { loadPipeline } from '../load-pipeline.ts'
import { jsonOption, pipelineArgument } from '../options.ts'

const options = { file: pipelineArgument, json: jsonOption } as const

export const explainCommand: Command<typeof options> = {
  name: 'explain',
  summary: 'show the plan and the SQL of each stage',
  about: `Binds the pipeline and shows, for each flow, its operators, its state and the SQL that each stage runs.
Claims nothing and reads no data, so it is also the quickest check of a pipeline.`,
  options,
  async run({ file, json }, terminal) {
    const pipeline = await loadPipeline(file)
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
    for (const { op, options: settings } of steps) lines.push(`  ${op} ${JSON.stringify(settings)}`)
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
