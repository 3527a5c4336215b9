import { readCall } from '../../src/core/options.ts'
import type { FormatSpec } from '../../src/plan/source.ts'

/**
 * JSON lines (newline-delimited JSON, UTF-8): files that end in `.jsonl`, `.ndjson` or `.json`, also with
 * `.gz` or `.zst` behind; one object a line; blank lines are skipped. A line that is no JSON object is a bad row; a missing field is NULL.
 */
export function json(): FormatSpec
export function json(options?: unknown): FormatSpec {
  readCall('json', {}, [], options)
  return { format: 'json' }
}
