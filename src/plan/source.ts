import { Observable } from 'rxjs'
import { configError } from '../core/errors.ts'
import { type Duration, durationUs } from '../core/duration.ts'
import { type Columns, columnsOf, type KeysOf, type NotNull, type Time } from '../core/types.ts'
import type { MiniBatch } from './batches.ts'
import type { CsvSettings } from './csv-settings.ts'
import type { FormatName } from './format.ts'
import { keyPeriod } from './key-period.ts'
import type { KeySettings } from './key-settings.ts'
import { type MiniBatchOptions, miniBatchLimits } from './mini-batch-options.ts'
import type { NotificationSpec } from './notification-spec.ts'
import { currentRun } from './run-scope.ts'
import type { Bounds, SourcePolicies, SourceSettings } from './source-settings.ts'
import { Stream } from './stream.ts'

/** A format as a user names it: `parquet()`, `json()`, `csv()`. */
export interface FormatSpec {
  readonly format: FormatName
  /** Of `csv()`. */
  readonly csv?: CsvSettings
}

const formatNames: readonly string[] = ['parquet', 'json', 'csv'] satisfies readonly FormatName[]

export interface WatermarkOptions {
  /** How far behind the highest event time seen a row may still come. */
  readonly delay: Duration
  /**
   * Which rows move the watermark: a key pattern such as 'green_tripdata_{yyyy}-{MM}' (only times inside the period
   * that the key names), or `{ lastModifiedSkew: '1 day' }` (only times up to that much after the object's last
   * modification). Default: every row, so one row stamped 2098 closes everything before it.
   */
  readonly bounds?: string | { readonly lastModifiedSkew: Duration }
  /**
   * Which time of an object is its high mark. Default: the latest one inside `bounds`. `{ quantile: 0.999 }`: the time
   * that this share of its rows inside `bounds` lie at or before, exactly (nearest rank), so that a few rows far ahead
   * move nothing. An object of fewer than 1 / (1 - quantile) such rows has no quantile: then its latest time inside
   * `bounds` counts, or nothing where there are no bounds.
   */
  readonly mark?: { readonly quantile: number }
  /**
   * Live only: when nothing has come for so long, the delay is dropped, so that windows before the highest event time
   * close (S5). Default: never.
   */
  readonly idle?: Duration
}

export interface SourceOptions<C extends Columns, K extends string> {
  /** A directory, as a path or `file://` address: the only place that objects are read from. */
  readonly objects: string
  readonly format: FormatSpec
  /** Column name to SQL type. Values are cast by value; one that does not fit is a bad row. */
  readonly columns: C
  /** The event time: a TIMESTAMP, TIMESTAMPTZ or DATE column. NULL and infinite times are quarantined rows. */
  readonly time: K
  /** Default: none; windows then close only when a backfill flushes. */
  readonly watermark?: WatermarkOptions
  /** A row whose value does not fit its declared type. Default 'fail': the run stops, naming object, row and column. */
  readonly onBadRow?: 'fail' | 'quarantine'
  /** An object that cannot be read, or lacks a column. Default 'quarantine': recorded with the reason. */
  readonly onBadObject?: 'fail' | 'skip' | 'quarantine'
  /** An object that may not be read. Default 'fail': a missing permission denies all objects alike. */
  readonly onDenied?: 'fail' | 'skip' | 'quarantine'
  /** A new version of a key that was already counted. Default 'quarantine'; 'append' reads it as well. */
  readonly overwrite?: 'quarantine' | 'append'
  /**
   * Keys below the place of which a segment begins with '_' or '.', such as '_temporary/0/part-0.parquet': Spark, Hive,
   * Trino and Athena take them for no data. A partition column such as '_day=1' is none of them, nor is what `objects`
   * itself names ('s3://bucket/_raw/'). Default 'ignore'.
   */
  readonly hidden?: 'ignore' | 'read'
  /** How object versions are windowed into mini-batches (epochs). */
  readonly miniBatch?: MiniBatchOptions
  /** What announces new objects of `objects` to a run that follows them: `sqs({...})`, `kafka({...})`. */
  readonly notifications?: NotificationSpec
  /**
   * Live only: how often the place is listed, for objects that nothing has announced; false: never. Default every
   * second for a directory, every minute for S3.
   */
  readonly reconcile?: Duration | false
}

