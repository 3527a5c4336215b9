import type { Clock } from '../../src/core/clock.ts'
import type { Json } from '../../src/core/json.ts'
import type { OnRequest } from '../../src/core/requests.ts'
import type { Place } from './parse.ts'

/** Something that an operator should read: a refused message, a lost hold, messages that a topic no longer keeps. */
export interface NotificationEvent {
  readonly level: 'info' | 'warn' | 'error'
  /** Kebab-case and stable, such as 'malformed' or 'positions-lost'. */
  readonly event: string
  readonly message: string
  /** Plain data, without secrets. */
  readonly details: Readonly<Record<string, Json>>
}

/** What a notification source is opened with, beside its settings. */
export interface NotificationContext {
  readonly clock: Clock
  /** Numbers in [0, 1), to spread retries. */
  readonly random: () => number
  /** The source's address: what messages may name. */
  readonly place: Place
  /** The checkpoint's positions, or null at the first start (`NotificationSource.positionsAfter`). */
  readonly positions: Json
  /** The term of this process's claim: no two processes share one (P5). */
  readonly term: number
  /** The run ends when nothing more is there: of what comes after that nothing is waited for. */
  readonly untilIdle?: true
  /** Of requests that a queue charges for. */
  readonly onRequest?: OnRequest
  onEvent(event: NotificationEvent): void
}
