/**
 * The same step as SQL and as functions of TypeScript, over the same files: whole backfills in one process, all sides
 * in turn, the best of several rounds, and their ratio to SQL.
 *
 *     node bench/rows.ts [MONTHS ROWS_PER_MONTH ROUNDS]
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { cpus, tmpdir } from 'node:os'
import { join } from 'node:path'
import { performance } from 'node:perf_hooks'
import { makeVector, Table } from 'apache-arrow'
import {
  aggregate,
  backfill,
  count,
  derive,
  files,
  filterRows,
  groupBy,
  mapBatches,
  mapRows,
  max,
  parquet,
  pipeline,
  select,
  source,
  to,
  tumbling,
  where,
} from '../src/index.ts'
import { makeMonths } from './months.ts'

const [months = 2, rowsPerMonth = 1_000_000, rounds = 3] = process.argv.slice(2).map(Number)
const folder = await mkdtemp(join(tmpdir(), 'millrace-rows-'))
const input = join(folder, 'input')
const [output, checkpoint] = [join(folder, 'output'), join(folder, 'checkpoint')]

const at = 'tpep_pickup_datetime'
const columns = {
  [at]: 'TIMESTAMP NOT NULL',
  PULocationID: 'BIGINT',
  total_amount: 'DOUBLE',
  trip_distance: 'DOUBLE',
} as const
const trips = source('trips', {
  objects: input,
  format: parquet(),
  columns,
  time: at,
  watermark: { delay: '1 day', bounds: 'yellow_tripdata_{yyyy}-{MM}' },
})
const result = { [at]: 'TIMESTAMP NOT NULL', PULocationID: 'BIGINT', km: 'DOUBLE' } as const

const kept = trips.pipe(where('trip_distance > 1'))
const sides = {
  'where in SQL': kept,
  filterRows: trips.pipe(filterRows(({ trip_distance }) => trip_distance !== null && trip_distance > 1)),
  'derive in SQL': trips.pipe(derive({ km: ['DOUBLE', 'trip_distance * 1.609344'] }), select(at, 'PULocationID', 'km')),
  mapRows: trips.pipe(
    select(at, 'PULocationID', 'trip_distance'),
    mapRows(row => ({ ...row, km: row.trip_distance === null ? null : row.trip_distance * 1.609344 }), result),
  ),
  mapBatches: trips.pipe(
    select(at, 'PULocationID', 'trip_distance'),
    mapBatches(batch => {
      const miles = batch.getChild('trip_distance')
      const [time, zone] = [batch.getChild(at), batch.getChild('PULocationID')]
      if (!miles || !time || !zone) throw new Error('a column is missing')
      const km = Float64Array.from(miles.toArray(), distance => distance * 1.609344)
      return new Table({ tpep_pickup_datetime: time, PULocationID: zone, km: makeVector(km) })
    }, result),
  ),
} as const
const measures = {
  'where in SQL': 'trip_distance',
  filterRows: 'trip_distance',
  'derive in SQL': 'km',
  mapRows: 'km',
  mapBatches: 'km',
} as const

async function seconds(name: keyof typeof sides): Promise<number> {
  for (const path of [output, checkpoint]) await rm(path, { recursive: true, force: true })
  const flow = (sides[name] as typeof kept).pipe(
    tumbling('1 hour'),
    groupBy('PULocationID'),
    aggregate({ n: count(), farthest: max(measures[name] as 'trip_distance') }),
    to(files(output, { format: 'parquet' })),
  )
  const started = performance.now()
  await backfill(pipeline('rows', { checkpoint }, flow))
  return (performance.now() - started) / 1000
}

try {
  console.log(
    `${months} months of ${rowsPerMonth.toLocaleString('en')} rows, ${cpus().length} cores, best of ${rounds}`,
  )
  await makeMonths(input, months, rowsPerMonth)
  const names = Object.keys(sides) as (keyof typeof sides)[]
  const best = Object.fromEntries(names.map(name => [name, Infinity])) as Record<keyof typeof sides, number>
  for (let round = 0; round < rounds; round++)
    for (const name of names) best[name] = Math.min(best[name], await seconds(name))
  for (const name of names) {
    const sql = name === 'filterRows' || name === 'where in SQL' ? best['where in SQL'] : best['derive in SQL']
    const rowsPerSecond = Math.round((months * rowsPerMonth) / best[name])
    console.log(
      `${name.padEnd(16)} ${best[name].toFixed(2).padStart(6)} s   ` +
        `${(best[name] / sql).toFixed(2)} times   ${rowsPerSecond.toLocaleString('en')} rows/s`,
    )
  }
} finally {
  await rm(folder, { recursive: true, force: true })
}
