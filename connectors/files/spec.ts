import { configError } from '../../src/core/errors.ts'
import { oneOf, place } from '../../src/core/option-kinds.ts'
import { type OptionTable, readCall } from '../../src/core/options.ts'
import type { Sink } from '../../src/plan/sink.ts'

export interface FilesOptions {
  readonly format: 'parquet' | 'json'
  /**
   * 'Z': JSON has a TIMESTAMP or TIMESTAMPTZ as RFC 3339 writes it in UTC, `"2024-01-01T00:00:00Z"`. Default: as DuckDB writes
   * them, `"2024-01-01 00:00:00"` without a zone and `"2024-01-01 00:00:00+00"`. Years before 1 and after 9999, which RFC 3339
   * has not, and infinity stay as DuckDB writes them. Parquet has its own types: there it is refused.
   */
  readonly zone?: 'Z'
}

/** What `files()` gives. */
export interface FilesSink extends Sink<unknown>, FilesOptions {
  readonly sink: 'files'
}

const filesOptions = {
  uri: { kind: place, isRequired: true, isPositional: true, about: 'The folder or prefix that the files go to.' },
  format: {
    kind: oneOf('parquet', 'json'),
    isRequired: true,
    about: 'The format of the files; json writes JSON lines.',
  },
  zone: {
    kind: oneOf('Z'),
    otherwise: 'times as DuckDB writes them, such as 2024-01-01 00:00:00, in UTC',
    about: 'How JSON tells the zone of a time: Z writes 2024-01-01T00:00:00Z.',
  },
} satisfies OptionTable<FilesOptions & { readonly uri: string }>

/**
 * A sink of files with deterministic names, `part-<epoch>-<flow>.parquet` or `.jsonl`, each visible only after its
 * epoch's commit and never overwritten. The folder belongs to one checkpoint.
 *
 * @param uri a directory, as a path or `file://` address, or an `s3://bucket/prefix/` address
 * @throws MillraceError `user` for another format or an empty address, or a `zone` beside `format: 'parquet'`.
 */
export function files(uri: string, options: FilesOptions): FilesSink {
  const { zone, ...read } = readCall('files', filesOptions, [uri], options)
  if (zone !== undefined && read.format !== 'json')
    throw configError('files: zone', zone, "none, as format: 'parquet' keeps the types of times")
  return { sink: 'files', ...read, ...(zone === undefined ? {} : { zone }) }
}
