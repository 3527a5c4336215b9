import { type Duration, parseDurationUs } from '../../src/core/duration.ts'
import { configError } from '../../src/core/errors.ts'
import { aboveZero, either, list, nested, place, text, whole } from '../../src/core/option-kinds.ts'
import { type OptionTable, readCall } from '../../src/core/options.ts'
import type { Sink } from '../../src/plan/sink.ts'
import type { Retention } from './expiry.ts'
import type { CalendarPart, PartitionBy } from './partitions.ts'

export interface IcebergOptions<K extends string = string> {
  /**
   * What files are parted by: a column by its values (`'zone'`), or a time by a part of the calendar in UTC
   * (`{ day: 'window_start' }`, also `year`, `month`, `hour`). Default: nothing.
   */
  readonly partitionBy?: PartitionBy
  /**
   * Columns that tell rows apart: a later row takes the place of an earlier one. With `emit: 'update'` those that tell
   * results apart. Files that hold such rows are written anew. Default: every row is added.
   */
  readonly key?: readonly K[]
  /** How long a snapshot can be read (`AT`, time travel) after it was made. Default '5 days'. */
  readonly snapshotAge?: Duration
  /** So many snapshots are kept at most. Default 500. */
  readonly snapshotsMax?: number
}

/** What `iceberg()` gives, whatever it asks of the columns. */
export interface IcebergSink extends Omit<Sink, 'takes'> {
  readonly sink: 'iceberg'
  readonly partitionBy?: PartitionBy
  readonly key?: readonly string[]
  readonly access: () => { readonly retention: Retention }
}

/** What the table is told, wherever its catalog is. */
export interface IcebergSettings {
  readonly partitionBy: PartitionBy
  readonly key: readonly string[] | undefined
  readonly retention: Retention
}

const column = text('the name of a column', undefined, 'COLUMN')
const calendar = nested<CalendarPart>({
  year: { kind: column, about: 'The time column whose year files are parted by.' },
  month: { kind: column, about: 'The same of its month.' },
  day: { kind: column, about: 'The same of its day.' },
  hour: { kind: column, about: 'The same of its hour.' },
})

export const icebergOptions = {
  partitionBy: {
    kind: list(either(column, calendar), "a list such as ['zone', { day: 'window_start' }]"),
    otherwise: 'nothing',
    about: 'What files are parted by: columns, and parts of the calendar.',
  },
  key: {
    kind: list(column, "a list of columns such as ['window_start', 'zone']"),
    otherwise: 'every row is added',
    about: 'Columns that tell rows apart: a later row takes the place of an earlier one.',
  },
  snapshotAge: { kind: aboveZero, default: '5 days', about: 'How long a snapshot can be read after it was made.' },
  snapshotsMax: { kind: whole(2, 100_000), default: 500, about: 'How many snapshots are kept at most.' },
} satisfies OptionTable<IcebergOptions>

export const bucketOptions = {
  uri: {
    kind: place,
    isRequired: true,
    isPositional: true,
    about: "The table's folder or prefix, which is its own catalog.",
  },
  ...icebergOptions,
} satisfies OptionTable<IcebergOptions & { readonly uri: string }>

/**
 * A sink of rows in a table of Apache Iceberg, each there once: the snapshot of an epoch and the epoch's number are
 * committed in one step. The folder is the table's catalog; no server is needed. The table belongs to one flow of one
 * checkpoint.
 *
 *     to(iceberg('s3://lake/sessions', { partitionBy: [{ day: 'window_start' }] }))
 *
 * @param uri a directory, as a path or `file://` address, or an `s3://bucket/prefix/` address
 * @throws MillraceError `user` that names the field and what was expected.
 */
export function iceberg<const K extends string = never>(
  uri: string,
  options: IcebergOptions<K> = {},
): IcebergSink & Sink<{ readonly [name in K]: unknown }> {
  const read = readCall('iceberg', bucketOptions, [uri], options)
  const { partitionBy, key } = read
  const retention = retentionOf('iceberg', read)
  return {
    sink: 'iceberg',
    uri: read.uri,
    ...(partitionBy && { partitionBy }),
    ...(key && { key: [...key] }),
    access: () => ({ retention }),
  }
}

/** @throws MillraceError `user` for a key that tells nothing apart */
export function retentionOf(
  at: string,
  {
    key,
    snapshotAge,
    snapshotsMax,
  }: Required<Pick<IcebergOptions, 'snapshotAge' | 'snapshotsMax'>> & Pick<IcebergOptions, 'key'>,
): Retention {
  if (key && (key.length === 0 || new Set(key).size < key.length))
    throw configError(`${at}: key`, key, 'at least one column, each once')
  return { ageMsMax: Number((parseDurationUs(snapshotAge) as bigint) / 1000n), countMax: snapshotsMax }
}

export function settingsOf({
  partitionBy = [],
  key,
  access,
}: Pick<IcebergSink, 'partitionBy' | 'key' | 'access'>): IcebergSettings {
  return { partitionBy, key, retention: access().retention }
}
