/**
 * Two shapes of work, each run in a process of its own: how peak memory follows the number of months (one object an
 * epoch), and how time follows the number of groups, beside DuckDB's plain query over the same file. CPU time is
 * printed too, as it suffers less from what else the machine does.
 *
 *     node bench/shapes.ts [ROWS]
 */
import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { performance } from 'node:perf_hooks'
import { promisify } from 'node:util'
import { makeMonths } from './months.ts'
import { plainQuery } from './plain-query.ts'

const [first, ...rest] = process.argv.slice(2)

interface Cost {
  readonly seconds: number
  readonly cpuSeconds: number
  readonly peakMb: number
}

async function cost(work: () => Promise<unknown>): Promise<void> {
  const started = performance.now()
  await work()
  const { userCPUTime, systemCPUTime, maxRSS } = process.resourceUsage()
  const found: Cost = {
    seconds: (performance.now() - started) / 1000,
    cpuSeconds: (userCPUTime + systemCPUTime) / 1e6,
    peakMb: maxRSS / 1024,
  }
  console.log(JSON.stringify(found))
}

async function child(...args: readonly string[]): Promise<Cost> {
  const { stdout } = await promisify(execFile)(process.execPath, [import.meta.filename, ...args])
  return JSON.parse(stdout) as Cost
}

async function months(folder: string): Promise<void> {
  const { backfill } = await import('../src/index.ts')
  const { loadPipeline } = await import('../src/cli/load-pipeline.ts')
  const pipeline = await loadPipeline(join(import.meta.dirname, 'pipeline.ts'))
  const places = {
    input: join(folder, 'input'),
    output: join(folder, 'output'),
    checkpoint: join(folder, 'checkpoint'),
  }
  await cost(() => backfill(pipeline, { ...places, objectsPerEpoch: 1, memory: '1GB' }))
}

async function groups(folder: string): Promise<void> {
  const { backfill } = await import('../src/index.ts')
  const { perDay } = await import('./per-day.ts')
  await cost(() => backfill(perDay(folder)))
}

async function compare(rows: number): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'millrace-bench-'))
  try {
    for (const count of [3, 12, 48]) {
      const place = join(folder, `months-${count}`)
      await makeMonths(join(place, 'input'), count, rows / 10)
      const { seconds, cpuSeconds, peakMb } = await child('months', place)
      console.log(
        `${count} months   ${seconds.toFixed(1)} s, CPU ${cpuSeconds.toFixed(1)} s, peak ${peakMb.toFixed(0)} MB`,
      )
    }
    for (const count of [30, 3_000, 200_000]) {
      const place = join(folder, `groups-${count}`)
      await mkdir(join(place, 'input'), { recursive: true })
      const file = join(place, 'input', 'rows.parquet')
      await plainQuery(
        `COPY (SELECT TIMESTAMP '2024-01-01' + to_seconds(i % 80000) AS t, ` +
          `CAST(hash(i) % ${count} AS BIGINT) AS k, (hash(i + 1) % 10000) / 100 AS v ` +
          `FROM range(${rows}) AS r(i)) TO '${file}' (FORMAT parquet, COMPRESSION zstd)`,
      )
      const plain = await child('plain', file, join(place, 'plain.parquet'))
      const own = await child('groups', place)
      console.log(
        `${count.toLocaleString('en')} groups   plain ${plain.seconds.toFixed(2)} s, ` +
          `CPU ${plain.cpuSeconds.toFixed(2)} s   ` +
          `backfill ${own.seconds.toFixed(2)} s, CPU ${own.cpuSeconds.toFixed(2)} s   ` +
          `${(own.seconds / plain.seconds).toFixed(2)} times, by CPU ${(own.cpuSeconds / plain.cpuSeconds).toFixed(2)}`,
      )
    }
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

if (first === 'months') await months(rest[0] ?? '')
else if (first === 'groups') await groups(rest[0] ?? '')
else if (first === 'plain')
  await cost(() =>
    plainQuery(
      `COPY (SELECT date_trunc('day', t) AS d, k, count(*) AS n, sum(v) AS total FROM read_parquet('${rest[0]}') ` +
        `GROUP BY ALL ORDER BY ALL) TO '${rest[1]}' (FORMAT parquet, COMPRESSION zstd)`,
    ),
  )
else await compare(Number(first ?? 5_000_000))
