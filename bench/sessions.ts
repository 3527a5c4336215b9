/**
 * Sessions of riders over months, one object an epoch, beside DuckDB's one batch query over the same files: time and its
 * ratio, peak memory and what is left of state, as months grow. Each side is a process of its own. With one machine that
 * reports every ten minutes and so never ends its session, and without.
 *
 *     node bench/sessions.ts [ROWS_PER_MONTH [OBJECTS_PER_MONTH]]
 */
import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { performance } from 'node:perf_hooks'
import { promisify } from 'node:util'
import { plainQuery } from './plain-query.ts'

const [first, ...rest] = process.argv.slice(2)
const memory = '1GB'
const riders = 20_000

interface Cost {
  readonly seconds: number
  /** Suffers less from what else the machine does. */
  readonly cpuSeconds: number
  readonly peakMb: number
  /** Rows of state and bytes of its files, before the flush. */
  readonly state?: { readonly rows: number; readonly bytes: number }
}

const seconds = async (work: () => Promise<unknown>) => {
  const started = performance.now()
  await work()
  return (performance.now() - started) / 1000
}
const used = () => {
  const { userCPUTime, systemCPUTime, maxRSS } = process.resourceUsage()
  return { cpuSeconds: (userCPUTime + systemCPUTime) / 1e6, peakMb: maxRSS / 1024 }
}

async function child(...args: readonly string[]): Promise<Cost> {
  const { stdout } = await promisify(execFile)(process.execPath, [import.meta.filename, ...args])
  return JSON.parse(stdout) as Cost
}

interface RideOptions {
  readonly months: number
  readonly rowsPerMonth: number
  readonly objectsPerMonth: number
  /** With a machine that reports every ten minutes. */
  readonly isEndless: boolean
}

/** Riders ride four times within about an hour, now and then. */
async function makeRides(input: string, options: RideOptions): Promise<void> {
  const { months, rowsPerMonth, objectsPerMonth, isEndless } = options
  await mkdir(input, { recursive: true })
  const startOf = (object: number) => {
    const [month, part] = [Math.floor(object / objectsPerMonth), object % objectsPerMonth]
    const [from, to] = [Date.UTC(2020, month), Date.UTC(2020, month + 1)]
    return from + Math.round(((to - from) / objectsPerMonth / 1000) * part) * 1000
  }
  const rows = Math.round(rowsPerMonth / objectsPerMonth)
  await plainQuery(
    ...Array.from({ length: months * objectsPerMonth }, (_, object) => {
      const [from, to] = [startOf(object), startOf(object + 1)]
      const at = (ms: number) => `TIMESTAMP '${new Date(ms).toISOString().slice(0, 19)}'`
      const rides = `SELECT ${at(from)} + to_seconds(CAST(hash(i // 4) % ${(to - from) / 1000 - 4000} + hash(i) % 4000 AS BIGINT)) AS t,
          CAST(hash(i // 4 + 1) % ${riders} AS BIGINT) AS rider, CAST(hash(i + 7) % 10000 AS BIGINT) AS cents
        FROM range(${object * rows}, ${(object + 1) * rows}) AS r(i)`
      const machine = `SELECT unnest(range(${at(from)}, ${at(to)}, INTERVAL 10 MINUTE)) AS t, -1 AS rider, 1 AS cents`
      const name = `rides_${new Date(from).toISOString().slice(0, 10)}.parquet`
      return (
        `COPY (${rides}${isEndless ? ` UNION ALL ${machine}` : ''}) ` +
        `TO '${join(input, name)}' (FORMAT parquet, COMPRESSION zstd)`
      )
    }),
  )
}

