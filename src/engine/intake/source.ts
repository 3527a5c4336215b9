import type { Input } from '../../../connectors/input/input.ts'
import type { ObjectStore } from '../../core/ports.ts'
import type { AfterSettings } from '../../plan/after.ts'
import type { MiniBatchOptions } from '../../plan/mini-batch-options.ts'
import type { NotificationSpec } from '../../plan/notification-spec.ts'
import type { LiveSettings } from '../../plan/source-definition.ts'
import type { FetchContext } from '../read/marked-object.ts'
import type { NeverSeen } from '../read/never-seen.ts'
import type { KindOf } from './key-kind.ts'

/** The sources of a run by their names, in the order in which its flows ask for them. */
export type OpenSources = ReadonlyMap<string, OpenSource>

/** The source of this name, which the run has. */
export function sourceOf<T>(sources: ReadonlyMap<string, T>, name: string): T {
  const found = sources.get(name)
  if (found === undefined) throw new Error(`unreachable: the run has no source ${name}`)
  return found
}

/** A source as a run reads it. */
export interface OpenSource {
  /** Its place among the sources of the run, from 0: names of its tables have it. */
  readonly place: number
  readonly fetch: FetchContext & { readonly neverSeen: NeverSeen }
  readonly input: Input
  /** What each key of the input is to the source. */
  readonly kindOf: KindOf
  readonly miniBatch: MiniBatchOptions
  readonly live: LiveSettings
  /** What announces objects, if the source names it. */
  readonly notifications: NotificationSpec | undefined
  /** What becomes of objects that are committed. */
  readonly after: AfterSettings
  /** Where they move to. */
  readonly afterPlace: ObjectStore | undefined
}
