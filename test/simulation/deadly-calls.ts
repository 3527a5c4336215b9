import type { ObjectStore } from '../../src/core/ports.ts'
import { backfillWith } from '../../src/engine/backfill.ts'
import type { Components } from '../../src/engine/components.ts'
import { aggregate, count, groupBy, parquet, type Pipeline, source, sum, tumbling, where } from '../../src/index.ts'

/** Of what a process of a test calls outside: at one of these calls it ends by SIGKILL. */
export interface DeadlyCalls {
  around<T>(call: () => Promise<T>): Promise<T>
  /** Every reading, writing and deleting of this store is such a call. */
  store(store: ObjectStore): ObjectStore
  /** How many there were so far. */
  readonly count: number
}

/** @param killAt number of the call, as text; 0: none. @param when `before` it, `after` it, or `during` it */
export function deadlyCalls(killAt: string, when: string | undefined): DeadlyCalls {
  const die = () => process.kill(process.pid, 'SIGKILL')
  let count = 0
  async function around<T>(call: () => Promise<T>): Promise<T> {
    const isLast = ++count === Number(killAt)
    if (isLast && when === 'before') die()
    // The call is on its way, and nobody waits for the answer.
    if (isLast && when === 'during') setImmediate(die)
    const result = await call()
    if (isLast) die()
    return result
  }
  return {
    around,
    store: store => ({
      ...store,
      get: (...args) => around(() => store.get(...args)),
      put: (...args) => around(() => store.put(...args)),
      delete: keys => around(() => store.delete(keys)),
    }),
    get count() {
      return count
    },
  }
}

/** What tells the results of `latestOf` apart. */
export const latestKey = ['window_start', 'k'] as const

/** The two flows over the objects of `openKilledDays`: some rows as they are, and results that change. */
export function flowsOver(objects: string) {
  const days = source('days', {
    objects,
    format: parquet(),
    columns: { t: 'TIMESTAMP NOT NULL', k: 'BIGINT', n: 'BIGINT NOT NULL' },
    time: 't',
    watermark: { delay: '1 day' },
  })
  return {
    plain: days.pipe(where('n % 2 = 0')),
    latest: days.pipe(
      tumbling('1 day'),
      groupBy('k'),
      aggregate({ rows: count(), total: sum('n') }),
      where('total <> 0'),
    ),
  }
}

/** One life of a process: a backfill to its end, or to the call at which it dies. Prints how many calls there were. */
export async function liveThrough(components: Components, deadly: Pipeline, calls: DeadlyCalls): Promise<void> {
  await backfillWith(components, deadly, { objectsPerEpoch: 1, threads: 1, memory: '300MB', takeover: true })
  console.log(calls.count)
}
