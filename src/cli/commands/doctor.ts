import type { Finding } from '../../core/finding.ts'
import type { Command } from '../command.ts'
import { loadPipeline } from '../load-pipeline.ts'
import { runOptions } from '../../engine/options.ts'
import { jsonOption, pipelineArgument } from '../options.ts'
import { inputPlaces, outputPlaces } from '../named-places.ts'

const { input, output, checkpoint } = runOptions
const options = { file: pipelineArgument, input, output, checkpoint, json: jsonOption } as const

export const doctorCommand: Command<typeof options> = {
  name: 'doctor',
  summary: 'check all that a run needs, and say what to change',
  about: `Checks the pipeline, its input (the first new object is read as a run would), checkpoint and output, its queue or topic,
and what the bucket is told to announce and to expire. Counts nothing and claims nothing; a file that it writes to try
the checkpoint and the output is removed.`,
  options,
  notes: 'Exit codes: 0 no problems, 1 problems found. Warnings, and what may not be looked at, are none.',
  async run({ file, json, input, output, ...places }, terminal) {
    const pipeline = await loadPipeline(file)
    const [{ examine }, { components }, { announcersOf, definitionsOf }, { createRedact, secretsOf }] =
      await Promise.all([
        import('../../status/doctor/doctor.ts'),
        import('../../engine/components.ts'),
        import('../../engine/bind/flows.ts'),
        import('../../status/redact.ts'),
      ])
    const found = await examine(components, pipeline, {
      ...places,
      ...inputPlaces('doctor', input),
      ...outputPlaces('doctor', output),
    })
    // A pipeline that cannot be subscribed has told its problem already.
    const isBound = found.some(({ check, is }) => check === 'pipeline' && is === 'ok')
    const redact = createRedact([
      ...secretsOf(isBound ? announcersOf(definitionsOf(pipeline)) : [], process.env),
      ...(pipeline.secrets?.().values() ?? []),
    ])
    const findings = redact(found)
    const problems = findings.filter(({ is }) => is === 'problem').length
    terminal.out(
      json
        ? `${JSON.stringify({ pipeline: pipeline.name, problems, findings })}\n`
        : `${findings.map(renderFinding).join('\n')}\n`,
    )
    return problems > 0 ? 1 : 0
  },
}

function renderFinding({ check, is, message }: Finding): string {
  return `${is.padEnd(9)}${check.padEnd(15)}${message}`
}
