import { inspectHint } from './backfill.ts'
import type { Command } from '../command.ts'
import { loadPipeline } from '../load-pipeline.ts'
import { type Options, readArguments, readMemory, readText, readWhole, renderOptions, usageError } from '../options.ts'
import { displayProgress } from '../progress.ts'
import type { ChangedObject, Verification } from '../../engine/verify.ts'
import { showCounted } from '../../core/quantity.ts'

const options = {
  input: { value: 'DIR', help: "where the objects lie, instead of the source's own `objects`", read: readText },
  output: { value: 'DIR', help: 'where the results lie, if they were moved', read: readText },
  checkpoint: { value: 'DIR', help: "where state and ledger lie, instead of the pipeline's own", read: readText },
  'objects-per-epoch': {
    value: 'N',
    help: "the replay's cut; default: another than the run's",
    read: readWhole(1, 1_000_000),
  },
  threads: { value: 'N', help: 'threads of DuckDB; default: all cores', read: readWhole(1, 1024) },
  memory: { value: 'SIZE', help: "memory limit of DuckDB, such as '2GB'; default: 60 percent", read: readMemory },
  spill: { value: 'DIR', help: 'folder for the replay; default: a temporary one', read: readText },
  json: { help: 'one line of JSON instead' },
} satisfies Options

export const verifyCommand: Command = {
  name: 'verify',
  summary: 'replay a ledger with another cut and compare the results',
  help: `Usage: millrace verify PIPELINE.ts [OPTIONS]

Replays the checkpoint's ledger in a scratch folder, cut into other epochs, and compares output and late
rows. Outcomes, flushes and object versions come from the ledger. Only reads the checkpoint and its output.
Exit code 0 when nothing differs, 1 when something does, or an object is gone or there in another version.

${renderOptions(options)}
`,
  async run(args, terminal) {
    const { positionals, values } = readArguments('verify', options, args)
    const [file, extra] = positionals
    if (file === undefined) throw usageError('verify', 'the pipeline is missing; expected a file such as pipeline.ts.')
    if (extra !== undefined) throw usageError('verify', `found '${extra}' after ${file}; expected one pipeline file.`)
    const { json, 'objects-per-epoch': objectsPerEpoch, ...rest } = values
    const pipeline = await loadPipeline(file)
    const { verify } = await import('../../engine/verify.ts')
    const progress = displayProgress(terminal)
    const found = await verify(pipeline, {
      ...rest,
      ...(objectsPerEpoch !== undefined && { objectsPerEpoch }),
      onProgress: progress.update,
    }).finally(progress.done)
    const { gone, changed } = found
    const isSame = found.differences.length === 0 && gone.length === 0 && changed.length === 0
    if (json)
      terminal.out(
        `${JSON.stringify(found, (_key, value: unknown) => (typeof value === 'bigint' ? String(value) : value))}\n`,
      )
    else if (gone.length > 0 || changed.length > 0) terminal.out(renderMissing(pipeline.name, found))
    else if (isSame)
      terminal.out(
        `${pipeline.name}: nothing differs. ${showCounted(found.rows, 'row')} of output and ${showCounted(found.lateRows, 'late row')} ` +
          `are the same in ${showCounted(found.epochs, 'epoch')} and in ${showCounted(found.replayEpochs, 'epoch')} of the replay.\n`,
      )
    else
      terminal.out(
        `${pipeline.name}: the replay differs. The first row of each that only one side has:\n${found.differences
          .map(
            ({ of, only, row }) =>
              `  ${of}, only in the ${only}: ${JSON.stringify(row, (_key, value: unknown) => (typeof value === 'bigint' ? String(value) : value))}\n`,
          )
          .join('')}next  ${inspectHint(found.checkpoint)}\n`,
      )
    return isSame ? 0 : 1
  },
}

const missingShown = 20

/** Why a ledger cannot be replayed, for a person. */
export function renderMissing(name: string, { gone, changed }: Pick<Verification, 'gone' | 'changed'>): string {
  const shown = ({ modified, sizeBytes }: ChangedObject['found']) =>
    `modified ${modified} (${showCounted(sizeBytes, 'byte')})`
  const lines = (texts: readonly string[]) =>
    texts
      .slice(0, missingShown)
      .map(text => `  ${text}\n`)
      .join('')
  return (
    `${name}: cannot be replayed.\n` +
    (gone.length > 0 ? `${showCounted(gone.length, 'object')} of the ledger gone:\n${lines(gone)}` : '') +
    (changed.length > 0
      ? `${showCounted(changed.length, 'object')} there in another version:\n` +
        lines(changed.map(({ key, found, expected }) => `${key}: ${shown(found)}, expected ${shown(expected)}`)) +
        "Bring those versions back. A copy of the same file has a new time: copy it with cp -p, or restore its time with touch -d 'TIME'.\n"
      : '')
  )
}
