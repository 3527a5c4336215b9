import type { AfterSettings } from './after.ts'
import type { KeySettings } from './key-settings.ts'
import type { MiniBatchOptions } from './mini-batch-options.ts'
import type { NotificationSpec } from './notification-spec.ts'
import type { SourcePolicies, SourceSettings } from './source-settings.ts'

/** A validated source: what the engine reads. */
export interface SourceDefinition {
  readonly settings: SourceSettings
  readonly policies: SourcePolicies
  readonly objects: string
  readonly keys: KeySettings
  readonly miniBatch: MiniBatchOptions
  readonly notifications?: NotificationSpec
  readonly live: LiveSettings
  /** What becomes of objects that are committed. */
  readonly after: AfterSettings
}

/** What only a live run asks for. No part of the plan: what it decides is in the ledger. */
export interface LiveSettings {
  /** Milliseconds between listings; false: none; undefined: the engine's default for the kind of store. */
  readonly reconcileMs: number | false | undefined
  readonly idleMs: number | undefined
}
