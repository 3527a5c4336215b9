import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import {
  aggregate,
  count,
  dedupe,
  derive,
  files,
  groupBy,
  mapRows,
  parquet,
  pipeline,
  select,
  source,
  sum,
  to,
  tumbling,
  union,
  verify,
  where,
} from '../../src/index.ts'
import { type Lab, openLab, quoted, run } from './harness.ts'

let lab: Lab
beforeEach(async () => {
  lab = await openLab()
  for (let file = 0; file < 4; file++)
    await lab.parquet(
      `rides_${file}.parquet`,
      `SELECT TIMESTAMP '2024-01-01 00:00:00' + to_seconds(${file} * 21600 + i * 7919 % 21600) AS at,
        (i * 31 + ${file}) % 5 AS a, (i * 17) % 5 AS b, CAST(i % 9 AS INTEGER) AS fare FROM range(90) AS r(i)`,
    )
})
afterEach(() => lab[Symbol.asyncDispose]())

const rides = () =>
  source('rides', {
    objects: lab.input,
    format: parquet(),
    columns: { at: 'TIMESTAMP NOT NULL', a: 'BIGINT', b: 'BIGINT', fare: 'INTEGER' },
    time: 'at',
    watermark: { delay: '6 hours' },
  })
const all = () => `read_parquet(${quoted(join(lab.input, '*.parquet'))})`

/** Each ride where it began and where it ended; of the fare only those who got in pay. */
const places = () => {
  const all = rides()
  const from = all.pipe(derive({ zone: ['BIGINT', 'a'] }), select('at', 'zone', 'fare'))
  const until = all.pipe(where('b <> 3'), derive({ zone: ['BIGINT', 'b'] }), select('at', 'zone'))
  return union(from, until, { sourceColumn: 'from' })
}
const placesSql = () =>
  `SELECT "at", a AS zone, fare, 'rides' AS "from" FROM ${all()} UNION ALL SELECT "at", b, NULL, 'rides' FROM ${all()} WHERE b <> 3`

test('two branches of a source: windows over both, whatever the cut; a replay', async () => {
  const expected = await lab.sql(
    `SELECT time_bucket(INTERVAL 1 HOUR, "at") AS window_start, zone, count(*) AS n, count(fare) AS paid, CAST(sum(fare) AS DECIMAL(38,0)) AS fare
     FROM (${placesSql()}) GROUP BY ALL ORDER BY ALL`,
  )
  for (const objectsPerEpoch of [1, 4]) {
    const at = lab.place(`cut-${objectsPerEpoch}`)
    const flow = pipeline(
      'places',
      { checkpoint: at.checkpoint },
      places().pipe(
        tumbling('1 hour'),
        groupBy('zone'),
        aggregate({ n: count(), paid: count({ filter: 'fare is not null' }), fare: sum('fare') }),
        select('window_start', 'zone', 'n', 'paid', 'fare'),
        to(files(at.output, { format: 'parquet' })),
      ),
    )
    await run(flow, { objectsPerEpoch })
    expect(await lab.sql(`FROM ${outputOf(at.output)} ORDER BY ALL`)).toEqual(expected)
    expect((await verify(flow)).differences).toEqual([])
  }
})

test('without state, in the order of the ledger; rows of one place are told apart by later functions and by dedupe', async () => {
  const at = lab.place('order')
  const given = places()
  const twice = (name: string) =>
    given.pipe(
      mapRows(
        row => [row, { ...row, from: name }],
        { at: 'TIMESTAMP NOT NULL', zone: 'BIGINT', fare: 'INTEGER', from: 'VARCHAR NOT NULL' },
        { version: name },
      ),
    )
  const flow = pipeline(
    'order',
    { checkpoint: at.checkpoint },
    given.pipe(to(files(join(at.output, 'plain'), { format: 'parquet' }))),
    twice('x').pipe(to(files(join(at.output, 'twice'), { format: 'parquet' }))),
    twice('y').pipe(dedupe('from', '1 hour'), to(files(join(at.output, 'kept'), { format: 'parquet' }))),
  )
  await run(flow, { objectsPerEpoch: 3 })
  const plain = outputOf(join(at.output, 'plain'))
  expect(await lab.sql(`FROM ${plain} ORDER BY ALL`)).toEqual(await lab.sql(`FROM (${placesSql()}) ORDER BY ALL`))
  const [again] = await lab.sql(
    `SELECT count(*) = 2 * (SELECT count(*) FROM ${plain}) AS same, count(DISTINCT "from") AS kinds FROM ${outputOf(join(at.output, 'twice'))}`,
  )
  expect(again).toEqual({ same: 'true', kinds: '2' })
  const kept = outputOf(join(at.output, 'kept'))
  const near = `SELECT count(*) AS n FROM ${kept} AS x JOIN ${kept} AS y ON x."from" = y."from" AND x."at" < y."at" AND y."at" <= x."at" + INTERVAL 1 HOUR`
  expect(await lab.sql(near)).toEqual([{ n: '0' }])
  expect((await verify(flow)).differences).toEqual([])
})

function outputOf(folder: string): string {
  return `read_parquet(${quoted(join(folder, '*.parquet'))})`
}
