import { text, whole } from '../../src/core/option-kinds.ts'
import { type OptionTable, readCall } from '../../src/core/options.ts'
import type { FormatSpec } from '../../src/plan/source-options.ts'

export interface JsonOptions {
  /**
   * Field of each object that holds an array of the rows: 'Records' for `{"Records": [{...}, {...}]}`. Dots lead to
   * fields of fields: 'detail.records'. Default: the objects themselves are the rows.
   */
  readonly records?: string
  /**
   * Bytes of one row, 1 MiB to 256 MiB, beyond which it is a bad one. Default 16 MiB. Reading it takes up to eight
   * times as much.
   */
  readonly rowBytesMax?: number
}

const mebibyte = 1024 * 1024
export const rowBytesMaxDefault = 16 * mebibyte

/** Names of fields with dots between. */
export const recordsPath = text("the name of a field, or names with dots between, such as 'Records'", value =>
  value.split('.').every(name => name !== ''),
)

export const jsonOptions = {
  records: {
    kind: recordsPath,
    otherwise: 'the objects themselves are the rows',
    about: 'The field of each object that holds an array of the rows.',
  },
  rowBytesMax: {
    kind: whole(mebibyte, 256 * mebibyte),
    otherwise: '16 MiB',
    unit: 'bytes',
    about: 'The length of one row, beyond which it is a bad one.',
  },
} satisfies OptionTable<JsonOptions>

/**
 * JSON (RFC 8259, UTF-8): files that end in `.jsonl`, `.ndjson` or `.json`, also with `.gz` or `.zst` behind, or as the
 * source's `suffix` says. Rows are objects: one on a line or several, over many lines, as elements of an array, or of
 * the arrays that `records` names. What is no JSON object is a bad row; a missing field is NULL; of two fields of one
 * name the first counts. An array that is never closed, or brackets that do not match, make a bad object.
 *
 * @throws MillraceError `user` that names the option, its value and what was expected.
 */
export function json(options: JsonOptions = {}): FormatSpec {
  const { records, rowBytesMax } = readCall('json', jsonOptions, [], options)
  return {
    format: 'json',
    settings: records === undefined ? {} : { records },
    ...(rowBytesMax === undefined ? {} : { rowBytesMax }),
  }
}
