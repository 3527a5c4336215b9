import { text } from '../../core/option-kinds.ts'
import type { Kind } from '../../core/options.ts'
import { parseInstantUs, periodForms } from '../../plan/key-period.ts'
import type { WhyWindow } from '../../engine/inspect/why-window.ts'
import type { WhyRow } from '../../engine/inspect/why-row.ts'
import type { LiveFacts } from '../../engine/report/live.ts'
import type { Command } from '../command.ts'
import { loadPipeline } from '../load-pipeline.ts'
import { inputPlaces } from '../named-places.ts'
import { type Arguments, jsonOption, nameAndValue, pipelineArgument, usageError } from '../options.ts'
import { runOptions } from '../../engine/options.ts'
import { shownPath } from '../shown-path.ts'
import type { Terminal } from '../terminal.ts'

/** A column and its value: 'zone=74'. */
const columnValue: Kind<{ readonly name: string; readonly value: string }> = {
  expected: "COLUMN=VALUE, such as 'zone=74'",
  placeholder: 'COLUMN=VALUE',
  problemOf: () => undefined,
  fromText: nameAndValue,
}

/** An object and the number of a row: 'trips/2024-03.jsonl:17'. Keys may have colons as well. */
const objectRow: Kind<{ readonly key: string; readonly row: number }> = {
  expected: "OBJECT:ROW, such as 'trips.jsonl:17'; rows are counted from 0",
  placeholder: 'OBJECT:ROW',
  problemOf: () => undefined,
  fromText(given) {
    const [, key, row] = /^(.+):(\d{1,15})$/s.exec(given) ?? []
    return key === undefined ? undefined : { key, row: Number(row) }
  },
}

/** Where the status port of a run listens: 'http://127.0.0.1:9464/'. */
const processUrl: Kind<URL> = {
  expected: "the address of a status port, such as 'http://127.0.0.1:9464/'",
  placeholder: 'URL',
  problemOf: () => undefined,
  fromText(given) {
    const url = URL.canParse(given) ? new URL(given) : undefined
    return url && /^https?:$/.test(url.protocol) && url.username === '' && url.password === '' ? url : undefined
  },
}

const options = {
  file: pipelineArgument,
  window: {
    kind: text(periodForms, value => parseInstantUs(value) !== undefined, 'TIME'),
    about: 'A time in the window that is asked for.',
  },
  row: {
    kind: objectRow,
    about:
      'The row that is asked for, by the key of its object in the ledger and its number in it. The object is ' +
      'read again.',
  },
  group: {
    kind: columnValue,
    isRepeated: true,
    otherwise: 'all groups',
    about: 'One group of the window, by a column of its key; of several columns once for each.',
  },
  flow: {
    kind: text("the name of a flow, such as 'flow-2'", undefined, 'FLOW'),
    otherwise: 'every flow',
    about: 'The flow that is meant.',
  },
  http: {
    kind: processUrl,
    about:
      'The status port of a process that runs the pipeline: what it has in flight, what waits for it and which ' +
      'sink is away is told as well.',
  },
  input: runOptions.input,
  checkpoint: runOptions.checkpoint,
  json: jsonOption,
} as const

export const whyCommand: Command<typeof options> = {
  name: 'why',
  summary: 'say why a window has no output yet, or what became of a row',
  about: `With --window it says of the windows that hold a time whether they are open, what holds them open
and what closes them, or when they were closed and where their results are. With --row it says what
became of a row: whether it was bad, left out, late or dropped, and by what, and which windows count
it. It only reads and claims nothing: a run that writes to the checkpoint goes on.`,
  options,
  async run(given, terminal) {
    if ((given.window === undefined) === (given.row === undefined))
      throw usageError('why', 'expected --window TIME or --row OBJECT:ROW, and not both.')
    terminal.out(await (given.row ? answerRow(given, given.row, terminal) : answerWindow(given)))
    return 0
  },
}

