import { type Duration, durationUs } from '../core/duration.ts'
import { configError } from '../core/errors.ts'

/** When a mini-batch is full. An epoch holds whole objects, at least one. No limit changes an answer (law 1). */
export interface MiniBatchOptions {
  /** Objects in one mini-batch. Default 1,000. */
  readonly objectsMax?: number
  /** Bytes of objects in one mini-batch, unless a single object is larger. Default 256 MiB. */
  readonly bytesMax?: number
  /** Rows in one mini-batch, unless a single object has more. Default: no limit. */
  readonly rowsMax?: number
  /** Live only: how long after its first object a mini-batch that is not full is closed. Default '10 seconds'. */
  readonly every?: Duration
}

export interface MiniBatchLimits {
  readonly objectsMax: number
  readonly bytesMax: number
  readonly rowsMax: number
  readonly everyMs: number
}

export const miniBatchDefaults = {
  objectsMax: 1_000,
  bytesMax: 256 * 1024 * 1024,
  rowsMax: Number.MAX_SAFE_INTEGER,
  every: '10 seconds',
} as const

/** The options with their defaults, or an error that names the field. */
export function miniBatchLimits(options: MiniBatchOptions, field: string): MiniBatchLimits {
  const { every, ...limits } = { ...miniBatchDefaults, ...options }
  for (const [name, value] of Object.entries(limits)) {
    if (!(name in miniBatchDefaults))
      throw configError(`${field}.${name}`, value, Object.keys(miniBatchDefaults).join(' or '))
    if (!Number.isSafeInteger(value) || value < 1)
      throw configError(`${field}.${name}`, value, 'a whole number above zero')
  }
  return { ...limits, everyMs: Number(durationUs(every, `${field}.every`) / 1000n) }
}
