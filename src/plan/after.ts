import { configError } from '../core/errors.ts'
import { type Duration, durationUs } from '../core/duration.ts'
import { duration, either, nested, oneOf, place } from '../core/option-kinds.ts'
import type { OptionTable } from '../core/options.ts'

/** What becomes of an object whose rows are committed. */
export type After = 'keep' | 'tag' | 'delete' | { readonly moveTo: string }

/** The options of a source that say what becomes of its objects. */
export interface AfterOptions {
  /**
   * What becomes of an object when its rows are committed, every sink has the results and `afterDelay` is over: it
   * stays ('keep', the default), gets a tag of S3 ('tag'), moves to another place under the same key (`{ moveTo }`,
   * which a replay follows), or goes ('delete', which gives up replay). An object that was set aside always stays.
   */
  readonly after?: After
  /** How long after the commit `after` is carried out. Default: at once. */
  readonly afterDelay?: Duration
}

/**
 * The same as plain data. No part of the plan: no answer depends on it, so it may change between runs, and holds for
 * all objects that are committed and not done with.
 */
export type AfterSettings = { readonly delayMs: number } & ({ readonly is: 'keep' } | Work)

/** What is more than to leave objects as they are. */
type Work = { readonly is: 'tag' | 'delete' } | { readonly is: 'move'; readonly to: string }

export type ActiveAfter = { readonly delayMs: number } & Work

export type Deed = AfterSettings['is']

export const keepAll: AfterSettings = { is: 'keep', delayMs: 0 }

export const afterOptions = {
  after: {
    kind: either(
      oneOf('keep', 'tag', 'delete'),
      nested<{ readonly moveTo: string }>({
        moveTo: { kind: place, isRequired: true, about: 'A place outside that of the source: where objects move to.' },
      }),
    ),
    default: 'keep',
    about: "What becomes of an object when its rows are committed; 'delete' gives up replay.",
  },
  afterDelay: {
    kind: duration(),
    otherwise: 'at once',
    about: 'How long after the commit `after` is carried out.',
  },
} satisfies OptionTable<AfterOptions>

/** @throws MillraceError `user` that names the field */
export function afterSettings(after: After, delay: Duration | undefined, at: string): AfterSettings {
  if (after === 'keep' && delay !== undefined)
    throw configError(`${at}: afterDelay`, delay, "`after` beside it: 'tag', 'delete' or { moveTo }")
  const delayMs = delay === undefined ? 0 : Number(durationUs(delay, `${at}: afterDelay`) / 1000n)
  return typeof after === 'string' ? { is: after, delayMs } : { is: 'move', to: after.moveTo, delayMs }
}

/**
 * The tag that objects get: its name by the pipeline, as several may read one place. Both are known before the first
 * run.
 */
export function tagOf(pipeline: string): { readonly name: string; readonly value: string } {
  return { name: `millrace:${pipeline}`, value: 'committed' }
}
