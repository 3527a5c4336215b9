import { showBytes, showCount, showCounted, showSeconds } from '../core/quantity.ts'
import { afterFailedText, deedDone, leftAloneText } from '../engine/report/after-text.ts'
import { goneFieldText, newColumnsText } from '../engine/read/columns-seen.ts'
import { type BadRow, badRowText } from '../engine/read/bad-row.ts'
import type { RunEvent } from '../engine/report/events.ts'
import { ignoredText } from '../engine/report/ignored-keys.ts'
import { nullColumnsText } from '../engine/read/never-seen.ts'
import { withoutPeriodText } from '../engine/report/without-period.ts'
import type { LogLevel, LogRecord } from './log.ts'

type Kind = RunEvent['is']
type Of<K extends Kind> = RunEvent & { readonly is: K }

/** What an operator reads of an event, none, one or several lines. */
export function logRecords(event: RunEvent): readonly LogRecord[] {
  return (records[event.is] as (event: RunEvent) => readonly LogRecord[])(event)
}

function line(level: LogLevel, event: string, message: string, fields?: LogRecord['fields']): readonly LogRecord[] {
  return [{ level, event, message, ...(fields && { fields }) }]
}

const records: { readonly [K in Kind]: (event: Of<K>) => readonly LogRecord[] } = {
  waiting: ({ owner }) =>
    line(
      'info',
      'standing-by',
      `standing by: ${owner} owns the checkpoint; this run goes on when that one ends or falls silent for 30 s ` +
        '(--takeover: at once)',
      { owner },
    ),
  started({ term, epoch, checkpoint }) {
    const message = `started: owns ${checkpoint} by term ${term}, goes on after epoch ${epoch}`
    return line('info', 'started', message, { term, epoch, checkpoint })
  },
  'no-watermark': ({ source }) =>
    line(
      'warn',
      'no-watermark',
      `source ${source} has no watermark: no window closes and no result is written while this run follows it. ` +
        "Give it watermark: { delay: '1 hour' }, or use backfill",
      { source },
    ),
  'reading-again'({ as, objects }) {
    const which = as === 'suspect' ? 'that processes died of' : "that were set aside, as 'retry' asked"
    const message = `reads ${showCounted(objects, 'object')} again ${which}`
    return line('info', 'reading-again', message, { as, objects })
  },
  'late-applied': ({ rows }) =>
    line('info', 'late-applied', `applied ${showCounted(rows, 'late row')} to windows that had closed`, { rows }),
  epoch: epochRecords,
  'null-columns'({ source, columns, rows }) {
    const message = nullColumnsText(source, columns, `all ${showCounted(rows, 'row')} read since the start`)
    return line('warn', 'null-columns', message, { source, columns, rows })
  },
  'lookup-failed': ({ lookup, error }) =>
    line('warn', 'lookup-failed', `lookup ${lookup} is not what it was, and its last version goes on: ${error}`, {
      lookup,
      error,
    }),
  lookup: ({ lookup, rows, objects }) =>
    line('info', 'lookup', `read lookup ${lookup}: ${showCounted(rows, 'row')}; what comes now meets them`, {
      lookup,
      rows,
      objects,
    }),
  'new-columns': ({ source, columns }) =>
    line('info', 'new-columns', newColumnsText(source, columns), { source, columns }),
  'gone-field': ({ source, field }) => line('warn', 'gone-field', goneFieldText(source, field), { source, ...field }),
  phase: ({ phase, ms }) =>
    line('trace', 'phase', `${phase} took ${ms.toFixed(1)} ms`, { phase, ms: Math.round(ms * 10) / 10 }),
  delivered({ flow, epoch, rows, tookMs }) {
    const message = `${flow} took the ${showCounted(rows, 'row')} of epoch ${epoch} in ${showSeconds(tookMs / 1000)}`
    return line('debug', 'delivered', message, { flow, epoch, rows, tookMs: Math.round(tookMs) })
  },
  'held-written'({ outputFiles, rows, bytes }) {
    const files = showCounted(outputFiles.length, 'output file')
    const message = `wrote ${showCounted(rows, 'row')} that were held: ${files}, ${showBytes(bytes)}`
    return line('info', 'held-written', message, { outputFiles, rows, bytes })
  },
  'after-set': ({ after, text }) => line(after === 'delete' ? 'warn' : 'info', 'after-set', text, { after }),
  afterwards: afterRecords,
  'after-failed'(event) {
    const { deed, key, code, error } = event
    return line('warn', 'after-failed', afterFailedText(event), { deed, key, code, error })
  },
  received({ messages, objects, duplicates, ignored }) {
    const known = duplicates > 0 ? `, ${showCount(duplicates)} of them known already` : ''
    const passed = Object.keys(ignored).length > 0 ? `; ignored: ${ignoredText(ignored)}` : ''
    const what = `${showCounted(messages, 'message')} with ${showCounted(objects, 'object')}`
    return line('debug', 'received', `received ${what}${known}${passed}`, { messages, objects, duplicates, ignored })
  },
  reconciled({ listed, found, ignored, tookMs }) {
    const what = `${showCounted(listed, 'object')}, ${found === 0 ? 'none' : showCount(found)} new`
    const message = `listed ${what}, in ${showSeconds(tookMs / 1000)}`
    return line(found === 0 ? 'debug' : 'info', 'listed', message, {
      listed,
      found,
      ignored,
      tookMs: Math.round(tookMs),
    })
  },
  'without-period': ({ withoutPeriod }) =>
    line('warn', 'without-period', withoutPeriodText(withoutPeriod), { ...withoutPeriod }),
  ignored({ by, ignored }) {
    const whose = by === 'listing' ? 'of the place' : 'that messages name'
    return line('info', 'ignored', `keys ${whose} are ignored: ${ignoredText(ignored)}`, { by, ignored })
  },
  notification({ notification: { level, event, message, details } }) {
    return line(level, event, message, { details })
  },
  trouble: ({ what, error }) => line('warn', 'trouble', `${what} failed and is tried again: ${error}`, { what, error }),
  restarting({ error, inMs }) {
    const message = `starts again from the checkpoint in ${showSeconds(inMs / 1000)}: ${error}`
    return line('warn', 'restarting', message, { error, inMs: Math.round(inMs) })
  },
  idle: () => line('info', 'idle', 'nothing is left to do: the run ends'),
  draining: () => line('info', 'draining', 'draining: the epoch in flight is finished, nothing new begun'),
  stopped: ({ epoch }) =>
    line('info', 'stopped', `stopped after epoch ${epoch}; the checkpoint is released`, { epoch }),
}

