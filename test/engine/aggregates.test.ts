import { join } from 'node:path'
import { tap } from 'rxjs'
import { afterEach, beforeEach, expect, test } from 'vitest'
import {
  aggregate,
  approxDistinct,
  collect,
  countDistinct,
  derive,
  exactQuantile,
  files,
  groupBy,
  parquet,
  pipeline,
  quantile,
  rows,
  source,
  stddev,
  to,
  topK,
  tumbling,
  variance,
  corr,
  varPop,
} from '../../src/index.ts'
import { type Lab, openLab, run, windowed } from './harness.ts'

// Aggregates whose state is wider than one row for a window and group, from files to files: state tables are written,
// merged and read back.

let lab: Lab
beforeEach(async () => {
  lab = await openLab()
})
afterEach(() => lab[Symbol.asyncDispose]())

const flow = () =>
  source('in', {
    objects: lab.input,
    format: parquet(),
    columns: { t: 'TIMESTAMP NOT NULL', k: 'VARCHAR', x: 'DOUBLE', d: 'DECIMAL(18,2)', list: 'DECIMAL(9,3)[]' },
    time: 't',
  }).pipe(
    derive({ listed: ['DECIMAL(9,3)', 'list[1]'] }),
    tumbling('1 hour'),
    groupBy('k'),
    aggregate({
      spread: variance('x'),
      deviation: stddev('d', { filter: 'd > 1' }),
      spreads: varPop('listed'),
      related: corr('d', 'x', { filter: 'x < 2' }),
      p90: quantile('x', 0.9),
      median: exactQuantile('d', 0.5),
      distinct: countDistinct('x'),
      about: approxDistinct('listed'),
      top: topK('x', 2),
      most: topK('d', 1),
      dear: collect('d', { max: 3, by: 'x', order: 'descending' }),
    }),
    derive({ best: ['DOUBLE', 'top[1].value'], times: ['BIGINT', 'top[1].count'] }),
  )

const values = (hour: number, sign: number) =>
  `SELECT TIMESTAMP '2022-01-01' + INTERVAL (${hour}) HOUR + INTERVAL (i) SECOND AS t, ` +
  `CASE WHEN i % 3 = 0 THEN 'a' ELSE 'b' END AS k, ` +
  `CASE WHEN i % 5 = 0 THEN CAST('NaN' AS DOUBLE) WHEN k = 'a' THEN ${sign} * (i % 7) * 1e-9 ELSE i % 2 END AS x, ` +
  `CAST(i % 4 AS DECIMAL(18,2)) + 0.25 AS d, [CAST(i / 8 AS DECIMAL(9,3)), NULL] AS list FROM range(60) AS _(i)`

test('give the same files whatever the cut, in one run and in several; what follows sees their parts', async () => {
  const at = (name: string) => ({ output: join(lab.root, `${name}-out`), checkpoint: join(lab.root, `${name}-ck`) })
  const toFiles = (name: string, format: 'parquet' | 'json' = 'parquet') =>
    pipeline(name, { checkpoint: at(name).checkpoint }, flow().pipe(to(files(at(name).output, { format }))))
  // Three objects of one hour and one of a later one, which closes it.
  for (const [index, sign] of [1, -1, 1].entries()) await lab.parquet(`${index}.parquet`, values(0, sign))
  await run(toFiles('runs'), { objectsPerEpoch: 1, flush: false })
  await lab.parquet('3.parquet', values(5, 1))
  await run(toFiles('runs'), { objectsPerEpoch: 1 })
  await run(toFiles('once'))
  await run(toFiles('each', 'json'), { objectsPerEpoch: 1 })

  const once = await lab.rows(at('once'))
  expect(once).toHaveLength(4)
  expect(await lab.rows(at('runs'))).toEqual(once)
  const json = await lab.rows(at('each'))
  expect(json).toHaveLength(4)

  const seen: unknown[] = []
  await run(
    pipeline(
      'rows',
      { checkpoint: at('rows').checkpoint },
      flow().pipe(
        rows(),
        tap(row => seen.push(row)),
      ),
    ),
    { objectsPerEpoch: 2 },
  )
  const [a, b] = seen as Record<string, unknown>[]
  // 'a': 60 rows of three objects, 12 of them NaN and 6 of them 0; d is 0.25, 1.25, 2.25, 3.25 by turns.
  expect(a).toMatchObject({
    k: 'a',
    spread: Number.NaN,
    median: '1.25',
    top: [
      { value: Number.NaN, count: 12n },
      { value: 0, count: 6n },
    ],
    most: [{ value: '0.25', count: 15n }],
    best: Number.NaN,
    times: 12n,
  })
  // DECIMAL is text, inside a list too.
  expect(a?.dear).toEqual(Array.from({ length: 3 }, () => expect.stringMatching(/^\d\.25$/)))
  expect(b).toMatchObject({ k: 'b', distinct: 3n, best: 0, times: 48n })
  // JSON has no NaN: it is text there, inside a list too.
  expect(json[0]?.top).toContainEqual({ value: 'NaN', count: '12' })
})

test('lists of up to 10,000 values for 5,000 groups of two take memory for what they hold', async () => {
  const at = "SELECT TIMESTAMP '2022-01-01' AS t, i % 5000 AS k, i AS x FROM range(10000) AS _(i)"
  await lab.parquet('a.parquet', at)
  await run(
    windowed(lab, lab, {
      columns: { t: 'TIMESTAMP NOT NULL', k: 'BIGINT', x: 'BIGINT' },
      keys: ['k'],
      aggregates: {
        all: collect('x', { max: 10_000, by: 'x', order: 'descending' }),
        top: topK('x', 10_000, { filter: 'x < 5000' }),
      },
    }),
  )
  const found = await lab.rows()
  expect(found).toHaveLength(5_000)
  expect(found.find(({ k }) => k === '7')).toMatchObject({ all: '[5007, 7]', top: "[{'value': 7, 'count': 1}]" })
})
