/** The fold over a source's ledger entries that gives each object the watermark before it (S2). Pure. */
export interface WatermarkState {
  /** No row with an earlier time is to come; null before the first mark. */
  readonly watermarkUs: bigint | null
  /** The highest high mark so far: what a flush goes by (S6). */
  readonly highMarkUs: bigint | null
}

export const beginning: WatermarkState = { watermarkUs: null, highMarkUs: null }

export type WatermarkEntry =
  | { readonly is: 'object'; readonly highMarkUs: bigint | null }
  | { readonly is: 'tick' | 'flush'; readonly watermarkUs: bigint }

/** After this entry. The watermark never falls. Without a delay only ticks and flushes move it. */
export function advance(state: WatermarkState, entry: WatermarkEntry, delayUs: bigint | undefined): WatermarkState {
  if (entry.is !== 'object') return { ...state, watermarkUs: larger(state.watermarkUs, entry.watermarkUs) }
  if (entry.highMarkUs === null) return state
  return {
    watermarkUs: delayUs === undefined ? state.watermarkUs : larger(state.watermarkUs, entry.highMarkUs - delayUs),
    highMarkUs: larger(state.highMarkUs, entry.highMarkUs),
  }
}

function larger(a: bigint | null, b: bigint): bigint {
  return a === null || b > a ? b : a
}