/** Objects that a line names. */
const leftMax = 10

function afterRecords({
  deed,
  objects,
  bytes,
  failed,
  left,
}: RunEvent & { readonly is: 'afterwards' }): readonly LogRecord[] {
  const again = failed > 0 ? `, ${showCount(failed)} to be tried again` : ''
  const message = `${deedDone[deed]} ${showCounted(objects, 'committed object')}, ${showBytes(bytes)}${again}`
  return [
    { level: objects > 0 ? 'info' : 'debug', event: 'afterwards', message, fields: { deed, objects, bytes, failed } },
    ...left.slice(0, leftMax).map(
      ({ key, reason }): LogRecord => ({
        level: 'warn',
        event: 'object-left-alone',
        message: leftAloneText({ key, reason }),
        fields: { deed, key, reason, of: left.length },
      }),
    ),
  ]
}

function epochRecords(event: RunEvent & { readonly is: 'epoch' }): readonly LogRecord[] {
  const { result, tookMs, bytes, quarantined, skipped, gone, suspect, quarantinedRows, firstBadRow, setAside } = event
  const { epoch, objects, rows, late, outputFiles } = result
  const first = firstBadRow && shortened(firstBadRow)
  const some = (count: number, text: string) => (count > 0 ? `, ${showCount(count)} ${text}` : '')
  return [
    {
      level: quarantinedRows > 0 ? 'warn' : 'info',
      event: 'epoch',
      message:
        `epoch ${epoch}: ${showCounted(objects, 'object')}, ${showCounted(rows, 'row')}, ${showBytes(bytes)}` +
        some(late, 'late') +
        some(quarantinedRows, quarantinedRows === 1 ? 'bad row' : 'bad rows') +
        (first ? ` (${quarantinedRows === 1 ? '' : 'the first: '}object ${first.object}, ${badRowText(first)})` : '') +
        some(outputFiles.length, outputFiles.length === 1 ? 'output file' : 'output files') +
        ` in ${showSeconds(tookMs / 1000)}`,
      fields: {
        epoch,
        objects,
        rows,
        bytes,
        late,
        quarantined,
        skipped,
        gone,
        suspect,
        quarantinedRows,
        ...(first && { firstBadRow: first }),
        outputFiles,
        tookMs: Math.round(tookMs),
      },
    },
    ...setAside.map(
      ({ key, reason }): LogRecord => ({
        level: 'warn',
        event: 'object-set-aside',
        message: `object ${key} was not counted: ${reason}`,
        fields: { epoch, key, reason },
      }),
    ),
  ]
}

/** Characters of a value in the log. */
const foundMax = 200

/** As much of it as a line takes. */
function shortened(bad: BadRow): BadRow {
  const { found } = bad
  return found !== null && found.length > foundMax ? { ...bad, found: `${found.slice(0, foundMax)}...` } : bad
}
