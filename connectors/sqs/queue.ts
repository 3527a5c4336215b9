export interface QueueMessage {
  readonly id: string
  /** Names this receipt of the message: another receipt makes it stale. */
  readonly receipt: string
  readonly body: string
}

/**
 * Of one entry of a batch: `stale` when its receipt no longer holds the message, `failed` when it may be tried again.
 */
export type EntryOutcome = 'done' | 'stale' | 'failed'

/**
 * What the source needs of SQS. Methods throw a MillraceError: `retry` when the call may succeed later, else `user`.
 */
export interface Queue {
  /** Waits for a first message, `waitS` seconds or 20; at most `count`, of 10. */
  receive(count: number, signal: AbortSignal, waitS?: number): Promise<readonly QueueMessage[]>
  /** Hides messages for so long from now; 0 gives them to anybody. At most 10, outcomes in their order. */
  hide(entries: readonly { readonly receipt: string; readonly seconds: number }[]): Promise<readonly EntryOutcome[]>
  /** At most 10, outcomes in their order. */
  remove(receipts: readonly string[]): Promise<readonly EntryOutcome[]>
  attributes(): Promise<QueueAttributes>
  close(): void
}

export interface QueueAttributes {
  readonly messages: number
  /** Received by somebody and hidden from all others, neither deleted nor given back. */
  readonly inFlight: number
  /** Whether a redrive policy takes poison messages away. */
  readonly hasRedrive: boolean
}
