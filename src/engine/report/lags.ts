/** Epochs that wait for a flow to take them. */
export interface WaitingRows {
  readonly flow: string
  readonly epochs: number
  readonly rows: number
  /** Of their files. */
  readonly bytes: number
}

/** How far the sink of a flow is behind. */
export interface SinkLag extends WaitingRows {
  /** So often something was published again after a pause, since the start. */
  readonly retries: number
}
