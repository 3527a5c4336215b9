import type { Finding } from '../../status/doctor/finding.ts'
import type { Command } from '../command.ts'
import { loadPipeline } from '../load-pipeline.ts'
import { type Options, readArguments, readText, renderOptions, usageError } from '../options.ts'

const options = {
  input: { value: 'ADDRESS', help: "the place to read, instead of the source's own `objects`", read: readText },
  output: { value: 'ADDRESS', help: "where the results go, instead of the sink's own address", read: readText },
  checkpoint: { value: 'ADDRESS', help: "where state and ledger lie, instead of the pipeline's own", read: readText },
  json: { help: 'one line of JSON instead' },
} satisfies Options

export const doctorCommand: Command = {
  name: 'doctor',
  summary: 'check all that a run needs, and say what to change',
  help: `Usage: millrace doctor PIPELINE.ts [OPTIONS]

Checks the pipeline, its input (the first new object is read as a run would), checkpoint and output, its queue or topic,
and what the bucket is told to announce and to expire. Counts nothing and claims nothing; a file that it writes to try
the checkpoint and the output is removed.

${renderOptions(options)}

Exit codes: 0 no problems, 1 problems found. Warnings, and what may not be looked at, are none.
`,
  async run(args, terminal) {
    const { positionals, values } = readArguments('doctor', options, args)
    const [file, extra] = positionals
    if (file === undefined) throw usageError('doctor', 'the pipeline is missing; expected a file such as pipeline.ts.')
    if (extra !== undefined) throw usageError('doctor', `found '${extra}' after ${file}; expected one pipeline file.`)
    const { json, ...places } = values
    const pipeline = await loadPipeline(file)
    const [{ examine }, { components }, { sourceOf }, { createRedact, secretsOf }] = await Promise.all([
      import('../../status/doctor/doctor.ts'),
      import('../../engine/components.ts'),
      import('../../engine/flows.ts'),
      import('../../status/redact.ts'),
    ])
    const found = await examine(components, pipeline, places)
    // A pipeline that cannot be subscribed has told its problem already.
    const isBound = found.some(({ check, is }) => check === 'pipeline' && is === 'ok')
    const redact = createRedact(secretsOf(isBound ? sourceOf(pipeline).notifications : undefined, process.env))
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