/**
 * The head of a flow: objects of one place, one format and one set of columns, ordered by one event time.
 *
 *     const trips = source('trips', {
 *       objects: 'data/input',
 *       format: parquet(),
 *       columns: { lpep_pickup_datetime: 'TIMESTAMP NOT NULL', PULocationID: 'BIGINT', total_amount: 'DECIMAL(18,2)' },
 *       time: 'lpep_pickup_datetime',
 *       watermark: { delay: '1 day', bounds: 'green_tripdata_{yyyy}-{MM}' },
 *     })
 *
 * @throws MillraceError `user` that names the field, the value and what was expected.
 */
export function source<const C extends Columns, const K extends KeysOf<C, Time>>(
  name: string,
  options: SourceOptions<C, K>,
): Stream<MiniBatch<C, NotNull<C[K]>>> {
  const definition = defineSource(name, options as never)
  const head = new Observable<unknown>(subscriber => {
    const run = currentRun()
    if (!run) {
      throw configError(
        `source ${name}`,
        'subscribe()',
        'a run: pass the flow to pipeline() and subscribe to run(pipeline)',
      )
    }
    return run.head(definition).subscribe(subscriber)
  })
  return new Stream(subscriber => head.subscribe(subscriber as never))
}

/** A validated source: what the engine reads. */
export interface SourceDefinition {
  readonly settings: SourceSettings
  readonly policies: SourcePolicies
  readonly objects: string
  readonly keys: KeySettings
  readonly miniBatch: MiniBatchOptions
  readonly notifications?: NotificationSpec
  readonly live: LiveSettings
}

/** What only a live run asks for. No part of the plan: what it decides is in the ledger. */
export interface LiveSettings {
  /** Milliseconds between listings; false: none; undefined: the engine's default for the kind of store. */
  readonly reconcileMs: number | false | undefined
  readonly idleMs: number | undefined
}

const choices = {
  onBadRow: ['fail', 'quarantine'],
  onBadObject: ['fail', 'skip', 'quarantine'],
  onDenied: ['fail', 'skip', 'quarantine'],
  overwrite: ['quarantine', 'append'],
  hidden: ['ignore', 'read'],
} as const

