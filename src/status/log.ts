import { pino } from 'pino'
import { showBytes, showCount, showCounted, showSeconds } from '../core/quantity.ts'
import { afterFailedText, deedDone, leftAloneText } from '../engine/report/after-text.ts'
import { goneFieldText, newColumnsText } from '../engine/read/columns-seen.ts'
import { type BadRow, badRowText } from '../engine/read/bad-row.ts'
import type { RunEvent } from '../engine/report/events.ts'
import { ignoredText } from '../engine/report/ignored-keys.ts'
import { nullColumnsText } from '../engine/read/never-seen.ts'
import { withoutPeriodText } from '../engine/report/without-period.ts'
import type { Redact } from './redact.ts'

export const logLevels = ['trace', 'debug', 'info', 'warn', 'error', 'fatal'] as const
export type LogLevel = (typeof logLevels)[number]
export const logFormats = ['json', 'pretty'] as const
export type LogFormat = (typeof logFormats)[number]

/** One line of the log. `event` is kebab-case and stable: what alerts go by. */
export interface LogRecord {
  readonly level: LogLevel
  readonly event: string
  readonly message: string
  readonly fields?: Readonly<Record<string, unknown>>
}

export type Log = (record: LogRecord) => void

export interface LogOptions {
  readonly format: LogFormat
  readonly level: LogLevel
  readonly pipeline: string
  readonly redact: Redact
  /** Takes whole lines. */
  write(text: string): void
}

/** A log of JSON lines, or of lines for a person; written at once, so that nothing is lost when the process ends. */
export function createLog({ format, level, pipeline, redact, write }: LogOptions): Log {
  const logger = pino(
    {
      level,
      base: { pid: process.pid, pipeline },
      messageKey: 'message',
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: label => ({ level: label }) },
    },
    { write: line => write(format === 'json' ? line : prettyLine(JSON.parse(line) as Line)) },
  )
  return ({ level: at, event, message, fields }) => logger[at]({ event, ...redact(fields ?? {}) }, redact(message))
}

interface Line {
  readonly time: string
  readonly level: LogLevel
  readonly message: string
}

/** `12:30:05Z WARN message`: what the fields hold is in the message already. */
function prettyLine({ time, level, message }: Line): string {
  const mark = level === 'info' ? '' : `${level.toUpperCase()} `
  return `${time.slice(11, 19)}Z ${mark}${message.replaceAll(/\s*\n\s*/g, ' ')}\n`
}

