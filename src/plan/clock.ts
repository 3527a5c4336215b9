/**
 * The clock of each stage: its own watermark, before and after every ledger entry. Pure.
 *
 * A stage's clock is the running maximum of the lowest watermark of its inputs. An input that is a stage itself may
 * still give rows as old as its hold, so its watermark counts less that (S13). A flush moves a clock by itself (S6).
 */

/** What a clock is made of: the inputs of a stage. */
export type ClockInput =
  | { readonly is: 'source'; readonly source: string }
  | { readonly is: 'stage'; readonly stage: string; readonly holdUs: bigint }

export interface ClockShape {
  readonly id: string
  readonly inputs: readonly ClockInput[]
}

/** Watermark by stage, or by source; null before the first mark. */
export type Clocks = Readonly<Record<string, bigint | null>>

/** One entry of the ledger as a stage sees it. */
export interface ClockEntry {
  readonly seq: number
  readonly beforeUs: bigint | null
  readonly afterUs: bigint | null
}

/** A stage's watermark over the entries of one epoch, in order. */
export interface Clock {
  readonly fromUs: bigint | null
  readonly toUs: bigint | null
  readonly entries: readonly ClockEntry[]
}

/**
 * A stage's clock after an entry.
 *
 * @param sourcesUs the watermark of each source after the entry
 * @param clocks of the stages before it, after the entry
 * @param flushUs what a flush says of this stage
 */
export function advanceClock(
  shape: ClockShape,
  beforeUs: bigint | null,
  sourcesUs: Clocks,
  clocks: Clocks,
  flushUs: bigint | null = null,
): bigint | null {
  const inputs = shape.inputs.map(input => {
    if (input.is === 'source') return sourcesUs[input.source] ?? null
    const upstream = clocks[input.stage] ?? null
    return upstream === null ? null : upstream - input.holdUs
  })
  const lowest = inputs.reduce((a, b) => (a === null || b === null ? null : a < b ? a : b))
  return latest(latest(beforeUs, lowest), flushUs)
}

/** The later of two watermarks; null is before all. */
export function latest(a: bigint | null, b: bigint | null): bigint | null {
  if (a === null || b === null) return a ?? b
  return a > b ? a : b
}
