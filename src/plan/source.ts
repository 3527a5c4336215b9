import type { SourceDefinition } from './source-definition.ts'
import { Observable } from 'rxjs'
import { configError } from '../core/errors.ts'
import { type Duration, durationUs } from '../core/duration.ts'
import { readCall } from '../core/options.ts'
import { type ColumnDeclaration, declarationsOf } from '../core/column-declaration.ts'
import {
  checkNewColumn,
  type DeclaredColumns,
  type KeysOf,
  type NotNull,
  type Plain,
  type PlainColumns,
  type Time,
} from '../core/types.ts'
import type { MiniBatch, NoTime } from './batches.ts'
import { afterSettings } from './after.ts'
import { checkFacts, checkWithoutHeader, columnSettings } from './declared-settings.ts'
import { keyPeriod } from './key-period.ts'
import { currentRun } from './run-scope.ts'
import { type SourceOptions, sourceOptions, type WatermarkOptions } from './source-options.ts'
import type { Bounds } from './source-settings.ts'
import { Stream } from './stream.ts'

/** The columns of a source: the declared ones, and that of `rescue`. */
export type SourceColumns<C, R extends string> = [R] extends [never]
  ? PlainColumns<C>
  : { readonly [K in keyof C | R]: K extends keyof C ? Plain<C[K]> : 'JSON' }

/** The type of the event time column, which may be none. */
type TimeType<C, K> = [K] extends [never] ? NoTime : K extends keyof C ? NotNull<C[K]> : never

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
 * Without `time` rows only pass through: they can be filtered, changed and written, as in a plain conversion.
 *
 * @throws MillraceError `user` that names the field, the value and what was expected.
 */
export function source<
  const C extends DeclaredColumns,
  const K extends KeysOf<C, Time> = never,
  const R extends string = never,
>(name: string, options: SourceOptions<C, K, R>): Stream<MiniBatch<SourceColumns<C, R>, TimeType<C, K>>> {
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

export function defineSource(name: string, options: SourceOptions<DeclaredColumns, string, string>): SourceDefinition {
  const at = typeof name === 'string' ? `source ${name}` : 'source'
  const { objects, format, columns, keyPattern, rescue, time, watermark, late, notifications, ...read } = readCall(
    at,
    sourceOptions,
    [name],
    options,
  )
  const parsed = declarationsOf(columns, `${at}: columns`)
  checkEventTime(parsed, time, { watermark, late }, at)
  if (notifications !== undefined && !/^s3:\/\//i.test(objects))
    throw configError(
      `${at}: objects`,
      objects,
      "an s3:// address, such as 's3://bucket/prefix/': notifications name objects of a bucket",
    )
  if (format.isByPlace) checkWithoutHeader(parsed, `${at}: columns`)
  checkFacts(parsed, keyPattern, at)
  if (rescue !== undefined) checkNewColumn(rescue, Object.keys(parsed), `${at}: rescue`)
  const bounds = boundsOf(watermark?.bounds, `${at}: watermark.bounds`)
  const {
    onBadRow,
    onBadObject,
    onDenied,
    overwrite,
    hidden,
    suffix = format.suffixes,
    symlinks,
    reconcile,
    miniBatch = {},
    after,
    afterDelay,
  } = read
  return {
    objects,
    keys: { hidden, symlinks, ...(suffix === undefined ? {} : { suffixes: [suffix].flat() }) },
    miniBatch,
    ...(notifications ? { notifications } : {}),
    live: {
      reconcileMs: reconcile === false ? false : ms(reconcile, `${at}: reconcile`),
      idleMs: ms(watermark?.idle, `${at}: watermark.idle`),
    },
    after: afterSettings(after, afterDelay, at),
    settings: {
      name,
      format: format.format,
      ...(Object.keys(format.settings).length > 0 ? { [format.format]: format.settings } : {}),
      ...columnSettings(parsed, rescue),
      ...(keyPattern === undefined ? {} : { keyPattern }),
      ...(time === undefined ? {} : { time }),
      ...(watermark ? { delayUs: String(durationUs(watermark.delay, `${at}: watermark.delay`)) } : {}),
      ...(bounds ? { bounds } : {}),
      ...(watermark?.mark ? { mark: { quantile: watermark.mark.quantile } } : {}),
      ...(late ? { late: { retentionUs: String(durationUs(late.retention, `${at}: late.retention`)) } } : {}),
    },
    policies: {
      onBadRow,
      onBadObject,
      onDenied,
      overwrite,
      ...(format.rowBytesMax === undefined ? {} : { rowBytesMax: format.rowBytesMax }),
    },
  }
}

/** Refuses an event time that is none, and what would go by none. */
function checkEventTime(
  parsed: Readonly<Record<string, ColumnDeclaration>>,
  time: string | undefined,
  going: Readonly<Record<string, unknown>>,
  at: string,
): void {
  if (time === undefined) {
    const [name, value] = Object.entries(going).find(([, given]) => given !== undefined) ?? []
    if (name !== undefined)
      throw configError(`${at}: ${name}`, value, '`time` beside it, the column of the event time it goes by')
    return
  }
  const type = parsed[time]?.type
  if (!type) throw configError(`${at}: time`, time, `one of its columns: ${Object.keys(parsed).join(', ')}`)
  if (type.list || !['TIMESTAMP', 'TIMESTAMPTZ', 'DATE'].includes(type.name))
    throw configError(`${at}: time`, `${time} ${type.sql}`, 'a TIMESTAMP, TIMESTAMPTZ or DATE column')
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
  return { is: 'last-modified', skewUs: String(durationUs(bounds.lastModifiedSkew, `${field}.lastModifiedSkew`)) }
}
