import type { Unpublished } from '../../../checkpoints/types.ts'
import type { WaitingRows } from '../report/lags.ts'
import type { Output } from './output.ts'

/** An output and what waits for it, in order. */
export interface Lane {
  readonly output: Output
  readonly waiting: Unpublished[]
  readonly working: Map<Unpublished, Promise<void>>
  retries: number
  hasFailed: boolean
}

export function createLane(output: Output): Lane {
  return { output, waiting: [], working: new Map(), retries: 0, hasFailed: false }
}

export function isFull({ output, waiting }: Lane): boolean {
  const { epochs, bytes } = sizeOf(waiting)
  return epochs >= output.behind.epochsMax || bytes >= output.behind.bytesMax
}

export function waitingOf({ output, waiting }: Pick<Lane, 'output' | 'waiting'>): WaitingRows {
  return { flow: output.name, ...sizeOf(waiting) }
}

function sizeOf(waiting: readonly Unpublished[]): Omit<WaitingRows, 'flow'> {
  const files = waiting.flatMap(entry => entry.files)
  return {
    epochs: waiting.length,
    rows: files.reduce((sum, { rows }) => sum + rows, 0),
    bytes: files.reduce((sum, { bytes }) => sum + bytes, 0),
  }
}

/** What waits for these flows in a manifest: for whoever only reads the checkpoint. */
export function waitingIn(unpublished: readonly Unpublished[]): readonly WaitingRows[] {
  const flows = [...new Set(unpublished.map(({ output }) => output))].toSorted()
  return flows.map(flow => ({ flow, ...sizeOf(unpublished.filter(({ output }) => output === flow)) }))
}
