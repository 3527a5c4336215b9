import { pino } from 'pino'
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
