/** Real months of green trips beside the table of zones, which changes between two epochs. */
import { copyFile, mkdir, readFile, writeFile } from 'node:fs/promises'
import { join as pathOf } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import {
  aggregate,
  count,
  csv,
  derive,
  files,
  groupBy,
  join,
  lookup,
  parquet,
  pipeline,
  source,
  sum,
  to,
  tumbling,
  verify,
} from '../../src/index.ts'
import { sharedData } from '../shared-data.ts'
import { type Lab, openLab, quoted, run } from './harness.ts'

const tlc = sharedData('tlc')
let lab: Lab
beforeEach(async () => {
  lab = await openLab()
})
afterEach(() => lab[Symbol.asyncDispose]())

const at = (name: string) => pathOf(lab.root, name)
const month = (name: string) => `green_tripdata_${name}.parquet`
const bring = (name: string) => copyFile(pathOf(tlc.path, month(name)), pathOf(lab.input, month(name)))

const byBorough = () => {
  const trips = source('trips', {
    objects: lab.input,
    format: parquet(),
    columns: {
      at: 'TIMESTAMP NOT NULL FROM lpep_pickup_datetime',
      zone: 'BIGINT FROM PULocationID',
      total: 'DOUBLE FROM total_amount',
    },
    time: 'at',
    // No row of these months is late: all of them are compared.
    watermark: { delay: '10000 days', bounds: 'green_tripdata_{yyyy}-{MM}' },
  })
  const zones = lookup('zones', {
    objects: at('zones.csv'),
    format: csv(),
    columns: { id: 'BIGINT NOT NULL FROM LocationID', borough: 'VARCHAR FROM Borough' },
    key: ['id'],
  })
  return pipeline(
    'by-borough',
    { checkpoint: lab.checkpoint },
    trips.pipe(
      join(zones, { on: { zone: 'id' }, kind: 'left' }),
      derive({ cents: ['DECIMAL(18,2)', 'total'] }),
      tumbling('1 day'),
      groupBy('borough'),
      aggregate({ trips: count(), total: sum('cents') }),
      to(files(lab.output, { format: 'parquet' })),
    ),
  )
}

test.skipIf(!tlc.isThere)('each month meets the zones as they were when it was read', async () => {
  const zones = await readFile(pathOf(tlc.path, 'taxi_zone_lookup.csv'), 'utf8')
  const later = zones.replaceAll('Manhattan', 'New York County').replace(/^74,.*\n/m, '')
  await mkdir(at('versions'))
  await writeFile(at('versions/1.csv'), zones)
  await writeFile(at('versions/2.csv'), later)

  await copyFile(at('versions/1.csv'), at('zones.csv'))
  await bring('2022-01')
  await run(byBorough(), { flush: false })
  await copyFile(at('versions/2.csv'), at('zones.csv'))
  for (const name of ['2022-02', '2022-03']) await bring(name)
  const { totals } = await run(byBorough(), { final: true, objectsPerEpoch: 1 })
  expect(totals).toMatchObject({ objects: 3, late: 0, quarantined: 0 })

  const joined = (names: readonly string[], version: number) =>
    `SELECT date_trunc('day', lpep_pickup_datetime)::TIMESTAMP AS window_start, window_start + INTERVAL 1 DAY AS window_end, ` +
    `Borough AS borough, ` +
    `CAST(total_amount AS DECIMAL(18,2)) AS cents ` +
    `FROM read_parquet([${names.map(name => quoted(pathOf(lab.input, month(name)))).join(', ')}]) AS t ` +
    `LEFT JOIN read_csv(${quoted(at(`versions/${version}.csv`))}) AS z ON t.PULocationID = z.LocationID`
  const expected = await lab.sql(
    `SELECT window_start, window_end, borough, count(*) AS trips, sum(cents)::DECIMAL(38,2) AS total ` +
      `FROM (${joined(['2022-01'], 1)} UNION ALL ${joined(['2022-02', '2022-03'], 2)}) GROUP BY ALL`,
  )
  const found = await lab.rows()
  const sorted = (rows: readonly object[]) => rows.map(row => JSON.stringify(row)).toSorted()
  expect(sorted(found)).toEqual(sorted(expected))
  expect(new Set(found.map(({ borough }) => borough))).toContain('New York County')
  expect(await verify(byBorough())).toMatchObject({ differences: [] })
})
