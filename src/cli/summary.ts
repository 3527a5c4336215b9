import { type GoneField, goneFieldText, type NewColumn, newColumnsList } from '../engine/read/columns-seen.ts'
import { badRowsQuery } from '../engine/read/bad-row.ts'
import { type IgnoredKeys, ignoredText } from '../engine/report/ignored-keys.ts'
import { goneReasons, overwritten } from '../engine/read/marked-object.ts'
import { nullColumnsText } from '../engine/read/never-seen.ts'
import { isEveryWithoutPeriod, type WithoutPeriod, withoutPeriodText } from '../engine/report/without-period.ts'
import type { FarAhead, Inspection, SetAside, Summary, Totals } from '../engine/report/summary.ts'
import { objectAddress } from '../core/object-address.ts'
import { showBytes, showCount, showCounted, showRate, showSeconds } from '../core/quantity.ts'
import { isEveryObjectSetAside, isNoneRead } from './exit-code.ts'
import { shellWord } from '../core/shell-word.ts'
import { addressToPath, invocation, shownPath } from './shown-path.ts'
import { renderTable } from './table.ts'
import { wrapText } from './text-width.ts'

/** What `backfill --json` prints: totals of the checkpoint, `seconds` of this run. Its names are a public format. */
export interface SummaryJson {
  readonly pipeline: string
  readonly rows: number
  readonly late: number
  readonly objects: number
  readonly quarantined: number
  readonly skipped: number
  /** Files that were not there when they were to be read. */
  readonly gone: number
  /** Files that processes died of, and that are read once more. */
  readonly suspect: number
  readonly quarantinedRows: number
  readonly outsideBounds: number
  readonly epochs: number
  /** Paths; addresses where the output is no local folder. */
  readonly outputFiles: readonly string[]
  readonly seconds: number
  /** Epochs that flows ending in `rows()` or `batches()` took in this run, and epochs that wait for them. */
  readonly delivered: number
  readonly undelivered: number
  readonly openWindows: number
  /** By name of the source. */
  readonly watermarks: Summary['watermarks']
  readonly nothingToDo: boolean
  /** Every object of this run was set aside, or every row of those that were read. */
  readonly noneRead: boolean
  readonly ignored: number
  /** The same by reason, with the first file of each. */
  readonly ignoredBy: IgnoredKeys
  readonly leftOut: number
  readonly withoutPeriod: readonly WithoutPeriod[]
  readonly drained: boolean
  /** Columns of JSON without a value in any row of this run. */
  readonly nullColumns: readonly string[]
  /** Rows of this run with values that did not fit, which the column of `rescue` has. */
  readonly rescuedRows: number
  /** Columns that nobody declared and that files of this run are the first to have. */
  readonly newColumns: readonly NewColumn[]
  /** Declared fields of JSON that had values, and none in the last files of this run. */
  readonly goneFields: readonly GoneField[]
  readonly checkpoint: string
  readonly outputs: readonly string[]
  /** Versions of lookups that this run has read, in order. */
  readonly lookups: Summary['run']['lookups']
  /** Late rows that `apply-late` has brought into their windows. */
  readonly applied: number
}

export function summaryJson({ pipeline, totals, run, ...summary }: Summary): SummaryJson {
  const { rows, late, applied, objects, quarantined, skipped, gone, suspect, quarantinedRows, outsideBounds, epochs } =
    totals
  return {
    pipeline,
    rows,
    late,
    objects,
    quarantined,
    skipped,
    gone,
    suspect,
    quarantinedRows,
    outsideBounds,
    epochs,
    outputFiles: summary.outputFiles.map(addressToPath),
    seconds: Math.round(run.seconds * 1000) / 1000,
    delivered: run.delivered,
    undelivered: summary.undelivered.reduce((sum, { epochs }) => sum + epochs, 0),
    openWindows: summary.openWindows,
    watermarks: summary.watermarks,
    nothingToDo: summary.nothingToDo,
    noneRead: isNoneRead(run),
    ignored: run.ignored,
    ignoredBy: run.ignoredBy,
    leftOut: run.leftOut,
    withoutPeriod: run.withoutPeriod,
    drained: run.drained,
    nullColumns: run.nullColumns.map(({ column }) => column),
    rescuedRows: run.rescuedRows,
    newColumns: run.newColumns.map(({ column, object }) => ({ column, object })),
    goneFields: run.goneFields.map(({ column, last, since, objects, rows }) => ({
      column,
      last,
      since,
      objects,
      rows,
    })),
    checkpoint: addressToPath(summary.checkpoint),
    outputs: summary.outputs.map(addressToPath),
    lookups: run.lookups,
    applied,
  }
}