/** What an operator reads of an event, none, one or several lines. */
export function logRecords(event: RunEvent): readonly LogRecord[] {
  switch (event.is) {
    case 'waiting':
      return [
        {
          level: 'info',
          event: 'standing-by',
          message: `standing by: ${event.owner} owns the checkpoint; this run goes on when that one ends or falls silent for 30 s (--takeover: at once)`,
          fields: { owner: event.owner },
        },
      ]
    case 'started': {
      const { term, epoch, checkpoint } = event
      const message = `started: owns ${checkpoint} by term ${term}, goes on after epoch ${epoch}`
      return [{ level: 'info', event: 'started', message, fields: { term, epoch, checkpoint } }]
    }
    case 'no-watermark': {
      const { source } = event
      const message = `source ${source} has no watermark: no window closes and no result is written while this run follows it. Give it watermark: { delay: '1 hour' }, or use backfill`
      return [{ level: 'warn', event: 'no-watermark', message, fields: { source } }]
    }
    case 'reading-again': {
      const { as, objects } = event
      const which = as === 'suspect' ? 'that processes died of' : "that were set aside, as 'retry' asked"
      const message = `reads ${showCounted(objects, 'object')} again ${which}`
      return [{ level: 'info', event: 'reading-again', message, fields: { as, objects } }]
    }
    case 'epoch':
      return epochRecords(event)
    case 'null-columns': {
      const { source, columns, rows } = event
      const message = nullColumnsText(source, columns, `all ${showCounted(rows, 'row')} read since the start`)
      return [{ level: 'warn', event: 'null-columns', message, fields: { source, columns, rows } }]
    }
    case 'new-columns': {
      const { source, columns } = event
      const message = newColumnsText(source, columns)
      return [{ level: 'info', event: 'new-columns', message, fields: { source, columns } }]
    }
    case 'gone-field': {
      const { source, field } = event
      const message = goneFieldText(source, field)
      return [{ level: 'warn', event: 'gone-field', message, fields: { source, ...field } }]
    }
    case 'phase':
      return [
        {
          level: 'trace',
          event: 'phase',
          message: `${event.phase} took ${event.ms.toFixed(1)} ms`,
          fields: { phase: event.phase, ms: Math.round(event.ms * 10) / 10 },
        },
      ]
    case 'delivered': {
      const { flow, epoch, rows, tookMs } = event
      const message = `${flow} took the ${showCounted(rows, 'row')} of epoch ${epoch} in ${showSeconds(tookMs / 1000)}`
      return [
        { level: 'debug', event: 'delivered', message, fields: { flow, epoch, rows, tookMs: Math.round(tookMs) } },
      ]
    }
    case 'after-set': {
      const { after, text: message } = event
      return [{ level: after === 'delete' ? 'warn' : 'info', event: 'after-set', message, fields: { after } }]
    }
    case 'afterwards':
      return afterRecords(event)
    case 'after-failed': {
      const { deed, key, code, error } = event
      const message = afterFailedText(event)
      return [{ level: 'warn', event: 'after-failed', message, fields: { deed, key, code, error } }]
    }
    case 'received': {
      const { messages, objects, duplicates, ignored } = event
      const known = duplicates > 0 ? `, ${showCount(duplicates)} of them known already` : ''
      const passed = Object.keys(ignored).length > 0 ? `; ignored: ${ignoredText(ignored)}` : ''
      const message = `received ${showCounted(messages, 'message')} with ${showCounted(objects, 'object')}${known}${passed}`
      return [{ level: 'debug', event: 'received', message, fields: { messages, objects, duplicates, ignored } }]
    }
    case 'reconciled': {
      const { listed, found, ignored, tookMs } = event
      const message = `listed ${showCounted(listed, 'object')}, ${found === 0 ? 'none' : showCount(found)} new, in ${showSeconds(tookMs / 1000)}`
      return [
        {
          level: found === 0 ? 'debug' : 'info',
          event: 'listed',
          message,
          fields: { listed, found, ignored, tookMs: Math.round(tookMs) },
        },
      ]
    }
    case 'without-period': {
      const { withoutPeriod } = event
      const message = withoutPeriodText(withoutPeriod)
      return [{ level: 'warn', event: 'without-period', message, fields: { ...withoutPeriod } }]
    }
    case 'ignored': {
      const { by, ignored } = event
      const message = `keys ${by === 'listing' ? 'of the place' : 'that messages name'} are ignored: ${ignoredText(ignored)}`
      return [{ level: 'info', event: 'ignored', message, fields: { by, ignored } }]
    }
    case 'notification': {
      const { level, event: name, message, details } = event.notification
      return [{ level, event: name, message, fields: { details } }]
    }
    case 'trouble':
      return [
        {
          level: 'warn',
          event: 'trouble',
          message: `${event.what} failed and is tried again: ${event.error}`,
          fields: { what: event.what, error: event.error },
        },
      ]
    case 'restarting':
      return [
        {
          level: 'warn',
          event: 'restarting',
          message: `starts again from the checkpoint in ${showSeconds(event.inMs / 1000)}: ${event.error}`,
          fields: { error: event.error, inMs: Math.round(event.inMs) },
        },
      ]
    case 'idle':
      return [{ level: 'info', event: 'idle', message: 'nothing is left to do: the run ends' }]
    case 'draining':
      return [
        { level: 'info', event: 'draining', message: 'draining: the epoch in flight is finished, nothing new begun' },
      ]
    case 'stopped':
      return [
        {
          level: 'info',
          event: 'stopped',
          message: `stopped after epoch ${event.epoch}; the checkpoint is released`,
          fields: { epoch: event.epoch },
        },
      ]
  }
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
        `${some(outputFiles.length, outputFiles.length === 1 ? 'output file' : 'output files')} in ${showSeconds(tookMs / 1000)}`,
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
