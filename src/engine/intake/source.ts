import type { Input } from '../../../connectors/input/input.ts'
import type { ObjectStore } from '../../core/ports.ts'
import type { AfterSettings } from '../../plan/after.ts'
import type { MiniBatchOptions } from '../../plan/mini-batch-options.ts'
import type { NotificationSpec } from '../../plan/notification-spec.ts'
import type { LiveSettings } from '../../plan/source-definition.ts'
import type { FetchContext } from '../read/marked-object.ts'
import type { NeverSeen } from '../read/never-seen.ts'
import type { KindOf } from './key-kind.ts'

/** A source as a run reads it. */
export interface OpenSource {
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
