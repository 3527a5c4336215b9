import { text } from '../../core/option-kinds.ts'
import type { Kind } from '../../core/options.ts'
import { parseInstantUs, periodForms } from '../../plan/key-period.ts'
import type { WhyWindow } from '../../engine/inspect/why-window.ts'
import type { Command } from '../command.ts'
import { loadPipeline } from '../load-pipeline.ts'
import { jsonOption, nameAndValue, pipelineArgument, usageError } from '../options.ts'
import { runOptions } from '../../engine/options.ts'
import { shownPath } from '../shown-path.ts'

/** A column and its value: 'zone=74'. */
const columnValue: Kind<{ readonly name: string; readonly value: string }> = {
  expected: "COLUMN=VALUE, such as 'zone=74'",
  placeholder: 'COLUMN=VALUE',
  problemOf: () => undefined,
  fromText: nameAndValue,
}

const options = {
  file: pipelineArgument,
  window: {
    kind: text(periodForms, value => parseInstantUs(value) !== undefined, 'TIME'),
    about: 'A time in the window that is asked for.',
  },
  group: {
    kind: columnValue,
    isRepeated: true,
    otherwise: 'all groups',
    about: 'One group of the window, by a column of its key; of several columns once for each.',
  },
  flow: {
    kind: text("the name of a flow, such as 'flow-2'", undefined, 'FLOW'),
    otherwise: 'every flow that has windows',
    about: 'The flow whose window is meant.',
  },
  checkpoint: runOptions.checkpoint,
  json: jsonOption,
} as const

export const whyCommand: Command<typeof options> = {
  name: 'why',
  summary: 'say why a window has no output yet, or what became of it',
  about: `Says of the windows that hold a time whether they are open, what holds them open and what closes
them, or when they were closed and where their results are. It reads the checkpoint alone and claims
nothing: a run that writes there goes on.`,
  options,
  async run({ file, window, group = [], flow, checkpoint, json }, terminal) {
    const timeUs = window === undefined ? undefined : parseInstantUs(window)
    if (timeUs === undefined) throw usageError('why', '--window is missing; expected --window TIME.')
    const pipeline = await loadPipeline(file)
    const { whyWindow } = await import('../../engine/inspect/why-window.ts')
    const found = await whyWindow(pipeline, {
      timeUs,
      group: Object.fromEntries(group.map(({ name, value }) => [name, value])),
      ...(flow !== undefined && { flow }),
      ...(checkpoint !== undefined && { checkpoint }),
    })
    terminal.out(json ? await windowJson(found) : await renderWindow(found))
    return 0
  },
}

async function renderWindow({ checkpoint, epoch, windows, more, others }: WhyWindow): Promise<string> {
  const { windowText } = await import('../../engine/report/why.ts')
  const asOf =
    epoch === 0
      ? `The checkpoint ${shownPath(checkpoint)} has no epoch yet.`
      : `As of epoch ${epoch} of ${shownPath(checkpoint)}:`
  const texts = [
    asOf,
    ...windows.map(windowText),
    ...(more > 0 ? [`${more} more windows hold this time; --flow and --group ask for fewer.`] : []),
    ...others,
  ]
  return `${texts.map(wrapped).join('\n\n')}\n`
}

/** Microseconds as decimal texts: a number of JSON is not exact up there. */
async function windowJson(found: WhyWindow): Promise<string> {
  const { windowText } = await import('../../engine/report/why.ts')
  const windows = found.windows.map(facts => ({ text: windowText(facts), ...facts }))
  const plain = (_: string, value: unknown) => (typeof value === 'bigint' ? value.toString() : value)
  return `${JSON.stringify({ ...found, windows }, plain)}\n`
}

/** Columns of an answer. */
const columns = 100

function wrapped(sentences: string): string {
  const lines = ['']
  for (const word of sentences.split(' ')) {
    const line = lines.at(-1) as string
    if (line !== '' && line.length + 1 + word.length > columns) lines.push(word)
    else lines[lines.length - 1] = line === '' ? word : `${line} ${word}`
  }
  return lines.join('\n')
}
