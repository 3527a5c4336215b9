export interface LogRecord {
  readonly offset: number
  readonly timestampMs: number
  readonly value: Uint8Array | null
}

/** What one partition answered to a fetch. */
export type Fetched =
  | {
      readonly partition: number
      readonly is: 'records'
      readonly records: readonly LogRecord[]
      readonly next: number
    }
  /** The topic no longer has the offset, or never had it. */
  | { readonly partition: number; readonly is: 'out-of-range' }
  /** Its leader has changed or is not there: tried again. */
  | { readonly partition: number; readonly is: 'unavailable'; readonly why: string }

/** Offsets of what a partition holds: [earliest, next). */
export interface Extent {
  readonly earliest: number
  readonly next: number
}

/**
 * What the source needs of a topic. Methods throw a MillraceError: `retry` when the call may succeed later, else
 * `user`.
 */
export interface Log {
  /**
   * Every partition of the topic, asked anew; undefined where that cannot be told while some partition has no leader.
   */
  describe(): Promise<ReadonlyMap<number, Extent | undefined>>
  /** From these offsets on; waits half a second for a first record. */
  fetch(offsets: ReadonlyMap<number, number>): Promise<readonly Fetched[]>
  /** For tools that show lag; nothing reads it. */
  commit(groupId: string, offsets: ReadonlyMap<number, number>): Promise<void>
  close(): Promise<void>
}
