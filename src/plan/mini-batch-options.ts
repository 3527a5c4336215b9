import { configError } from '../core/errors.ts'

/** When a mini-batch is full. An epoch holds whole objects, at least one. */
export interface MiniBatchOptions {
  /** Objects in one mini-batch. Default 1,000. */
  readonly objectsMax?: number
  /** Bytes of objects in one mini-batch, unless a single object is larger. Default 256 MiB. */
  readonly bytesMax?: number
}

export const miniBatchDefaults = { objectsMax: 1_000, bytesMax: 256 * 1024 * 1024 } as const

/** The options with their defaults, or an error that names the field. */
export function miniBatchLimits(options: MiniBatchOptions, field: string): { objectsMax: number; bytesMax: number } {
  const limits = { ...miniBatchDefaults, ...options }
  for (const [name, value] of Object.entries(limits)) {
    if (!(name in miniBatchDefaults)) throw configError(`${field}.${name}`, value, 'objectsMax or bytesMax')
    if (!Number.isSafeInteger(value) || value < 1)
      throw configError(`${field}.${name}`, value, 'a whole number above zero')
  }
  return limits
}
