/**
 * Trips with their payments over months, one object of each an epoch, beside DuckDB's one batch query over the same
 * files: rows a second and their ratio, peak memory, and what is left of state, as months grow. Each side is a process
 * of its own, and both must give the same rows.
 *
 *     node bench/joins.ts [ROWS_PER_MONTH]
 *     node bench/joins.ts skewed [ROWS [PARTNERS]]    one key with so many rows on both sides, each with so many partners
 *     node bench/joins.ts updates [ROWS_PER_MONTH]    hourly sums as they change, over 3, 12 and 48 months
 */
import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join as path } from 'node:path'
import { performance } from 'node:perf_hooks'
import { promisify } from 'node:util'
import { makeMonths } from './months.ts'
import { plainQuery } from './plain-query.ts'

const [first, ...rest] = process.argv.slice(2)
const memory = '1GB'
const skewedMemory = '512MB'

interface Cost {
  readonly seconds: number
  /** Suffers less from what else the machine does. */
  readonly cpuSeconds: number
  readonly peakMb: number
  /** Rows of state and bytes of its files, before the flush. */
  readonly state?: { readonly rows: number; readonly bytes: number }
  /** What the run failed with. */
  readonly failure?: string
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

/** A trip in ten is never paid; a payment comes up to 110 minutes later, so some lie in the next month. */
async function makePaid(folder: string, months: number, rowsPerMonth: number): Promise<void> {
  for (const name of ['trips', 'payments']) await mkdir(path(folder, name), { recursive: true })
  const queries = Array.from({ length: months }, (_, month) => {
    const [from, to] = [month, month + 1].map(
      at => `TIMESTAMP '${new Date(Date.UTC(2020, at)).toISOString().slice(0, 19)}'`,
    )
    const rows = `range(${month * rowsPerMonth}, ${(month + 1) * rowsPerMonth}) AS r(i)`
    const name = new Date(Date.UTC(2020, month)).toISOString().slice(0, 7)
    const at = `${from} + to_seconds(CAST(hash(i) % CAST(epoch(${to} - ${from}) AS UBIGINT) AS BIGINT))`
    const copy = (side: string, query: string) =>
      `COPY (${query}) TO '${path(folder, side)}/${side}_${name}.parquet' (FORMAT parquet, COMPRESSION zstd)`
    return [
      copy('trips', `SELECT ${at} AS at, i AS trip, CAST(hash(i + 7) % 10000 AS BIGINT) AS fare FROM ${rows}`),
      copy(
        'payments',
        `SELECT ${at} + to_seconds(CAST(hash(i + 1) % 6600 AS BIGINT)) AS paid_at, i AS trip, ` +
          `CAST(hash(i + 9) % 10000 AS BIGINT) AS paid FROM ${rows} WHERE hash(i + 3) % 10 > 0`,
      ),
    ]
  })
  await plainQuery(...queries.flat())
}

async function paidFlow(folder: string, within: readonly [`${number}ms`, `${number}ms`], delay: '1 day' | '0s') {
  const { files, join, parquet, pipeline, source, to } = await import('../src/index.ts')
  const trips = source('trips', {
    objects: path(folder, 'trips'),
    format: parquet(),
    columns: { at: 'TIMESTAMP NOT NULL', trip: 'BIGINT NOT NULL', fare: 'BIGINT NOT NULL' },
    time: 'at',
    watermark: { delay },
  })
  const payments = source('payments', {
    objects: path(folder, 'payments'),
    format: parquet(),
    columns: { paid_at: 'TIMESTAMP NOT NULL', trip: 'BIGINT NOT NULL', paid: 'BIGINT NOT NULL' },
    time: 'paid_at',
    watermark: { delay },
  })
  return pipeline(
    'paid',
    { checkpoint: path(folder, 'checkpoint') },
    trips.pipe(
      join(payments, { on: ['trip'], within, kind: 'left' }),
      to(files(path(folder, 'output'), { format: 'parquet' })),
    ),
  )
}

async function own(folder: string): Promise<void> {
  const { backfill, inspect } = await import('../src/index.ts')
  const flow = await paidFlow(folder, ['0ms', '7200000ms'], '1 day')
  const taken = await seconds(() => backfill(flow, { objectsPerEpoch: 2, memory, flush: false }))
  const { states, channels } = await inspect(path(folder, 'checkpoint'))
  const bytes = channels.filter(({ name }) => name.startsWith('segment-')).reduce((all, part) => all + part.bytes, 0)
  const flushed = await seconds(() => backfill(flow, { memory }))
  const state = { rows: states.reduce((all, { rows }) => all + rows, 0), bytes }
  console.log(JSON.stringify({ seconds: taken + flushed, ...used(), state } satisfies Cost))
}

const batchSql = (folder: string, hi: string) =>
  `SELECT t."at", t.trip, t.fare, p.paid_at, p.paid FROM read_parquet('${folder}/trips/*.parquet') AS t
   LEFT JOIN read_parquet('${folder}/payments/*.parquet') AS p
   ON t.trip = p.trip AND p.paid_at BETWEEN t."at" AND t."at" + INTERVAL ${hi}`

async function plain(folder: string): Promise<void> {
  const took = await seconds(() =>
    plainQuery(
      `SET memory_limit = '${memory}'`,
      `COPY (${batchSql(folder, '2 HOUR')} ORDER BY ALL) TO '${path(folder, 'plain.parquet')}' (FORMAT parquet, COMPRESSION zstd)`,
    ),
  )
  console.log(JSON.stringify({ seconds: took, ...used() } satisfies Cost))
}

/** Fails where the sides have other rows. No row is late. */
async function compareSides(folder: string): Promise<void> {
  const rows = (place: string) => `(SELECT "at", trip, fare, paid_at, paid FROM read_parquet('${place}'))`
  const [output, batch] = [rows(path(folder, 'output/*.parquet')), rows(path(folder, 'plain.parquet'))]
  const others = (left: string, right: string) => `(SELECT count(*) FROM (FROM ${left} EXCEPT ALL FROM ${right}))`
  await plainQuery(
    `SELECT CASE WHEN ${others(output, batch)} + ${others(batch, output)} > 0 THEN error('the sides differ') END`,
  )
}

const shown = ({ seconds: all, cpuSeconds, peakMb }: Cost, rows: number) =>
  `${all.toFixed(1)} s, ${Math.round(rows / all / 1000).toLocaleString('en')} thousand rows/s, ` +
  `CPU ${cpuSeconds.toFixed(1)} s, peak ${peakMb.toFixed(0)} MB`

async function inFolder(work: (folder: string) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(path(tmpdir(), 'millrace-bench-'))
  try {
    await work(folder)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

async function compare(rowsPerMonth: number): Promise<void> {
  console.log(
    `${rowsPerMonth.toLocaleString('en')} trips a month, and payments for nine in ten of them, within two hours`,
  )
  for (const months of [3, 12, 48])
    await inFolder(async folder => {
      await makePaid(folder, months, rowsPerMonth)
      const batch = await child('plain', folder)
      const { state, ...stream } = await child('own', folder)
      await compareSides(folder)
      const rows = months * rowsPerMonth * 1.9
      console.log(
        `${String(months).padStart(2)} months   plain ${shown(batch, rows)}   backfill ${shown(stream, rows)}   ` +
          `${(stream.seconds / batch.seconds).toFixed(2)} times, by CPU ${(stream.cpuSeconds / batch.cpuSeconds).toFixed(2)}   ` +
          `state ${state?.rows.toLocaleString('en')} rows, ${((state?.bytes ?? 0) / 1e6).toFixed(2)} MB`,
      )
    })
}

/** All rows have one key, ten milliseconds apart on each side. */
async function ownSkewed(folder: string, partners: string): Promise<void> {
  const { backfill } = await import('../src/index.ts')
  const flow = await paidFlow(folder, ['0ms', `${10 * (Number(partners) - 1)}ms`], '0s')
  let failure: string | undefined
  const took = await seconds(() =>
    backfill(flow, { memory: skewedMemory }).catch((error: unknown) => {
      failure = String(error)
    }),
  )
  console.log(
    JSON.stringify({ seconds: took, ...used(), ...(failure === undefined ? {} : { failure }) } satisfies Cost),
  )
}

async function skewed(rows: number, partners: number): Promise<void> {
  await inFolder(async folder => {
    for (const [name, time, value] of [
      ['trips', 'at', 'fare'],
      ['payments', 'paid_at', 'paid'],
    ] as const) {
      await mkdir(path(folder, name), { recursive: true })
      await plainQuery(
        `COPY (SELECT TIMESTAMP '2024-01-01' + to_milliseconds(i * 10) AS ${time}, CAST(1 AS BIGINT) AS trip, i AS ${value} ` +
          `FROM range(${rows}) AS r(i)) TO '${path(folder, name)}/rows.parquet' (FORMAT parquet, COMPRESSION zstd)`,
      )
    }
    const { failure, ...cost } = await child('own-skewed', folder, String(partners))
    const what = `one key, ${rows.toLocaleString('en')} rows on both sides, ${partners.toLocaleString('en')} partners each`
    console.log(
      `${what}, memory ${skewedMemory}: ${shown(cost, 2 * rows)}${failure === undefined ? '' : `\n  ${failure}`}`,
    )
  })
}

async function ownUpdates(folder: string): Promise<void> {
  const { aggregate, backfill, count, files, groupBy, inspect, parquet, pipeline, source, sum, to, tumbling } =
    await import('../src/index.ts')
  const trips = source('trips', {
    objects: path(folder, 'input'),
    format: parquet(),
    columns: {
      at: 'TIMESTAMP NOT NULL FROM tpep_pickup_datetime',
      zone: 'BIGINT FROM PULocationID',
      amount: 'DOUBLE FROM total_amount',
    },
    time: 'at',
    watermark: { delay: '1 day' },
  })
  const flow = pipeline(
    'updates',
    { checkpoint: path(folder, 'checkpoint') },
    trips.pipe(
      tumbling('1 hour'),
      groupBy('zone'),
      aggregate({ trips: count(), revenue: sum('amount') }),
      to(files(path(folder, 'output'), { format: 'parquet' }), { emit: 'update' }),
    ),
  )
  const took = await seconds(() => backfill(flow, { objectsPerEpoch: 1, memory, flush: false }))
  const { states, channels } = await inspect(path(folder, 'checkpoint'))
  const bytes = channels.filter(({ name }) => name.startsWith('segment-')).reduce((all, part) => all + part.bytes, 0)
  const state = { rows: states.reduce((all, { rows }) => all + rows, 0), bytes }
  console.log(JSON.stringify({ seconds: took, ...used(), state } satisfies Cost))
}

async function updates(rowsPerMonth: number): Promise<void> {
  console.log(`${rowsPerMonth.toLocaleString('en')} trips a month, hourly by zone, what each epoch changes`)
  for (const months of [3, 12, 48])
    await inFolder(async folder => {
      await makeMonths(path(folder, 'input'), months, rowsPerMonth)
      const { state, ...cost } = await child('own-updates', folder)
      const left = `state ${state?.rows.toLocaleString('en')} rows, ${((state?.bytes ?? 0) / 1e6).toFixed(2)} MB`
      console.log(`${String(months).padStart(2)} months   ${shown(cost, months * rowsPerMonth)}   ${left}`)
    })
}

const [one = '', two = ''] = rest
if (first === 'own') await own(one)
else if (first === 'plain') await plain(one)
else if (first === 'own-skewed') await ownSkewed(one, two)
else if (first === 'own-updates') await ownUpdates(one)
else if (first === 'skewed') await skewed(Number(one || 1_000_000), Number(two || 10))
else if (first === 'updates') await updates(Number(one || 200_000))
else await compare(Number(first ?? 200_000))
