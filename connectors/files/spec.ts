import { configError } from '../../src/core/errors.ts'
import type { Sink } from '../../src/plan/sink.ts'

export interface FilesOptions {
  readonly format: 'parquet' | 'json'
}

/**
 * A sink of files with deterministic names, `part-<epoch>-<flow>.parquet` or `.jsonl`, each visible only after its
 * epoch's commit and never overwritten. The folder belongs to one checkpoint.
 *
 * @param uri a directory, as a path or `file://` address, or an `s3://bucket/prefix/` address
 * @throws MillraceError `user` for another format or an empty address.
 */
export function files(uri: string, options: FilesOptions): Sink<unknown> {
  if (typeof uri !== 'string' || uri === '')
    throw configError('files', uri, 'a directory, or a file:// or s3:// address')
  if (options?.format !== 'parquet' && options?.format !== 'json')
    throw configError('files format', options?.format, "'parquet' or 'json'")
  return { sink: 'files', uri, format: options.format }
}
