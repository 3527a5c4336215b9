import type { Duration } from '../core/duration.ts'
import {
  aboveZero,
  duration,
  either,
  given,
  list,
  nested,
  number,
  oneOf,
  only,
  place,
  text,
} from '../core/option-kinds.ts'
import type { OptionTable } from '../core/options.ts'
import type { DeclaredColumns } from '../core/types.ts'
import { type AfterOptions, afterOptions } from './after.ts'
import { type MiniBatchOptions, miniBatchOptions } from './mini-batch-options.ts'
import type { NotificationSpec } from './notification-spec.ts'

/** A format as a user names it: `parquet()`, `json()`, `csv()`, `text()`. */
export interface FormatSpec {
  readonly format: string
  /** How objects of it are written, as plain data: a part of the plan. Empty where nothing was asked for. */
  readonly settings: object
  /** Objects do not name their columns: they are the declared ones, in their order. */
  readonly isByPlace?: true
  /** What keys end in, where the source does not say. */
  readonly suffixes?: readonly string[]
  /** Of `json()`. */
  readonly rowBytesMax?: number
}

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

export interface LateOptions {
  /**
   * How long after its end a window can still take late rows: so long its state is kept. `millrace apply-late` names
   * the rows.
   */
  readonly retention: Duration
}

export interface SourceOptions<C extends DeclaredColumns, K extends string, R extends string = never>
  extends AfterOptions {
  /** A directory, as a path or `file://` address: the only place that objects are read from. */
  readonly objects: string
  readonly format: FormatSpec
  /**
   * Column name to `TYPE [NOT NULL] [DEFAULT literal] [FROM name|KEY|META]`. Values are cast by value; one that does
   * not fit is a bad row. With DEFAULT an object may lack the column, and a row of JSON the field: the value stands in
   * its place. FROM gives the name that the object has for it; with FROM KEY the object's key has the value, as a
   * folder `name=value/` or by `keyPattern`, with FROM META the column is `object_key`, `object_bucket`, `object_size`
   * or `object_last_modified`.
   */
  readonly columns: C
  /**
   * Where keys have the values of columns FROM KEY, where folders do not name them: a pattern of the end of keys, such
   * as '{region}/trips_{dt}.parquet'. `{name}` is one or more characters other than '/', '*' any number of them.
   */
  readonly keyPattern?: string
  /**
   * The event time: a TIMESTAMP, TIMESTAMPTZ or DATE column. NULL and infinite times are quarantined rows. Default:
   * none; then rows can be filtered, changed and written, and no window and nothing else that keeps state can follow.
   */
  readonly time?: K
  /** Default: none; windows then close only when a backfill flushes. It goes by `time`, which must be there then. */
  readonly watermark?: [K] extends [never]
    ? 'a watermark goes by an event time: name its column in `time`'
    : WatermarkOptions
  /**
   * What becomes of rows that come when their window has closed. Default: they stay in the late ledger, for good. With
   * `{ retention: '30 days' }` they can be applied to windows that ended so long ago, by `millrace apply-late`. It
   * cannot be added to a checkpoint later.
   */
  readonly late?: [K] extends [never]
    ? 'late rows are those of windows, which go by an event time: name its column in `time`'
    : LateOptions
  /** A row whose value does not fit its declared type. Default 'fail': the run stops, naming object, row and column. */
  readonly onBadRow?: 'fail' | 'quarantine'
  /**
   * Name of one more column, a JSON, that keeps what did not fit beside its row: of a value that does not fit its
   * declared type the column is NULL, and this one has its text, `{"fare":"n/a"}`. NULL where all fit. A row that
   * cannot be parsed, a value of a NOT NULL column and one of the event time stay bad rows.
   */
  readonly rescue?: R
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
  /**
   * What keys end in, in any case: '.json', or several: ['.json', '.json.gz', '.ndjson']. '' takes any, as those of
   * Firehose, which have no extension. Default: the extensions of the format. An object that `objects` itself names is
   * read whatever its name. It says nothing of how an object is read: what is compressed is found by its first bytes.
   */
  readonly suffix?: string | readonly string[]
  /**
   * Of a directory: 'inside', the default, reads symbolic links to files below the directory; 'follow' reads links that
   * lead elsewhere too, and those to folders. A file that `objects` itself names is read wherever it lies.
   */
  readonly symlinks?: 'inside' | 'follow'
  /** How object versions are windowed into mini-batches (epochs). */
  readonly miniBatch?: MiniBatchOptions
  /** What announces new objects of `objects` to a run that follows them: `sqs({...})`, `kafka({...})`. */
  readonly notifications?: NotificationSpec
  /**
   * Live only: how often the place is listed, for objects that nothing has announced; false: never. Default every
   * minute for S3. A directory is looked at every second, and listed when one of its folders has changed; listings take
   * at most a fifth of the time, and a hundredth while nothing changes.
   */
  readonly reconcile?: Duration | false
}