/** The end of a run, for a person. `next` are commands to try. */
export function renderSummary(summary: Summary, next: readonly string[] = []): string {
  const { totals, run } = summary
  const lines: Line[] = [
    [
      'this run',
      `${showCounted(run.objects, 'object')}, ${showCounted(run.rows, 'row')}, ${showBytes(run.bytes)}, ` +
        `${showCounted(run.epochs, 'epoch')}; ${showRate(run.rows, run.seconds)}`,
    ],
    [
      'checkpoint',
      `${showCounted(totals.objects, 'object')}, ` +
        `${showCounted(totals.rows, 'row')}, ${showCounted(totals.epochs, 'epoch')}`,
    ],
    ...lookupLines(run),
    ...renderTotals(totals, run.setAside, run.setAsideObjects - run.setAside.length),
    ...(run.delivered > 0
      ? [['handed over', `${showCounted(run.delivered, 'epoch')} of rows, all taken`] as const]
      : []),
    ...(summary.openWindows > 0 ? [['open windows', openWindows(summary)] as const] : []),
    ...summary.farAhead.map((window): Line => ['', `  ${renderFarAhead(window)}`]),
    ...(summary.next === null ? [] : [['closes next', wrapText(summary.next, nextColumns).join('\n')] as const]),
    ...summary.untilTheEnd.map(
      ({ flow, groups }): Line => ['held', `${flow}: ${showCounted(groups, 'group')}, given by backfill --final`],
    ),
    ...(run.ignored > 0 ? [['ignored', ignoredText(run.ignoredBy)] as const] : []),
    ...(run.leftOut > 0
      ? [['left out', `${showCounted(run.leftOut, 'object')} outside --from and --to, or without a period`] as const]
      : []),
    ...(run.rescuedRows > 0
      ? [
          [
            'rescued',
            `${showCounted(run.rescuedRows, 'row')} with values that did not fit: kept beside the row`,
          ] as const,
        ]
      : []),
    ...(run.newColumns.length > 0
      ? [['new columns', `${newColumnsList(run.newColumns)}: not declared, and not there before`] as const]
      : []),
    ...outputLines(summary),
    ['state', `${shownPath(summary.checkpoint)} (the ledger and the late rows too)`],
    ...next.map((command, i): Line => [i === 0 ? 'next' : '', command]),
  ]
  return `${headline(summary)}\n\n${renderLines(lines)}\n${warnings(summary)
    .map(text => `\n  Warning: ${text}\n`)
    .join('')}`
}

/** Of each lookup that was read what the last version has. */
function lookupLines({ lookups }: Summary['run']): readonly Line[] {
  const last = new Map(lookups.map(read => [read.lookup, read]))
  return [...last.values()].map(({ lookup, rows, objects }) => [
    'lookup',
    `${lookup}: ${showCounted(rows, 'row')} from ${showCounted(objects, 'object')}, read at the start or since`,
  ])
}

/** Each place of output once, with the files that lie there; not every sink writes files. */
function outputLines({ outputs, outputFiles }: Summary): readonly Line[] {
  const places = [...new Set(outputs)]
  // A place may lie below another one: a file is of the nearest.
  const nearest = places.toSorted((a, b) => b.length - a.length)
  const counts = new Map<string, number>()
  for (const file of outputFiles) {
    const place = nearest.find(one => file.startsWith(objectAddress(one, '')))
    if (place !== undefined) counts.set(place, (counts.get(place) ?? 0) + 1)
  }
  return places.map(place => {
    const count = counts.get(place)
    return ['output', `${shownPath(place)}${count === undefined ? '' : ` (${showCounted(count, 'file')} in all)`}`]
  })
}

/** What a person would not want to overlook. */
function warnings({ run, checkpoint }: Summary): readonly string[] {
  return [
    ...boundsWarnings(run),
    ...(isEveryObjectSetAside(run) ? [noneReadWarning(run.setAside, checkpoint)] : []),
    ...(run.nullColumns.length > 0 ? [nullColumnsWarning(run.nullColumns)] : []),
    ...run.goneFields.map(field => goneFieldText(field.source, field)),
    ...(run.quarantinedRows * 10 > run.rows ? [badRowsWarning(run.quarantinedRows, run.rows, checkpoint)] : []),
    ...(run.late * 10 > run.rows && run.late > 0
      ? [
          'more than a tenth of the rows came late. ' +
            'Perhaps watermark.delay is too short for rows out of order and for files that overlap in time, ' +
            'or a row far ahead has moved the watermark: watermark.bounds keeps it from that. Where files ' +
            'of an earlier time were added after later ones, a new checkpoint over all of them counts them.',
        ]
      : []),
  ]
}

