import type { Observable } from 'rxjs'
import type { Grouped, MiniBatch, Windowed } from './batches.ts'
import { type CallSite, callSite } from '../core/call-site.ts'
import { configError } from '../core/errors.ts'
import { place, text } from '../core/option-kinds.ts'
import { type OptionTable, readCall } from '../core/options.ts'

export interface PipelineOptions {
  /**
   * Where state, ledger and commits lie: a directory, as a path or `file://` address, or an `s3://bucket/prefix/`
   * address. One pipeline each.
   */
  readonly checkpoint: string
}

const pipelineOptions = {
  name: {
    kind: text('a name of letters, digits, ., _ and -, at most 128', name =>
      /^[A-Za-z0-9][A-Za-z0-9_.-]{0,127}$/.test(name),
    ),
    isRequired: true,
    isPositional: true,
    about: 'The name of the pipeline in messages, logs and the checkpoint.',
  },
  checkpoint: { kind: place, isRequired: true, about: 'Where state, ledger and commits lie; one pipeline each.' },
} satisfies OptionTable<PipelineOptions & { readonly name: string }>

/** Flows with one checkpoint: what `run()` and the command line take. */
export interface Pipeline {
  readonly kind: 'millrace-pipeline'
  readonly name: string
  readonly checkpoint: string
  readonly flows: readonly Observable<unknown>[]
  /** Where the user's file calls `pipeline()`, for messages. */
  readonly at?: CallSite
  /**
   * What variables of the environment hold that its SQL puts in, by name: shown nowhere. A function, so that nothing
   * which writes data down has any of it.
   */
  readonly secrets?: () => ReadonlyMap<string, string>
}

type Batch = MiniBatch<unknown, unknown> | Windowed<unknown, unknown> | Grouped<unknown, unknown, unknown>
/** The flow itself when it ends in `to(...)` or `rows()`, else what to do. Of an Observable of any nothing is known. */
type Ended<F> =
  F extends Observable<'any'>
    ? F
    : F extends Observable<Batch>
      ? 'this flow ends nowhere: add to(files(...)) or rows() at its end'
      : F

/**
 * Names flows and gives them one checkpoint. A pipeline file exports it as default.
 *
 *     export default pipeline('revenue-by-zone', { checkpoint: 'data/checkpoints/revenue' }, trips.pipe(..., to(...)))
 *
 * @throws MillraceError `user` that names the field.
 */
export function pipeline<const F extends readonly Observable<unknown>[]>(
  name: string,
  options: PipelineOptions,
  ...flows: { [I in keyof F]: Ended<F[I]> }
): Pipeline {
  const { checkpoint } = readCall('pipeline', pipelineOptions, [name], options)
  if (flows.length === 0)
    throw configError('pipeline', name, 'at least one flow, such as trips.pipe(..., to(files(...)))')
  for (const [index, flow] of flows.entries())
    if (typeof flow?.subscribe !== 'function')
      throw configError(`pipeline flow ${index + 1}`, typeof flow, 'a flow: source(...).pipe(...)')
  const at = callSite()
  return { kind: 'millrace-pipeline', name, checkpoint, flows, ...(at ? { at } : {}) }
}

export function isPipeline(value: unknown): value is Pipeline {
  return typeof value === 'object' && value !== null && (value as { kind?: unknown }).kind === 'millrace-pipeline'
}
