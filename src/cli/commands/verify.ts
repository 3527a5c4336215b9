import { inspectHint } from './backfill.ts'
import type { Command } from '../command.ts'
import { loadPipeline } from '../load-pipeline.ts'
import { verifyOptions } from '../../engine/options.ts'
import { jsonOption, pipelineArgument } from '../options.ts'
import { inputPlaces, outputPlaces } from '../named-places.ts'
import { displayProgress } from '../progress.ts'
import type { ChangedObject } from '../../engine/replay/missing-objects.ts'
import type { Verification } from '../../engine/verify.ts'
import { showCounted } from '../../core/quantity.ts'

const { onProgress: _, signal: __, ...places } = verifyOptions
const options = { file: pipelineArgument, ...places, json: jsonOption } as const

export const verifyCommand: Command<typeof options> = {
  name: 'verify',
  summary: 'replay a ledger with another cut and compare the results',
  about: `Replays the checkpoint's ledger in a scratch folder, cut into other epochs, and compares output and late
rows. Outcomes, flushes and object versions come from the ledger. Only reads the checkpoint and its output.
Exit code 0 when nothing differs, 1 when something does, or an object is gone or there in another version.`,
  options,
  async run({ file, json, input, output, ...rest }, terminal) {
    const pipeline = await loadPipeline(file)
    const { verify } = await import('../../engine/verify.ts')
    const progress = displayProgress(terminal, json)
    const found = await verify(pipeline, {
      ...rest,
      ...inputPlaces('verify', input),
      ...outputPlaces('verify', output),
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
        `${pipeline.name}: nothing differs${found.notCompared.length > 0 ? ' in what was compared' : ''}. ` +
          `${showCounted(found.rows, 'row')} of output and ${showCounted(found.lateRows, 'late row')} ` +
          `are the same in ${showCounted(found.epochs, 'epoch')} and in ` +
          `${showCounted(found.replayEpochs, 'epoch')} of the replay.\n` +
          notComparedText(found),
      )
    else
      terminal.out(
        `${pipeline.name}: the replay differs. The first row of each that only one side has:\n${found.differences
          .map(
            ({ of, only, row }) =>
              `  ${of}, only in the ${only}: ` +
              `${JSON.stringify(row, (_key, value: unknown) => (typeof value === 'bigint' ? String(value) : value))}\n`,
          )
          .join('')}${notComparedText(found)}next  ${inspectHint(found.checkpoint)}\n`,
      )
    return isSame ? 0 : 1
  },
}

function notComparedText({ notCompared }: Verification): string {
  return notCompared
    .map(flow => `${flow} was not compared: verify reads files of output, and its rows went elsewhere.\n`)
    .join('')
}

const missingShown = 20

/** Why a ledger cannot be replayed, for a person. */
export function renderMissing(
  name: string,
  { gone, deleted, changed }: Pick<Verification, 'gone' | 'deleted' | 'changed'>,
): string {
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
    (deleted.length > 0
      ? `Of them ${showCounted(deleted.length, 'was', 'were')} deleted by the source's own after: ` +
        `'delete', which gives up replay.\n`
      : '') +
    (changed.length > 0
      ? `${showCounted(changed.length, 'object')} there in another version:\n` +
        lines(changed.map(({ key, found, expected }) => `${key}: ${shown(found)}, expected ${shown(expected)}`)) +
        'Bring those versions back. A copy of the same file has a new time: ' +
        "copy it with cp -p, or restore its time with touch -d 'TIME'.\n"
      : '')
  )
}