const watermarkOptions = {
  delay: {
    kind: duration(),
    isRequired: true,
    about: 'How far behind the highest event time seen a row may still come.',
  },
  bounds: {
    kind: either(
      text('a key pattern'),
      nested<{ readonly lastModifiedSkew: Duration }>({
        lastModifiedSkew: {
          kind: duration(),
          isRequired: true,
          about: "How far after the object's last modification a time may lie.",
        },
      }),
    ),
    otherwise: 'every row',
    about:
      'Which rows move the watermark: ' +
      'those inside the period that the key names, or not far after the last modification.',
  },
  mark: {
    kind: nested<{ readonly quantile: number }>({
      quantile: {
        kind: number('a number above 0 and below 1, such as 0.999', share => share > 0 && share < 1),
        isRequired: true,
        about: 'The share of the rows that lie at or before the high mark.',
      },
    }),
    otherwise: 'the latest time inside `bounds`',
    about: 'Which time of an object is its high mark.',
  },
  idle: {
    kind: duration(),
    otherwise: 'never',
    about: 'Live only: the delay is dropped when nothing has come for so long.',
  },
} satisfies OptionTable<WatermarkOptions>

// Which formats and connectors there are is known where they are opened.
const isKind = (name: unknown) => typeof name === 'string' && /^[a-z][a-z0-9-]{0,31}$/.test(name)
const isFormat = (value: unknown) => {
  const { format, settings } = (value ?? {}) as Partial<FormatSpec>
  return isKind(format) && typeof settings === 'object' && settings !== null
}
const isNotification = (value: unknown) => {
  const { notifications } = (value ?? {}) as Partial<NotificationSpec>
  return isKind(notifications)
}

const anySuffix = text("what keys end in, such as '.json'; '' for any", suffix => !/[\0/]/.test(suffix))

export const sourceOptions = {
  name: {
    kind: text('a name of letters, digits, _ and -, at most 64', name => /^[A-Za-z][A-Za-z0-9_-]{0,63}$/.test(name)),
    isRequired: true,
    isPositional: true,
    about: 'The name of the source in messages and in the plan.',
  },
  objects: { kind: place, isRequired: true, about: 'The only place that objects are read from.' },
  format: {
    kind: given<FormatSpec>('what a format makes, such as parquet()', isFormat),
    isRequired: true,
    about: 'How objects are read.',
  },
  columns: {
    kind: given<DeclaredColumns>(
      'at least one column: { name: SQL type }',
      value => typeof value === 'object' && value !== null,
    ),
    isRequired: true,
    about: 'The name of each column that is read, with its SQL type, DEFAULT and FROM.',
  },
  keyPattern: {
    kind: text("text with names in braces, such as '{region}/trips_{dt}.parquet'"),
    otherwise: 'folders such as dt=2024-03-31/',
    about: 'Where keys have the values of columns FROM KEY.',
  },
  time: {
    kind: text('the name of a column'),
    otherwise: 'none: nothing that keeps state can follow',
    about: 'The event time: a TIMESTAMP, TIMESTAMPTZ or DATE column.',
  },
  watermark: {
    kind: nested<WatermarkOptions>(watermarkOptions),
    otherwise: 'none: windows close only when a backfill flushes',
    about: 'How far the event time is known to be complete.',
  },
  late: {
    kind: nested<LateOptions>({
      retention: {
        kind: aboveZero,
        isRequired: true,
        about: 'How long after its end the state of a window is kept, so that late rows can be applied.',
      },
    }),
    otherwise: 'late rows stay late',
    about: 'How long late rows can be applied to windows that have closed.',
  },
  onBadRow: {
    kind: oneOf('fail', 'quarantine'),
    default: 'fail',
    about: 'What happens to a row whose value does not fit its declared type.',
  },
  rescue: {
    kind: text('the name of a further column'),
    otherwise: 'none: such rows are bad ones',
    about: 'The column that keeps, as JSON, what did not fit its declared type.',
  },
  onBadObject: {
    kind: oneOf('fail', 'skip', 'quarantine'),
    default: 'quarantine',
    about: 'What happens to an object that cannot be read, or lacks a column.',
  },
  onDenied: {
    kind: oneOf('fail', 'skip', 'quarantine'),
    default: 'fail',
    about: 'What happens to an object that may not be read.',
  },
  overwrite: {
    kind: oneOf('quarantine', 'append'),
    default: 'quarantine',
    about: 'What happens to a new version of a key that was counted already.',
  },
  hidden: {
    kind: oneOf('ignore', 'read'),
    default: 'ignore',
    about: 'What happens to keys that Spark, Hive, Trino and Athena take for no data, such as `_SUCCESS`.',
  },
  suffix: {
    kind: either(anySuffix, list(anySuffix, "a suffix, or a list of at least one, such as ['.json', '.json.gz']")),
    otherwise: 'the extensions of the format',
    about: "What keys end in: one suffix or several; '' takes any key.",
  },
  symlinks: {
    kind: oneOf('inside', 'follow'),
    default: 'inside',
    about: 'Which symbolic links of a directory are read: those to files below it, or all.',
  },
  miniBatch: {
    kind: nested<MiniBatchOptions>(miniBatchOptions),
    about: 'How object versions are windowed into mini-batches.',
  },
  notifications: {
    kind: given<NotificationSpec>('what a connector makes, such as sqs({...})', isNotification),
    // It may hold a password.
    isSecret: true,
    about: 'What announces new objects to a run that follows them.',
  },
  reconcile: {
    kind: either(duration(), only(false)),
    otherwise: 'every second for a directory, every minute for S3',
    about: 'Live only: how often the place is listed, for objects that nothing has announced; false for never.',
  },
  ...afterOptions,
} satisfies OptionTable<SourceOptions<DeclaredColumns, string, string> & { readonly name: string }>
