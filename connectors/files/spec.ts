import type { Duration } from '../../src/core/duration.ts'
import { configError } from '../../src/core/errors.ts'
import { aboveZero, either, list, nested, oneOf, place, size, text, whole } from '../../src/core/option-kinds.ts'
import { type OptionTable, readCall } from '../../src/core/options.ts'
import type { Size } from '../../src/core/size.ts'
import type { Hold, Sink, SnapshotOptions } from '../../src/plan/sink.ts'
import type { CalendarParts, PartitionBy } from './partitions.ts'

export interface FilesOptions {
  /** 'json' writes JSON lines. 'csv' has a header; NULL is an empty field, an empty text is `""`. */
  readonly format: 'parquet' | 'json' | 'csv'
  /**
   * 'Z': JSON has a TIMESTAMP or TIMESTAMPTZ as RFC 3339 writes it in UTC, `"2024-01-01T00:00:00Z"`. Default: as DuckDB
   * writes them, `"2024-01-01 00:00:00"` without a zone and `"2024-01-01 00:00:00+00"`. Years before 1 and after 9999,
   * which RFC 3339 has not, and infinity stay as DuckDB writes them. Parquet has its own types, and CSV is as DuckDB
   * writes it: there it is refused.
   */
  readonly zone?: 'Z'
  /**
   * Default: zstd of Parquet, none of JSON and CSV, whose files end in `.gz` or `.zst` with one. Snappy is Parquet's
   * only.
   */
  readonly compression?: 'zstd' | 'snappy' | 'gzip' | 'none'
  /** Rows of a row group of Parquet, 2,048 to 10,000,000; DuckDB rounds up to a multiple of 2,048. Default 122,880. */
  readonly rowGroupRows?: number
  /**
   * Folders in the form of Hive, the outer ones first: `['zone']` for `zone=74/`, `{ day: 'window_start' }` for
   * `day=2024-03-31/`, `{ year: 't', month: 't' }` for `year=2024/month=03/`, `['zone', { day: 'window_start' }]` for
   * both. The parts of a time are in UTC. NULL, and an empty text, are `__HIVE_DEFAULT_PARTITION__`. Default: no
   * folders.
   */
  readonly partitionBy?: PartitionBy
  /** Whether columns that folders are named after are in their names only, or in the files as well. Default 'path'. */
  readonly partitionColumns?: 'path' | 'path-and-file'
  /**
   * Few files: committed rows wait in the checkpoint until they make files of about this size, '128MB', whatever the
   * epochs were. An epoch is never parted, so a file may be larger. Default: 128MB with `maxDelay`, else each epoch has
   * files of its own.
   */
  readonly targetSize?: Size
  /** So long they wait at most, since the first of them was committed. Default: 10 minutes with `targetSize`. */
  readonly maxDelay?: Duration
  /**
   * With `emit: 'update'`: beside the changes all results as they are then, in one file below `snapshot/`. The first
   * commit with changes after so many epochs (`{ every: 10 }`) or so long (`{ every: '1 hour' }`) writes it. The last
   * two are kept.
   */
  readonly snapshot?: SnapshotOptions
}

/** What `files()` gives. */
export interface FilesSink extends Sink<unknown>, Omit<FilesOptions, keyof Hold> {
  readonly sink: 'files'
}

const column = text('the name of a column', undefined, 'COLUMN')
const calendar = nested<CalendarParts>({
  year: { kind: column, about: 'The time column whose year folders are named after.' },
  month: { kind: column, about: 'The same of its month.' },
  day: { kind: column, about: 'The same of its day.' },
  hour: { kind: column, about: 'The same of its hour.' },
})
/** Where one of them is given: the other. */
const holdDefault: Hold = { targetSize: '128MB', maxDelay: '10 minutes' }
const folders = "a list such as ['zone', { day: 'window_start' }]"