async function own(folder: string): Promise<void> {
  const { aggregate, backfill, count, files, groupBy, inspect, parquet, pipeline, session, source, sum, to } =
    await import('../src/index.ts')
  const rides = source('rides', {
    objects: join(folder, 'input'),
    format: parquet(),
    columns: { t: 'TIMESTAMP NOT NULL', rider: 'BIGINT NOT NULL', cents: 'BIGINT NOT NULL' },
    time: 't',
    watermark: { delay: '1 day' },
  })
  const flow = pipeline(
    'sessions',
    { checkpoint: join(folder, 'checkpoint') },
    rides.pipe(
      session('30 minutes'),
      groupBy('rider'),
      aggregate({ rides: count(), cents: sum('cents') }),
      to(files(join(folder, 'output'), { format: 'parquet' })),
    ),
  )
  const taken = await seconds(() => backfill(flow, { objectsPerEpoch: 1, memory, flush: false }))
  const { states, channels } = await inspect(join(folder, 'checkpoint'))
  const bytes = channels.filter(({ name }) => name.startsWith('segment-')).reduce((all, part) => all + part.bytes, 0)
  const flushed = await seconds(() => backfill(flow, { memory }))
  const cost: Cost = {
    seconds: taken + flushed,
    ...used(),
    state: { rows: states.reduce((all, { rows }) => all + rows, 0), bytes },
  }
  console.log(JSON.stringify(cost))
}

async function plain(folder: string): Promise<void> {
  const took = await seconds(() =>
    plainQuery(
      `SET memory_limit = '${memory}'`,
      `COPY (WITH begun AS (
          SELECT *, CASE WHEN t - lag(t) OVER (PARTITION BY rider ORDER BY t) < INTERVAL 30 MINUTE THEN 0 ELSE 1 END AS begins
          FROM read_parquet('${join(folder, 'input')}/*.parquet')),
        numbered AS (SELECT *, sum(begins) OVER (PARTITION BY rider ORDER BY t ROWS UNBOUNDED PRECEDING) AS session FROM begun)
        SELECT min(t) AS window_start, max(t) + INTERVAL 30 MINUTE AS window_end, rider, count(*) AS rides, sum(cents) AS cents
        FROM numbered GROUP BY rider, session ORDER BY ALL)
        TO '${join(folder, 'plain.parquet')}' (FORMAT parquet, COMPRESSION zstd)`,
    ),
  )
  console.log(JSON.stringify({ seconds: took, ...used() } satisfies Cost))
}

/** Fails where the sides have other sessions. No row is late. */
async function compareSides(folder: string): Promise<void> {
  const columns = 'window_start, window_end, rider, rides, cents::HUGEINT AS cents'
  const sessions = (path: string) => `(SELECT ${columns} FROM read_parquet('${path}'))`
  const [output, batch] = [sessions(join(folder, 'output/*.parquet')), sessions(join(folder, 'plain.parquet'))]
  const others = (left: string, right: string) => `(SELECT count(*) FROM (FROM ${left} EXCEPT ALL FROM ${right}))`
  await plainQuery(
    `SELECT CASE WHEN ${others(output, batch)} + ${others(batch, output)} > 0 THEN error('the sides differ') END`,
  )
}

const shown = ({ seconds: all, cpuSeconds, peakMb }: Cost) =>
  `${all.toFixed(1)} s, CPU ${cpuSeconds.toFixed(1)} s, peak ${peakMb.toFixed(0)} MB`

async function compare(rowsPerMonth: number, objectsPerMonth: number): Promise<void> {
  console.log(
    `${rowsPerMonth.toLocaleString('en')} rides a month in ${objectsPerMonth} objects, sessions of ${riders.toLocaleString('en')} riders`,
  )
  for (const isEndless of [false, true])
    for (const months of [3, 12, 48]) {
      const folder = await mkdtemp(join(tmpdir(), 'millrace-bench-'))
      try {
        await makeRides(join(folder, 'input'), { months, rowsPerMonth, objectsPerMonth, isEndless })
        const batch = await child('plain', folder)
        const { state, ...stream } = await child('own', folder)
        await compareSides(folder)
        console.log(
          `${String(months).padStart(2)} months${isEndless ? ', one session without end' : ''}   ` +
            `plain ${shown(batch)}   backfill ${shown(stream)}   ` +
            `${(stream.seconds / batch.seconds).toFixed(2)} times, by CPU ${(stream.cpuSeconds / batch.cpuSeconds).toFixed(2)}   ` +
            `state ${state?.rows.toLocaleString('en')} rows, ${((state?.bytes ?? 0) / 1e6).toFixed(2)} MB`,
        )
      } finally {
        await rm(folder, { recursive: true, force: true })
      }
    }
}

if (first === 'own') await own(rest[0] ?? '')
else if (first === 'plain') await plain(rest[0] ?? '')
else await compare(Number(first ?? 200_000), Number(rest[0] ?? 1))