function boundsWarnings({ withoutPeriod, outsideBounds, rows, quarantinedRows }: Summary['run']): readonly string[] {
  const isBlind = withoutPeriod.length > 0 && withoutPeriod.every(isEveryWithoutPeriod)
  if (isBlind) return withoutPeriod.map(withoutPeriodText)
  const goodRows = rows - quarantinedRows
  return [
    ...withoutPeriod.map(withoutPeriodText),
    ...(goodRows > 0 && outsideBounds === goodRows
      ? [
          `the time of every row lies outside watermark.bounds (${showCounted(goodRows, 'row')}), ` +
            'so none of them moved the watermark or closed a window. ' +
            `Are the bounds right, and is \`time\` the column that is meant?`,
        ]
      : []),
  ]
}

/** Why nothing was read, the most frequent reasons first, and what to do about it. */
function noneReadWarning(setAside: readonly SetAside[], checkpoint: string): string {
  const counts = new Map<string, number>()
  for (const { key, reason } of setAside) {
    const general = reason.replaceAll(`'${key}'`, 'it').replaceAll(`"${key}"`, 'it').replace(/\.$/, '')
    counts.set(general, (counts.get(general) ?? 0) + 1)
  }
  const reasons = [...counts].toSorted(([, a], [, b]) => b - a)
  const shown = reasons.slice(0, reasonsShown).map(([reason, count]) => `${showCount(count)}: ${reason}`)
  const more = reasons.length > reasonsShown ? `; ${showCount(reasons.length - reasonsShown)} other reasons` : ''
  return `no object of this run could be read (${shown.join('; ')}${more}). ${noneReadAdvice(setAside, checkpoint)}`
}

function noneReadAdvice(setAside: readonly SetAside[], checkpoint: string): string {
  if (setAside.every(({ reason }) => goneReasons.has(reason))) return 'A run that finds them again reads them.'
  if (setAside.every(({ reason }) => reason === overwritten))
    return 'What was counted stays. To count these versions instead, run with a new checkpoint and output.'
  const command = `${invocation} retry ${shellWord(shownPath(checkpoint))}`
  return (
    'Correct the format and columns of the pipeline, and run with a new checkpoint and output. ' +
    `Or, where they can be read by now, have the next run read them again: ${command}`
  )
}

const reasonsShown = 3

function badRowsWarning(bad: number, rows: number, checkpoint: string): string {
  const command = `${invocation} sql ${shellWord(shownPath(checkpoint))} ${shellWord(badRowsQuery)}`
  return (
    `${showCount(bad)} of ${showCount(rows)} rows were set aside as bad rows. ` +
    `Which columns, and what was expected: ${command}`
  )
}

function nullColumnsWarning(found: Summary['run']['nullColumns']): string {
  const columns = found.map(({ column }) => column)
  return nullColumnsText(found[0]?.source ?? '', columns, 'every row of this run')
}

type Line = readonly [label: string, text: string]

function headline({ pipeline, nothingToDo, run }: Summary): string {
  if (run.drained) return `${pipeline}: stopped as asked before the end of the input; run it again to continue.`
  if (nothingToDo && run.isReplay) return `${pipeline}: nothing to do, the checkpoint holds the whole ledger.`
  if (nothingToDo && run.matched === 0) return `${pipeline}: nothing to do, no file of the input matches.`
  if (nothingToDo && run.leftOut === run.matched)
    return `${pipeline}: nothing to do, no file lies between --from and --to.`
  if (nothingToDo) return `${pipeline}: nothing to do, the checkpoint holds every object of the input.`
  return `${pipeline}: done in ${showSeconds(run.seconds)}.`
}

/** @param others that were set aside and are not named */
function renderTotals(totals: Totals, setAside: readonly SetAside[], others = 0): readonly Line[] {
  const some = (label: string, count: number, text: string): readonly Line[] => (count > 0 ? [[label, text]] : [])
  return [
    [
      'late',
      totals.late > 0
        ? `${showCount(totals.late)} (row, window) pairs: kept in the late ledger, ${notCounted(totals)}`
        : 'none',
    ],
    ['quarantined', totals.quarantined > 0 ? showCounted(totals.quarantined, 'object') : 'none'],
    ...some('skipped', totals.skipped, showCounted(totals.skipped, 'object')),
    ...some('gone', totals.gone, `${showCounted(totals.gone, 'object')}: read when found again`),
    ...some('suspect', totals.suspect, `${showCounted(totals.suspect, 'object')}: read once more after a clean stop`),
    ...setAside.map(({ key, reason }): Line => ['', `  ${key}: ${reason}`]),
    ...some('', others, `  and ${showCounted(others, 'other')}`),
    ...some('bad rows', totals.quarantinedRows, `${showCounted(totals.quarantinedRows, 'row')} quarantined`),
    ...some(
      'out of bounds',
      totals.outsideBounds,
      `${showCounted(totals.outsideBounds, 'row')}: counted, but no watermark moves by them`,
    ),
  ]
}