export const filesOptions = {
  uri: { kind: place, isRequired: true, isPositional: true, about: 'The folder or prefix that the files go to.' },
  format: {
    kind: oneOf('parquet', 'json', 'csv'),
    isRequired: true,
    about: 'The format of the files; json writes JSON lines, csv a header.',
  },
  zone: {
    kind: oneOf('Z'),
    otherwise: 'times as DuckDB writes them, such as 2024-01-01 00:00:00, in UTC',
    about: 'How JSON tells the zone of a time: Z writes 2024-01-01T00:00:00Z.',
  },
  compression: {
    kind: oneOf('zstd', 'snappy', 'gzip', 'none'),
    otherwise: 'zstd of Parquet, none of JSON and CSV',
    about: 'How the files are compressed; snappy is for Parquet only.',
  },
  rowGroupRows: {
    kind: whole(2_048, 10_000_000),
    unit: 'rows',
    otherwise: '122880',
    about: 'How many rows a row group of Parquet has.',
  },
  partitionBy: {
    kind: either<readonly (string | CalendarParts)[], CalendarParts>(list(either(column, calendar), folders), calendar),
    otherwise: 'no folders',
    about: 'What folders are named after, in the form of Hive: zone=74/.',
  },
  partitionColumns: {
    kind: oneOf('path', 'path-and-file'),
    otherwise: 'path',
    about: 'Whether columns that folders are named after are in the files as well.',
  },
  targetSize: {
    kind: size,
    otherwise: `${holdDefault.targetSize} with maxDelay, else files for each epoch`,
    about: 'How large files should be: rows of several epochs are written together.',
  },
  snapshot: {
    kind: nested<SnapshotOptions>({
      every: {
        kind: either(whole(1), aboveZero),
        isRequired: true,
        about: 'After how many epochs, or how long, the next commit with changes writes one.',
      },
    }),
    otherwise: 'none',
    about: "With emit: 'update': how often all results are written as they are then, in one file below snapshot/.",
  },
  maxDelay: {
    kind: aboveZero,
    otherwise: `${holdDefault.maxDelay} with targetSize`,
    about: 'How long committed rows wait for that at most.',
  },
} satisfies OptionTable<FilesOptions & { readonly uri: string }>

/**
 * A sink of files with deterministic names, `part-<epoch>-<flow>.parquet`, `.jsonl` or `.csv`, each visible only after
 * its epoch's commit and never overwritten. The folder belongs to one checkpoint.
 *
 * @param uri a directory, as a path or `file://` address, or an `s3://bucket/prefix/` address
 * @throws MillraceError `user` for another format or an empty address, or for options that the format does not have.
 */
export function files(uri: string, options: FilesOptions): FilesSink {
  const read = readCall('files', filesOptions, [uri], options)
  const { format, zone, compression, rowGroupRows, partitionBy, partitionColumns } = read
  if (zone !== undefined && format !== 'json')
    throw configError(
      'files: zone',
      zone,
      'none, as format: ' +
        `'${format}' ${format === 'csv' ? 'has times as DuckDB writes them' : 'keeps the types of times'}`,
    )
  if (compression === 'snappy' && format !== 'parquet')
    throw configError('files: compression', compression, `'zstd', 'gzip' or 'none' with format: '${format}'`)
  if (rowGroupRows !== undefined && format !== 'parquet')
    throw configError('files: rowGroupRows', rowGroupRows, `none, as format: '${format}' has no row groups`)
  if (partitionColumns !== undefined && partitionBy === undefined)
    throw configError('files: partitionColumns', partitionColumns, 'none without partitionBy')
  const { targetSize, maxDelay, ...kept } = read
  for (const name of ['partitionBy', 'targetSize', 'maxDelay'] as const)
    if (read.snapshot !== undefined && read[name] !== undefined)
      throw configError('files: snapshot', read.snapshot, `none with ${name}, as a snapshot is one file of all results`)
  const isHeld = targetSize !== undefined || maxDelay !== undefined
  const hold = { targetSize: targetSize ?? holdDefault.targetSize, maxDelay: maxDelay ?? holdDefault.maxDelay }
  return { sink: 'files', ...kept, ...(isHeld && { hold }) }
}