export function defineSource(name: string, options: SourceOptions<Columns, string>): SourceDefinition {
  const at = `source ${name}`
  if (typeof name !== 'string' || !/^[A-Za-z][A-Za-z0-9_-]{0,63}$/.test(name))
    throw configError('source', name, 'a name of letters, digits, _ and -, at most 64')
  if (typeof options.objects !== 'string' || options.objects === '')
    throw configError(`${at}: objects`, options.objects, 'a directory, or a file:// or s3:// address')
  const { format, csv } = options.format ?? {}
  if (format === undefined || !formatNames.includes(format) || (format === 'csv') !== (csv !== undefined))
    throw configError(`${at}: format`, options.format, 'parquet(), json() or csv()')
  const parsed = columnsOf(options.columns, `${at}: columns`)
  const time = parsed[options.time]
  if (!time) throw configError(`${at}: time`, options.time, `one of its columns: ${Object.keys(parsed).join(', ')}`)
  if (time.list || !['TIMESTAMP', 'TIMESTAMPTZ', 'DATE'].includes(time.name))
    throw configError(`${at}: time`, `${options.time} ${time.sql}`, 'a TIMESTAMP, TIMESTAMPTZ or DATE column')
  for (const [field, allowed] of Object.entries(choices)) {
    const value = options[field as keyof typeof choices]
    if (value !== undefined && !(allowed as readonly string[]).includes(value))
      throw configError(`${at}: ${field}`, value, allowed.map(word => `'${word}'`).join(' or '))
  }
  const known = [
    'objects',
    'format',
    'columns',
    'time',
    'watermark',
    'onBadRow',
    'onBadObject',
    'onDenied',
    'overwrite',
    'hidden',
    'miniBatch',
    'notifications',
    'reconcile',
  ]
  for (const field of Object.keys(options))
    if (!known.includes(field))
      throw configError(
        `${at}: ${field}`,
        (options as unknown as Record<string, unknown>)[field],
        `no such option; the options are ${known.join(', ')}`,
      )
  for (const [field, value] of Object.entries(options.watermark ?? {}))
    if (!watermarkOptions.includes(field))
      throw configError(`${at}: watermark.${field}`, value, `one of ${watermarkOptions.join(', ')}`)
  const { notifications } = options
  if (notifications !== undefined) {
    // Its value is not shown: it may hold a password.
    if (notifications?.notifications !== 'sqs' && notifications?.notifications !== 'kafka')
      throw configError(`${at}: notifications`, typeof notifications, 'sqs({...}) or kafka({...})')
    if (!/^s3:\/\//i.test(options.objects))
      throw configError(
        `${at}: objects`,
        options.objects,
        "an s3:// address, such as 's3://bucket/prefix/': notifications name objects of a bucket",
      )
  }
  miniBatchLimits(options.miniBatch ?? {}, `${at}: miniBatch`)
  const bounds = boundsOf(options.watermark?.bounds, `${at}: watermark.bounds`)
  return {
    objects: options.objects,
    keys: { hidden: options.hidden ?? 'ignore' },
    miniBatch: options.miniBatch ?? {},
    ...(notifications ? { notifications } : {}),
    live: {
      reconcileMs: options.reconcile === false ? false : ms(options.reconcile, `${at}: reconcile`),
      idleMs: ms(options.watermark?.idle, `${at}: watermark.idle`),
    },
    settings: {
      name,
      format,
      ...(csv ? { csv } : {}),
      columns: Object.fromEntries(
        Object.entries(parsed).map(([column, type]) => [column, type.nullable ? type.sql : `${type.sql} NOT NULL`]),
      ),
      time: options.time,
      ...(options.watermark ? { delayUs: String(durationUs(options.watermark.delay, `${at}: watermark.delay`)) } : {}),
      ...(bounds ? { bounds } : {}),
      ...(options.watermark?.mark ? { mark: markOf(options.watermark.mark, `${at}: watermark.mark`) } : {}),
    },
    policies: {
      onBadRow: options.onBadRow ?? 'fail',
      onBadObject: options.onBadObject ?? 'quarantine',
      onDenied: options.onDenied ?? 'fail',
      overwrite: options.overwrite ?? 'quarantine',
    },
  }
}

const watermarkOptions = ['delay', 'bounds', 'mark', 'idle']

function markOf(mark: { readonly quantile: number }, field: string): { readonly quantile: number } {
  const { quantile } = mark
  if (typeof quantile !== 'number' || !(quantile > 0 && quantile < 1))
    throw configError(`${field}.quantile`, quantile, 'a number above 0 and below 1, such as 0.999')
  return { quantile }
}

function ms(duration: Duration | undefined, field: string): number | undefined {
  return duration === undefined ? undefined : Number(durationUs(duration, field) / 1000n)
}

function boundsOf(bounds: WatermarkOptions['bounds'], field: string): Bounds | undefined {
  if (bounds === undefined) return undefined
  if (typeof bounds === 'string') {
    keyPeriod(bounds, field)
    return { is: 'key', pattern: bounds }
  }
  if (typeof bounds?.lastModifiedSkew !== 'string')
    throw configError(field, bounds, "a key pattern or { lastModifiedSkew: '1 day' }")
  return { is: 'last-modified', skewUs: String(durationUs(bounds.lastModifiedSkew, `${field}.lastModifiedSkew`)) }
}
