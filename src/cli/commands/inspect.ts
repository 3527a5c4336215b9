import type { Command } from '../command.ts'
import { checkpointArgument, jsonOption } from '../options.ts'
import { renderInspection } from '../summary.ts'

const options = { checkpoint: checkpointArgument, json: jsonOption } as const

export const inspectCommand: Command<typeof options> = {
  name: 'inspect',
  summary: 'show what a checkpoint holds',
  about: `Shows ledger, watermarks, state and output of a checkpoint (a folder or a file:// address).
It claims nothing: a run that writes there goes on.`,
  options,
  async run({ checkpoint, json }, terminal) {
    const { inspect } = await import('../../engine/inspect/inspect.ts')
    const inspection = await inspect(checkpoint)
    terminal.out(json ? `${JSON.stringify(inspection)}\n` : renderInspection(inspection))
    return 0
  },
}
