import type { Command } from '../command.ts'
import { readArguments, renderOptions, usageError, type Options } from '../options.ts'
import { renderInspection } from '../summary.ts'

const options = {
  json: { help: 'one line of JSON instead' },
} satisfies Options

export const inspectCommand: Command = {
  name: 'inspect',
  summary: 'show what a checkpoint holds',
  help: `Usage: millrace inspect CHECKPOINT [OPTIONS]

Shows ledger, watermarks, state and output of a checkpoint (a folder or a file:// address).
It claims nothing: a run that writes there goes on.

${renderOptions(options)}
`,
  async run(args, terminal) {
    const { positionals, values } = readArguments('inspect', options, args)
    const [address, extra] = positionals
    if (address === undefined) throw usageError('inspect', 'the checkpoint is missing; expected its folder.')
    if (extra !== undefined) throw usageError('inspect', `found '${extra}' after ${address}; expected one checkpoint.`)
    const { inspect } = await import('../../engine/inspect.ts')
    const inspection = await inspect(address)
    terminal.out(values.json ? `${JSON.stringify(inspection)}\n` : renderInspection(inspection))
    return 0
  },
}
