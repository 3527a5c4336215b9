import type { Backoff } from '../../src/core/backoff.ts'

/** Between tries of a queue or log that does not answer. */
export const pauses: Backoff = { firstMs: 200, mostMs: 5_000, byChance: 0.5 }
