import type { Observable } from 'rxjs'
import { configError } from '../core/errors.ts'

export interface PipelineOptions {
  /** Where state, ledger and commits lie: a directory, as a path or `file://` address, or an `s3://bucket/prefix/` address. One pipeline each. */
  readonly checkpoint: string
}

/** Flows with one checkpoint: what `run()` and the command line take. */
export interface Pipeline {
  readonly kind: 'millrace-pipeline'
  readonly name: string
  readonly checkpoint: string
  readonly flows: readonly Observable<unknown>[]
}

/**
 * Names flows and gives them one checkpoint. A pipeline file exports it as default.
 *
 *     export default pipeline('revenue-by-zone', { checkpoint: 'data/checkpoints/revenue' }, trips.pipe(..., to(...)))
 *
 * @throws MillraceError `user` that names the field.
 */
export function pipeline(name: string, options: PipelineOptions, ...flows: Observable<unknown>[]): Pipeline {
  if (typeof name !== 'string' || !/^[A-Za-z0-9][A-Za-z0-9_.-]{0,127}$/.test(name))
    throw configError('pipeline', name, 'a name of letters, digits, ., _ and -, at most 128')
  if (typeof options?.checkpoint !== 'string' || options.checkpoint === '')
    throw configError('pipeline checkpoint', options?.checkpoint, 'a directory, or a file:// or s3:// address')
  if (flows.length === 0)
    throw configError('pipeline', name, 'at least one flow, such as trips.pipe(..., to(files(...)))')
  for (const [index, flow] of flows.entries())
    if (typeof flow?.subscribe !== 'function')
      throw configError(`pipeline flow ${index + 1}`, typeof flow, 'a flow: source(...).pipe(...)')
  return { kind: 'millrace-pipeline', name, checkpoint: options.checkpoint, flows }
}

export function isPipeline(value: unknown): value is Pipeline {
  return typeof value === 'object' && value !== null && (value as { kind?: unknown }).kind === 'millrace-pipeline'
}
