import { visible } from '../../core/visible.ts'
import { showBytes, showCount, showCounted } from '../../core/quantity.ts'
import { type BadRow, badRowText } from '../read/bad-row.ts'
import { instant } from './instant.ts'
import { reachText, type Reach, type WindowFacts, windowText } from './why.ts'

// What became of a row: facts, and the one place that says them in words.

/** What is known of a row of one version of an object. Times are microseconds since 1970. */
export interface RowFacts {
  readonly source: string
  readonly key: string
  /** Counted from 0. */
  readonly row: number
  /** Of the object's last entry in the ledger. */
  readonly seq: number
  readonly epoch: number
  readonly eTag: string
  readonly stands: RowStands
}

export type RowStands =
  /** Nothing of the object was counted. */
  | { readonly is: 'not-counted'; readonly outcome: string; readonly reason: string | null }
  | { readonly is: 'no-such-row'; readonly rows: number }
  | { readonly is: 'bad'; readonly faults: readonly BadRow[]; readonly takenBy: readonly string[] }
  | {
      readonly is: 'good'
      /** As text, by column. */
      readonly values: Readonly<Record<string, string | null>>
      readonly flows: readonly FlowOfRow[]
    }
  /** It cannot be read again. */
  | { readonly is: 'not-told'; readonly why: string }

/** What a flow has made of a row. */
export interface FlowOfRow {
  readonly flow: string
  /** In the order of the flow's steps. */
  readonly fates: readonly RowFate[]
}

/** What one step has made of a row, or of the rows that it had become by then. */
export type RowFate =
  | {
      readonly is: 'left-out'
      /** 'where fare > 0' */
      readonly step: string
      /** How many came to it, and how many it left out. */
      readonly of: number
      readonly rows: number
      /** What the condition is of the one row: FALSE or NULL. */
      readonly condition?: 'FALSE' | 'NULL'
    }
  | { readonly is: 'became'; readonly step: string; readonly rows: number }
  | {
      readonly is: 'late'
      readonly op: string
      readonly watermarkUs: bigint
      /** Empty of a step that has no windows. */
      readonly windows: readonly LateWindow[]
      /** Of a step without windows. */
      readonly reason: string
    }
  /** `of`: so many windows there are, of which the first are told. */
  | { readonly is: 'counted'; readonly op: string; readonly of: number; readonly windows: readonly WindowFacts[] }
  /** In windows of a step whose results go to other steps: those that have them in the end. */
  | {
      readonly is: 'handed-on'
      readonly op: string
      readonly windows: readonly { readonly startUs: bigint; readonly endUs: bigint }[]
      readonly to: readonly WindowFacts[]
    }
  | {
      readonly is: 'same-key'
      readonly op: string
      readonly by: { readonly key: string; readonly row: number; readonly isLater: boolean }
    }
  | { readonly is: 'kept'; readonly op: string }
  | { readonly is: 'waits'; readonly op: string }
  | { readonly is: 'given'; readonly rows: number; readonly epoch: number; readonly reach: Reach }
  | { readonly is: 'late-flow'; readonly op: string }
  | { readonly is: 'not-told'; readonly op: string; readonly why: string }

export interface LateWindow {
  readonly startUs: bigint
  readonly endUs: bigint
  /** The epoch in which `apply-late` brought the row into it. */
  readonly appliedIn: number | null
}

/** What is about to be read again. */
export interface ReadingAgain {
  readonly objects: number
  readonly bytes: number
  /** Of the row's own object; absent: those before it. */
  readonly key?: string
}

/** "Reads 'trips.jsonl' again, 1.2 MB." */
export function readingText({ objects, bytes, key }: ReadingAgain): string {
  if (key !== undefined) return `Reads '${visible(key)}' again, ${showBytes(bytes)}.`
  return (
    `Reads ${showCounted(objects, 'earlier object')} again, ${showBytes(bytes)}, ` +
    'to look for a row of its key that came before it.'
  )
}

/** The answer in paragraphs: what it is, then a flow each. */
export function rowTexts(facts: RowFacts): readonly string[] {
  const { row, key, source, epoch, stands } = facts
  const name = `Row ${row} of '${visible(key)}' (source ${source}, epoch ${epoch})`
  if (stands.is === 'not-counted') return [notCountedText(facts, stands)]
  if (stands.is === 'no-such-row')
    return [
      `'${visible(key)}' (source ${source}, epoch ${epoch}) has no row ${row}: ` +
        (stands.rows === 0 ? 'it has no rows.' : `its ${showCounted(stands.rows, 'row')} are counted from 0.`),
    ]
  if (stands.is === 'not-told') return [`${name}: ${stands.why}`]
  if (stands.is === 'bad') return [badText(name, stands)]
  return [
    `${name}: ${valuesText(stands.values)}.`,
    ...stands.flows.flatMap(({ flow, fates }) => fates.map(fate => `${flow}: ${fateText(fate)}`)),
  ]
}

