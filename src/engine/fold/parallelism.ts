import type { Session } from '../duckdb/session.ts'

/** One thread reads a mini-batch of so many bytes about as fast as several. */
const smallBytesMax = 1024 * 1024
/** What DuckDB hands a thread of a table: more threads find nothing to do in a table of no more rows. */
const smallRowsMax = 122_880
/** After so many small epochs in a row more of them are expected. */
const smallInARow = 8

/**
 * How many threads DuckDB works with. A small epoch is a dozen statements of a millisecond, and more threads than one
 * only wake and wait: docs/performance.md, "What an epoch costs". No result depends on it.
 */
export interface Parallelism {
  /** Before a mini-batch of so many bytes is read. */
  take(bytes: number): Promise<void>
  /** When it is committed. @param heldRows of the largest table of state */
  committed(bytes: number, heldRows: number): Promise<void>
}

/** @param isEverSmall whether one thread is ever enough, whatever the size of an epoch */
export function createParallelism({ useThreads }: Pick<Session, 'useThreads'>, isEverSmall: boolean): Parallelism {
  let [small, isOne] = [0, false]
  async function use(one: boolean): Promise<void> {
    if (one === isOne) return
    isOne = one
    await useThreads(one ? 1 : 'all')
  }
  return {
    async take(bytes) {
      if (bytes <= smallBytesMax) return
      small = 0
      await use(false)
    },
    async committed(bytes, heldRows) {
      small = isEverSmall && bytes <= smallBytesMax && heldRows <= smallRowsMax ? small + 1 : 0
      await use(small >= smallInARow)
    },
  }
}
