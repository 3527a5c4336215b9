import { flag } from '../../core/option-kinds.ts'
import type { Repaired } from '../../engine/repair.ts'
import { showBytes, showCounted } from '../../core/quantity.ts'
import type { Command } from '../command.ts'
import { checkpointArgument, jsonOption } from '../options.ts'

const options = {
  checkpoint: checkpointArgument,
  withdraw: {
    kind: flag,
    about: 'Move files of output that were published after that manifest to _millrace/withdrawn/ of their folder.',
  },
  json: jsonOption,
} as const

export const repairCommand: Command<typeof options> = {
  name: 'repair',
  summary: 'give a checkpoint that lost its HEAD the newest manifest that is there',
  about: `Writes HEAD anew for a checkpoint that has lost it, from the newest manifest that is there: what HEAD held
before, where a directory still has it, or the newest copy under manifests/ (every 100 epochs, and at each
stop). All files of the checkpoint that it needs are read and verified before anything is written. What was
committed after it is lost and is read again by the next start. Rows that a table took after it are not taken
back: then nothing is done. Tables of PostgreSQL are reached by PGUSER, PGPASSWORD or ~/.pgpass.`,
  options,
  async run({ checkpoint, withdraw, json }, terminal) {
    const { repair } = await import('../../engine/repair.ts')
    const repaired = await repair(checkpoint, { withdraw: withdraw ?? false })
    terminal.out(json ? `${JSON.stringify(repaired)}\n` : renderRepaired(repaired))
    return 0
  },
}

function renderRepaired({
  checkpoint,
  from,
  epoch,
  term,
  lostEpochs,
  files,
  bytes,
  withdrawn,
  refused,
}: Repaired): string {
  const lines = [
    `${checkpoint}: HEAD is there again, at epoch ${epoch}.`,
    '',
    `  from       ${from}, under the new term ${term}`,
    `  verified   ${showCounted(files, 'file')} of the checkpoint, ${showBytes(bytes)}`,
    `  lost       ${showLost(lostEpochs)}`,
    ...withdrawn.map((address, at) => `  ${at === 0 ? 'withdrawn' : '         '}  ${address}`),
    ...refused.map((why, at) => `  ${at === 0 ? 'refused' : '       '}    ${why}`),
    '  next       start the pipeline as before',
  ]
  return `${lines.join('\n')}\n`
}

function showLost(lostEpochs: Repaired['lostEpochs']): string {
  if (lostEpochs === null) return 'no epoch that any file tells of'
  const [first, last] = lostEpochs
  const epochs = first === last ? `epoch ${first}` : `epochs ${first} to ${last}`
  return (
    `${epochs}: their objects are read again by the next start, where they are still there; ` +
    `move back first what \`after\` has moved since`
  )
}
