import { describe, expect, test } from 'vitest'
import { openSession } from '../../src/engine/duckdb/session.ts'
import { createParallelism } from '../../src/engine/fold/parallelism.ts'

const objectsOf = (count: number, sizeBytes: number) => Array.from({ length: count }, () => ({ sizeBytes }))
const small = objectsOf(1, 100_000)
const large = objectsOf(1, 5_000_000)
const manySmall = objectsOf(1_000, 60_000)

function followed(isEverSmall = true) {
  const used: (1 | 'all')[] = []
  const parallelism = createParallelism({ useThreads: async count => void used.push(count) }, isEverSmall)
  return {
    used,
    async epochs(count: number, objects: typeof small, heldRows = 10) {
      for (let epoch = 0; epoch < count; epoch++) {
        await parallelism.take(objects)
        await parallelism.committed(objects, heldRows)
      }
    },
  }
}

describe('threads', () => {
  test('one after eight small epochs in a row; all before a large one is read', async () => {
    const { used, epochs } = followed()
    await epochs(7, small)
    await epochs(1, large)
    await epochs(7, small)
    expect(used).toEqual([])
    await epochs(20, small)
    expect(used).toEqual([1])
    await epochs(1, large)
    expect(used).toEqual([1, 'all'])
    await epochs(8, small)
    expect(used).toEqual([1, 'all', 1])
  })

  test('stay all while a large mini-batch is read, whatever small ones before it are committed', async () => {
    const used: (1 | 'all')[] = []
    const { take, committed } = createParallelism({ useThreads: async count => void used.push(count) }, true)
    for (let epoch = 0; epoch < 8; epoch++) await committed(small, 10)
    await take(large)
    await committed(small, 10)
    await committed(small, 10)
    expect(used).toEqual([1, 'all'])
  })

  test('one as soon as a large mini-batch of small objects is read, and all again with the next of large ones', async () => {
    const { used, epochs } = followed()
    await epochs(1, manySmall)
    expect(used).toEqual([1])
    await epochs(1, [...manySmall, ...objectsOf(1, 50_000_000)])
    expect(used).toEqual([1, 'all'])
    await epochs(1, manySmall)
    await epochs(2, small)
    expect(used).toEqual([1, 'all', 1])
  })

  test('all while a table of state has more than a row group, or a lookup may have', async () => {
    const { used, epochs } = followed()
    await epochs(20, small, 122_881)
    expect(used).toEqual([])
    await epochs(8, small, 122_880)
    await epochs(1, small, 122_881)
    expect(used).toEqual([1, 'all'])
    await epochs(1, manySmall, 122_881)
    await epochs(1, manySmall, 122_881)
    expect(used).toEqual([1, 'all'])
    const withLookup = followed(false)
    await withLookup.epochs(20, small)
    await withLookup.epochs(2, manySmall)
    expect(withLookup.used).toEqual([])
  })

  test('are changed beside statements, under a locked configuration; nothing else of it is', async () => {
    await using session = await opened()
    const { signal } = new AbortController()
    const threads = async () => {
      const [row] = await (await session.executor(signal)).rows(`SELECT current_setting('threads') AS n`)
      return Number(row?.n)
    }
    const executors = await Promise.all([1, 2, 3].map(() => session.executor(signal)))
    const sum = 'SELECT sum(hash(i) % 1000)::BIGINT AS s, count(*) AS n FROM range(300000) AS r(i)'
    const sums = await executors[0]?.rows(sum)
    const asked = executors.map(async executor => {
      for (let round = 0; round < 20; round++) {
        expect(await executor.rows(sum)).toEqual(sums)
        await executor.run(
          `CREATE OR REPLACE TEMP TABLE t AS SELECT i % 7 AS k, count(*) AS n FROM range(200000) AS r(i) GROUP BY 1`,
        )
        expect(await executor.rows('SELECT sum(n)::BIGINT AS n FROM t')).toEqual([{ n: 200_000n }])
      }
    })
    const changed = (async () => {
      for (let turn = 0; turn < 100; turn++) await session.useThreads(turn % 2 === 0 ? 1 : 'all')
    })()
    // Nothing may be asked any more when the session is closed.
    const settled = await Promise.allSettled([...asked, changed])
    expect(settled.filter(({ status }) => status === 'rejected')).toEqual([])
    expect(await threads()).toBe(3)
    await session.useThreads(1)
    expect(await threads()).toBe(1)
    const [executor] = executors
    for (const refused of [
      "SET GLOBAL memory_limit = '1GB'",
      'SET GLOBAL enable_external_access = true',
      "SET GLOBAL allowed_configs = ['memory_limit']",
    ])
      await expect(executor?.run(refused)).rejects.toThrow(/locked/)
  })
})

async function opened() {
  const session = await openSession({ threads: 3 })
  return { ...session, [Symbol.asyncDispose]: () => session.close() }
}