function notCountedText(
  { key, source, epoch }: RowFacts,
  { outcome, reason }: Extract<RowStands, { is: 'not-counted' }>,
): string {
  const why = reason === null ? '' : `: ${visible(reason).replace(/\.$/, '')}`
  const command = outcome === 'gone' ? '' : " 'millrace retry' has it read again, once it is as it should be."
  return (
    `No row of '${visible(key)}' (source ${source}, epoch ${epoch}) was counted: ` +
    `the object is ${outcome}${why}.${command}`
  )
}

function badText(name: string, { faults, takenBy }: Extract<RowStands, { is: 'bad' }>): string {
  const wrong = faults.map(fault =>
    badRowText(fault)
      .replace(/^row \d+(, )?/, '')
      .replace(/^: /, ''),
  )
  const flows = takenBy.length === 0 ? '' : ` ${takenBy.join(', ')} ${takenBy.length === 1 ? 'takes' : 'take'} it.`
  return `${name} is bad, and was set aside: ${wrong.join('; ')}. No window counts it.${flows}`
}

const columnsMax = 12
const valueMax = 80

/** 'at 2024-03-01 09:10:00, zone 74' */
function valuesText(values: Readonly<Record<string, string | null>>): string {
  const all = Object.entries(values)
  const shown = all.slice(0, columnsMax).map(([name, value]) => {
    if (value === null) return `${name} NULL`
    const text = visible(value)
    return `${name} ${text.length > valueMax ? `${text.slice(0, valueMax)}...` : text === '' ? "''" : text}`
  })
  const more = all.length - shown.length
  return [...shown, ...(more > 0 ? [`${more} more columns`] : [])].join(', ')
}

function fateText(fate: RowFate): string {
  switch (fate.is) {
    case 'left-out':
      return leftOutText(fate)
    case 'became':
      return `${fate.step} makes ${showCounted(fate.rows, 'row')} of it.`
    case 'late':
      return lateText(fate)
    case 'counted':
      return [`${fate.op} counts it in ${showCounted(fate.of, 'window')}.`, ...fate.windows.map(windowText)].join(' ')
    case 'handed-on':
      return [
        `${fate.op} counts it in ${spansText(fate.windows)}, whose results go on to other steps.`,
        ...fate.to.map(windowText),
      ].join(' ')
    case 'same-key':
      return (
        `${fate.op} drops it for row ${fate.by.row} of '${visible(fate.by.key)}', which has its key and ` +
        `${fate.by.isLater ? 'is later' : 'came before it'}.`
      )
    case 'kept':
      return `${fate.op} keeps it: no row of its key came before it within reach.`
    case 'waits':
      return `${fate.op} has it, and waits for the watermark before it gives it.`
    case 'given':
      return (
        `${fate.rows === 1 ? 'it goes' : `its ${showCount(fate.rows)} rows go`} out with epoch ${fate.epoch}. ` +
        reachText(fate.reach, 'It')
      )
    case 'late-flow':
      return `it begins with the rows that are late for ${fate.op}, and this one is among them.`
    case 'not-told':
      return `${fate.op} has taken it. ${fate.why}`
  }
}

function leftOutText({ step, of, rows, condition }: Extract<RowFate, { is: 'left-out' }>): string {
  if (rows < of) return `${step} leaves out ${showCount(rows)} of its ${showCounted(of, 'row')}.`
  const why = condition === undefined ? '' : `: the condition is ${condition} for it`
  return `${step} leaves ${of === 1 ? 'it' : `its ${showCounted(of, 'row')}`} out${why}.`
}

function lateText({ op, watermarkUs, windows, reason }: Extract<RowFate, { is: 'late' }>): string {
  const at = `the watermark was at ${instant(watermarkUs)} before its object`
  if (windows.length === 0) return `it is late for ${op}: ${at}. ${sentence(reason)} It is in the late ledger.`
  const applied = windows.filter(({ appliedIn }) => appliedIn !== null)
  const later = applied.length === 0 ? '' : ` 'millrace apply-late' brought it into ${spansText(applied)}.`
  return `it came too late for ${spansText(windows)} of ${op}: ${at}. It is in the late ledger.${later}`
}

function sentence(text: string): string {
  return `${text.charAt(0).toUpperCase()}${text.slice(1).replace(/\.$/, '')}.`
}

const spansMax = 3

/** 'the windows 2024-03-01T10:00Z to 2024-03-01T11:00Z and ...' */
function spansText(windows: readonly { readonly startUs: bigint; readonly endUs: bigint }[]): string {
  const shown = windows.slice(0, spansMax).map(({ startUs, endUs }) => `${instant(startUs)} to ${instant(endUs)}`)
  const more = windows.length - shown.length
  const all = [...shown, ...(more > 0 ? [`${showCount(more)} more`] : [])]
  return `the window${windows.length === 1 ? '' : 's'} ${all.join(', ')}`
}