function notCounted({ late, applied }: Totals): string {
  if (applied === 0) return 'not counted'
  return applied === late ? 'and applied since' : `${showCount(applied)} of them applied since, the rest not counted`
}

function openWindows({ openWindows, farAhead }: Summary): string {
  const counted = showCounted(openWindows, 'window')
  return farAhead.length > 0
    ? `${counted}; far ahead of all the rest, left open:`
    : `${counted}, waiting for later rows`
}

/** Of a text of several lines. */
const nextColumns = 90

function renderFarAhead({ flow, windowStart, windowEnd, groups }: FarAhead): string {
  return `${flow}: ${windowStart} to ${windowEnd} (${showCounted(groups, 'group')})`
}

/** Labels in a column; a text of several lines stays in its own. */
function renderLines(lines: readonly Line[]): string {
  const width = Math.max(...lines.map(([label]) => label.length)) + 2
  return lines
    .map(([label, text]) => `  ${label.padEnd(width)}${text.replaceAll('\n', `\n${' '.repeat(width + 2)}`)}`)
    .join('\n')
}

/** What a checkpoint holds, for a person. */
export function renderInspection(inspection: Inspection): string {
  const { totals } = inspection
  const lines: Line[] = [
    ['checkpoint', `${shownPath(inspection.checkpoint)} (${inspection.checkpointId})`],
    ['owner', `${inspection.owner}${inspection.released ? ' (released)' : ''}, term ${inspection.term}`],
    ['duckdb', inspection.duckdb],
    ['epoch', showCount(inspection.epoch)],
    ['ledger', `${showCounted(totals.objects, 'object')}, ${showCounted(totals.rows, 'row')}`],
    ...renderTotals(totals, inspection.setAside),
    ...(inspection.retried > 0
      ? [['to read again', `${showCounted(inspection.retried, 'object')}, by the next run`] as const]
      : []),
    ...(inspection.applyLate > 0 ? [['to apply', 'late rows, as apply-late asked, by the next run'] as const] : []),
    ...Object.entries(inspection.watermarks).map(
      ([source, at]): Line => ['watermark', `${source}: ${at ?? 'none yet'}`],
    ),
    ...renderStates(inspection.states),
    [
      'output',
      `${showCounted(inspection.outputFiles.length, 'file')}, ` +
        `${showCounted(inspection.unpublished, 'epoch')} still to publish`,
    ],
    ...inspection.outputFiles.slice(0, filesShown).map((file): Line => ['', `  ${shownPath(file)}`]),
    ...(inspection.outputFiles.length > filesShown
      ? [['', `  and ${showCount(inspection.outputFiles.length - filesShown)} more: --json lists all`] as const]
      : []),
    ...inspection.held.map(({ flow, rows, bytes, since }): Line => {
      const first = since === null ? '' : `, the first since ${since}`
      const size = `${showCounted(rows, 'row')}, ${showBytes(bytes)}`
      return ['held', `${flow}: ${size}, to be written with those of later epochs${first}`]
    }),
    ...inspection.undelivered.map(
      ({ flow, epochs, rows }): Line => [
        'to hand over',
        `${flow}: ${showCounted(epochs, 'epoch')} with ${showCounted(rows, 'row')} not taken yet`,
      ],
    ),
  ]
  const channels = renderTable(
    ['files of', 'files', 'rows', 'bytes'],
    inspection.channels.map(({ name, files, rows, bytes }) => [
      name,
      showCount(files),
      showCount(rows),
      showCount(bytes),
    ]),
  )
  return `${inspection.pipeline}\n\n${renderLines(lines)}\n\n${channels.replaceAll(/^/gm, '  ')}\n`
}

/** State without open rows is one line, however many tables there are. */
function renderStates(states: Inspection['states']): readonly Line[] {
  const held = states.filter(({ rows }) => rows > 0)
  const empty = states.length - held.length
  if (states.length > 0 && held.length === 0) return [['open state', 'none']]
  return [
    ...held.map(
      ({ name, rows, bytes, openWindows }): Line => [
        'open state',
        `${name}: ` +
          `${openWindows === undefined ? '' : `${showCounted(openWindows, 'window')}, `}${showCounted(rows, 'row')}, ` +
          `${showBytes(bytes)}`,
      ],
    ),
    ...(empty > 0 ? [['', `${showCounted(empty, 'other table')} without open rows`] as const] : []),
  ]
}

const filesShown = 10
