import { type Duration, durationUs } from '../core/duration.ts'
import { duration, whole } from '../core/option-kinds.ts'
import { type OptionTable, readOptions } from '../core/options.ts'

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

export const miniBatchOptions = {
  objectsMax: { kind: whole(1), default: 1_000, about: 'How many objects one mini-batch holds at most.' },
  bytesMax: {
    kind: whole(1),
    default: 256 * 1024 * 1024,
    unit: 'bytes',
    about: 'How many bytes of objects one mini-batch holds at most, unless a single object is larger.',
  },
  rowsMax: {
    kind: whole(1),
    default: Number.MAX_SAFE_INTEGER,
    about: 'How many rows one mini-batch holds at most, unless a single object has more.',
  },
  every: {
    kind: duration(),
    default: '10 seconds',
    about: 'Live only: how long after its first object a mini-batch that is not full is closed.',
  },
} satisfies OptionTable<MiniBatchOptions>

/** Of several sources the smallest of each limit: their objects share mini-batches. */
export function miniBatchOfAll(sources: Iterable<{ readonly miniBatch: MiniBatchOptions }>): MiniBatchOptions {
  const all = [...sources].map(({ miniBatch }) => miniBatch)
  const [only, ...others] = all
  if (only && others.length === 0) return only
  const limits = all.map(options => miniBatchLimits(options, 'miniBatch'))
  const least = (of: (one: MiniBatchLimits) => number) => Math.min(...limits.map(of))
  return {
    objectsMax: least(({ objectsMax }) => objectsMax),
    bytesMax: least(({ bytesMax }) => bytesMax),
    rowsMax: least(({ rowsMax }) => rowsMax),
    every: `${least(({ everyMs }) => everyMs)} milliseconds`,
  }
}

/** The options with their defaults, or an error that names `at` and the option. */
export function miniBatchLimits(options: MiniBatchOptions, at: string): MiniBatchLimits {
  const { every, ...limits } = readOptions(at, miniBatchOptions, options)
  return { ...limits, everyMs: Number(durationUs(every, `${at}: every`) / 1000n) }
}
