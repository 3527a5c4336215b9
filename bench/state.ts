/**
 * State larger than memory: many keys in one open window under a memory limit; how long epochs take to take them in,
 * what lies in scratch, how long a start takes to load them, and what emission costs against the size of the state.
 *
 *     node bench/state.ts [KEYS_MAX [MEMORY]]
 */
import { mkdir, mkdtemp, readdir, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { performance } from 'node:perf_hooks'
import { backfill } from '../src/index.ts'
import { perDay } from './per-day.ts'
import { plainQuery } from './plain-query.ts'

const [keysMax = 10_000_000] = process.argv.slice(2, 3).map(Number)
const memory = process.argv[3] ?? '512MB'
const objects = 10
const folder = await mkdtemp(join(tmpdir(), 'millrace-bench-'))

/** Bytes of files under a folder, as they are now. */
async function bytesUnder(path: string): Promise<number> {
  let bytes = 0
  for (const entry of await readdir(path, { recursive: true, withFileTypes: true }).catch(() => []))
    if (entry.isFile()) bytes += (await stat(join(entry.parentPath, entry.name)).catch(() => ({ size: 0 }))).size
  return bytes
}

async function measure(keys: number): Promise<void> {
  const place = join(folder, String(keys))
  const input = join(place, 'input')
  await mkdir(input, { recursive: true })
  // Every key comes twice: in one object, and in the next one.
  await plainQuery(
    ...Array.from(
      { length: objects },
      (_, object) =>
        `COPY (SELECT TIMESTAMP '2024-01-01' + to_seconds(${object}) AS t, CAST(hash((i + ${object} * ${keys / objects}) % ${keys}) >> 2 AS BIGINT) AS k, i / 8 AS v
        FROM range(${(2 * keys) / objects}) AS r(i)) TO '${input}/o_${object}.parquet' (FORMAT parquet)`,
    ),
  )
  const counted = perDay(place)
  const spill = join(place, 'spill')
  let scratch = 0
  let rss = 0
  let isOver = false
  const watch = (async () => {
    while (!isOver) {
      scratch = Math.max(scratch, await bytesUnder(spill))
      rss = Math.max(rss, process.memoryUsage.rss())
      await new Promise(resolve => setTimeout(resolve, 200))
    }
  })()
  const timed = async (work: () => Promise<unknown>): Promise<number> => {
    const started = performance.now()
    await work()
    return (performance.now() - started) / 1000
  }
  const options = { objectsPerEpoch: 1, memory, spill }
  const taken = await timed(() => backfill(counted, { ...options, flush: false }))
  const loaded = await timed(() => backfill(counted, { ...options, flush: false }))
  // The same start, and then the flush.
  const flushed = await timed(() => backfill(counted, options))
  isOver = true
  await watch
  const mb = (bytes: number) => `${Math.round(bytes / 1e6).toLocaleString('en')} MB`
  console.log(
    `${keys.toLocaleString('en').padStart(12)} keys   take in ${taken.toFixed(1)} s   start ${loaded.toFixed(1)} s   ` +
      `emit ${(flushed - loaded).toFixed(1)} s (${(((flushed - loaded) * 1e6) / keys).toFixed(2)} us a key)   ` +
      `RSS ${mb(rss)}   scratch ${mb(scratch)}   checkpoint ${mb(await bytesUnder(join(place, 'checkpoint')))}`,
  )
  await rm(place, { recursive: true, force: true })
}

try {
  console.log(`one open window, two partial rows a key over ${objects} epochs, memory limit ${memory}`)
  for (const keys of [keysMax / 100, keysMax / 10, keysMax]) await measure(keys)
} finally {
  await rm(folder, { recursive: true, force: true })
}
