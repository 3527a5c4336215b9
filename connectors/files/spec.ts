import { oneOf, place } from '../../src/core/option-kinds.ts'
import { type OptionTable, readCall } from '../../src/core/options.ts'
import type { Sink } from '../../src/plan/sink.ts'

export interface FilesOptions {
  readonly format: 'parquet' | 'json'
}

const filesOptions = {
  uri: { kind: place, isRequired: true, isPositional: true, about: 'The folder or prefix that the files go to.' },
  format: {
    kind: oneOf('parquet', 'json'),
    isRequired: true,
    about: 'The format of the files; json writes JSON lines.',
  },
} satisfies OptionTable<FilesOptions & { readonly uri: string }>

/**
 * A sink of files with deterministic names, `part-<epoch>-<flow>.parquet` or `.jsonl`, each visible only after its
 * epoch's commit and never overwritten. The folder belongs to one checkpoint.
 *
 * @param uri a directory, as a path or `file://` address, or an `s3://bucket/prefix/` address
 * @throws MillraceError `user` for another format or an empty address.
 */
export function files(uri: string, options: FilesOptions): Sink<unknown> {
  return { sink: 'files', ...readCall('files', filesOptions, [uri], options) }
}