async function answerWindow({
  file,
  window,
  group = [],
  flow,
  http,
  input,
  checkpoint,
  json,
}: Arguments<typeof options>): Promise<string> {
  if (input !== undefined) throw usageError('why', '--input is for --row, which reads an object again.')
  const pipeline = await loadPipeline(file)
  const { whyWindow } = await import('../../engine/inspect/why-window.ts')
  const found = await whyWindow(pipeline, {
    timeUs: parseInstantUs(window as string) as bigint,
    group: Object.fromEntries(group.map(({ name, value }) => [name, value])),
    ...(flow !== undefined && { flow }),
    ...(checkpoint !== undefined && { checkpoint }),
  })
  const live = await liveOf(http, found)
  return json ? windowJson(found, live) : renderWindow(found, live)
}

/** What a process says that is asked, or why that is not known. */
interface Live {
  readonly text: string
  readonly facts: LiveFacts | null
}

async function liveOf(
  url: URL | undefined,
  asked: { readonly pipeline: string; readonly checkpoint: string; readonly epoch: number },
): Promise<Live | undefined> {
  if (url === undefined) return undefined
  const [{ askProcess }, { liveText }] = await Promise.all([
    import('../ask-process.ts'),
    import('../../engine/report/live.ts'),
  ])
  const answer = await askProcess(url)
  if (answer.is === 'answered') return { text: liveText(url.href, answer.facts, asked), facts: answer.facts }
  return { text: `Of the process at ${url.href} nothing is known: ${answer.why}.`, facts: null }
}

async function answerRow(
  { file, group, flow, http, input, checkpoint, json }: Arguments<typeof options>,
  asked: { readonly key: string; readonly row: number },
  terminal: Terminal,
): Promise<string> {
  if (group !== undefined) throw usageError('why', '--group is for --window: a row has its group.')
  const pipeline = await loadPipeline(file)
  const [{ whyRow }, { readingText }] = await Promise.all([
    import('../../engine/inspect/why-row.ts'),
    import('../../engine/report/why-row.ts'),
  ])
  const found = await whyRow(pipeline, {
    ...asked,
    ...inputPlaces('why', input),
    ...(flow !== undefined && { flow }),
    ...(checkpoint !== undefined && { checkpoint }),
    onRead: reading => terminal.err(`${readingText(reading)}\n`),
  })
  const live = await liveOf(http, found)
  return json ? rowJson(found, live) : renderRow(found, live)
}

async function renderRow({ checkpoint, epoch, rows, more }: WhyRow, live: Live | undefined): Promise<string> {
  const { rowTexts } = await import('../../engine/report/why-row.ts')
  const texts = [
    asOf(checkpoint, epoch),
    ...rows.flatMap(rowTexts),
    ...(more > 0 ? [`The ledger has ${more} earlier versions of the object.`] : []),
    ...(live ? [live.text] : []),
  ]
  return paragraphs(texts)
}

async function rowJson(found: WhyRow, live: Live | undefined): Promise<string> {
  const { rowTexts } = await import('../../engine/report/why-row.ts')
  const rows = found.rows.map(facts => ({ text: rowTexts(facts).join(' '), ...facts }))
  return jsonLine({ ...found, rows, ...(live && { live }) })
}

function asOf(checkpoint: string, epoch: number): string {
  return epoch === 0
    ? `The checkpoint ${shownPath(checkpoint)} has no epoch yet.`
    : `As of epoch ${epoch} of ${shownPath(checkpoint)}:`
}

async function renderWindow(
  { checkpoint, epoch, windows, more, others }: WhyWindow,
  live: Live | undefined,
): Promise<string> {
  const { windowText } = await import('../../engine/report/why.ts')
  const texts = [
    asOf(checkpoint, epoch),
    ...windows.map(windowText),
    ...(more > 0 ? [`${more} more windows hold this time; --flow and --group ask for fewer.`] : []),
    ...others,
    ...(live ? [live.text] : []),
  ]
  return paragraphs(texts)
}

function paragraphs(texts: readonly string[]): string {
  return `${texts.map(wrapped).join('\n\n')}\n`
}

async function windowJson(found: WhyWindow, live: Live | undefined): Promise<string> {
  const { windowText } = await import('../../engine/report/why.ts')
  const windows = found.windows.map(facts => ({ text: windowText(facts), ...facts }))
  return jsonLine({ ...found, windows, ...(live && { live }) })
}

/** Microseconds as decimal texts: a number of JSON is not exact up there. */
function jsonLine(found: object): string {
  const plain = (_: string, value: unknown) => (typeof value === 'bigint' ? value.toString() : value)
  return `${JSON.stringify(found, plain)}\n`
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
