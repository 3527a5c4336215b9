import type { Session } from '../duckdb/session.ts'
import { bytesOf } from './ahead-queue.ts'

/** One thread reads a mini-batch of so many bytes about as fast as several. */
const smallBytesMax = 1024 * 1024
/** Objects of a mean size up to this wait for JavaScript, which links and checks their files, and not for DuckDB. */
const objectBytesMax = 64 * 1024
/** What DuckDB hands a thread of a table: more threads find nothing to do in a table of no more rows. */
const smallRowsMax = 122_880
/** After so many small epochs in a row more of them are expected. */
const smallInARow = 8

interface Sized {
  readonly sizeBytes: number
}

const areSmall = (objects: readonly Sized[]) => bytesOf(objects) <= objects.length * objectBytesMax

/**
 * How many threads DuckDB works with. A small epoch is a dozen statements of a millisecond, and a large one of small
 * objects is many of them: more threads than one only wake and wait (docs/performance.md, "What an epoch costs"). No
 * result depends on it.
 */
export interface Parallelism {
  /** Before the objects of a mini-batch are read. */
  take(objects: readonly Sized[]): Promise<void>
  /** When it is committed. @param heldRows of the largest table of state */
  committed(objects: readonly Sized[], heldRows: number): Promise<void>
}

/** @param isEverSmall whether one thread is ever enough, whatever the size of an epoch */
export function createParallelism({ useThreads }: Pick<Session, 'useThreads'>, isEverSmall: boolean): Parallelism {
  let [small, isOne, isEnough] = [0, false, isEverSmall]
  async function use(one: boolean): Promise<void> {
    if (one === isOne) return
    isOne = one
    await useThreads(one ? 1 : 'all')
  }
  return {
    async take(objects) {
      if (bytesOf(objects) <= smallBytesMax) return
      const isOfSmall = isEnough && areSmall(objects)
      small = isOfSmall ? smallInARow : 0
      await use(isOfSmall)
    },
    async committed(objects, heldRows) {
      isEnough = isEverSmall && heldRows <= smallRowsMax
      const isSmall = bytesOf(objects) <= smallBytesMax || areSmall(objects)
      small = isEnough && isSmall ? small + 1 : 0
      await use(small >= smallInARow)
    },
  }
}
