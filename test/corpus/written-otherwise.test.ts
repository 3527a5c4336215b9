import { cp, mkdir, mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import {
  aggregate,
  approxDistinct,
  argMax,
  argMin,
  avg,
  collect,
  count,
  countDistinct,
  dedupe,
  derive,
  exactQuantile,
  files,
  first,
  groupBy,
  hopping,
  last,
  max,
  min,
  parquet,
  type Pipeline,
  pipeline,
  quantile,
  query,
  select,
  source,
  stddev,
  stddevPop,
  sum,
  to,
  topK,
  tumbling,
  variance,
  varPop,
  verify,
  where,
} from '../../src/index.ts'
import { storedPlan } from '../../src/plan/stored-plan.ts'
import { type Lab, openLab, run } from '../engine/harness.ts'
import { lookAt, type Place } from '../golden/seen.ts'
import { corpusRoot, type Expected, setInputTimes } from './checkpoints/corpus.ts'

let lab: Lab
let scratch: string
beforeEach(async () => {
  lab = await openLab()
  scratch = await mkdtemp(join(tmpdir(), 'millrace-otherwise-'))
})
afterEach(async () => {
  await lab[Symbol.asyncDispose]()
  await rm(scratch, { recursive: true })
})

/** The source of the corpus: the same text, as nothing in it can be written otherwise but its durations. */
const months = () =>
  source('trips', {
    objects: join(scratch, 'months'),
    format: parquet(),
    columns: {
      lpep_pickup_datetime: 'TIMESTAMP NOT NULL',
      PULocationID: 'BIGINT',
      passenger_count: 'BIGINT',
      total_amount: 'DECIMAL(18, 2)',
    },
    time: 'lpep_pickup_datetime',
    watermark: { delay: '24 hours', bounds: 'green_tripdata_{yyyy}-{MM}' },
  })

const output = (format: 'parquet' | 'json') => to(files(join(scratch, 'output'), { format }))
const named = (name: string, flow: Parameters<typeof pipeline>[2]) =>
  pipeline(name, { checkpoint: join(scratch, 'checkpoint') }, flow)

/** Pipelines of the corpus, each as somebody else would write it. */
const otherwise: Readonly<Record<string, () => Pipeline>> = {
  refunds: () =>
    named(
      'refunds',
      months().pipe(
        where('( TOTAL_AMOUNT < 8 )'),
        derive({ refunded: ['DECIMAL(18,2)', '- TOTAL_AMOUNT'] }),
        select('lpep_pickup_datetime', 'PULocationID', 'refunded'),
        output('json'),
      ),
    ),
  'every-aggregate': () =>
    named(
      'every-aggregate',
      months().pipe(
        derive({ fare: ['DOUBLE', '(Total_Amount::float8)\n/ 3'] }),
        hopping('96 hours', '48h'),
        groupBy('passenger_count'),
        aggregate({
          n: count(),
          paid: count({ filter: ' TOTAL_AMOUNT>0' }),
          revenue: sum('total_amount'),
          fares: sum('fare'),
          mean: avg('fare'),
          mean_paid: avg('total_amount'),
          least: min('fare'),
          most: max('fare'),
          first_zone: first('PULocationID'),
          last_zone: last('PULocationID'),
          cheapest: argMin('PULocationID', 'total_amount'),
          dearest: argMax('PULocationID', 'total_amount'),
          spread: variance('fare'),
          spread_pop: varPop('fare'),
          deviation: stddev('fare'),
          deviation_pop: stddevPop('fare'),
          zones: countDistinct('PULocationID'),
          zones_about: approxDistinct('PULocationID'),
          p95: quantile('fare', 0.95, { relativeError: 0.01 }),
          median: exactQuantile('total_amount', 0.5),
          busiest: topK('PULocationID', 3),
          some: collect('PULocationID', { order: 'ascending', max: 5 }),
        }),
        output('json'),
      ),
    ),
  'busiest-hours': () =>
    named(
      'busiest-hours',
      months().pipe(
        dedupe(['total_amount', 'PULocationID'], '120 minutes'),
        tumbling('60m'),
        groupBy('PULocationID'),
        aggregate({ trips: count(), revenue: sum('total_amount') }),
        where('(REVENUE>0)'),
        tumbling('24 hours'),
        groupBy('PULocationID'),
        aggregate({
          hours: count(),
          trips: sum('trips'),
          busiest: argMax('window_start', 'trips'),
          revenue: sum('revenue'),
        }),
        output('parquet'),
      ),
    ),
}

async function bring(commit: string, name: string, state: string): Promise<Place> {
  const from = join(corpusRoot, commit, name, state)
  await cp(from, scratch, { recursive: true })
  const inputs = join(scratch, 'months')
  await cp(join(corpusRoot, commit, 'inputs', 'months'), inputs, { recursive: true })
  await setInputTimes(inputs)
  return { checkpoint: join(scratch, 'checkpoint'), outputs: [join(scratch, 'output')] }
}

async function expected(commit: string, name: string): Promise<Expected> {
  return JSON.parse(await readFile(join(corpusRoot, commit, name, 'expected.json'), 'utf8')) as Expected
}

describe('a checkpoint of an earlier release goes on under a pipeline that is written otherwise (P14)', () => {
  test.each([
    ['e3e4b2e', 'refunds', 'drained'],
    ['e3e4b2e', 'every-aggregate', 'drained'],
    ['bb6f479', 'busiest-hours', 'killed'],
  ])('%s, %s, %s', async (commit, name, state) => {
    const place = await bring(commit, name, state)
    const at = { checkpoint: place.checkpoint, output: '' }
    const before = (await lab.head(at)).manifest
    const text = otherwise[name] as () => Pipeline
    await run(text(), { objectsPerEpoch: 1, takeover: true })
    const seen = await lookAt(lab, place)
    const { rows, late } = await expected(commit, name)
    expect(seen.rows).toEqual(rows)
    expect(seen.late).toEqual(late)

    // Its steps and channels have the names that they had.
    const after = (await lab.head(at)).manifest
    const ids = (plan: typeof after) => storedPlan(plan.engine.plan).nodes.map(({ id }) => id)
    expect(ids(after)).toEqual(ids(before))
    expect(Object.keys(after.channels).toSorted()).toEqual(expect.arrayContaining(Object.keys(before.channels)))
    // A replay names its stages as the checkpoint does, so that late rows are compared step by step.
    if (name === 'busiest-hours')
      expect(await verify(text(), { threads: 2 })).toMatchObject({ differences: [], gone: [], changed: [] })
  })

  test('a ledger of one is replayed into a checkpoint whose stages have other names', async () => {
    const commit = 'bb6f479'
    const place = await bring(commit, 'busiest-hours', 'sealed')
    const [flushed] = (await query(place.checkpoint, 'SELECT flushed FROM ledger WHERE flushed IS NOT NULL')).rows
    expect(flushed, 'a flush that is told by stage').toBeDefined()

    // Born by a run without a ledger, over nothing.
    const nothing = join(scratch, 'nothing')
    await mkdir(nothing)
    const own = { checkpoint: join(scratch, 'own'), output: join(scratch, 'own-output') }
    const text = otherwise['busiest-hours'] as () => Pipeline
    await run(text(), { ...own, input: nothing, flush: false })
    await run(text(), { ...own, ledger: place.checkpoint, objectsPerEpoch: 2 })
    const names = (at: string) =>
      lab
        .head({ checkpoint: at, output: '' })
        .then(({ manifest }) => storedPlan(manifest.engine.plan).nodes.map(({ id }) => id))
    expect(await names(own.checkpoint)).not.toEqual(await names(place.checkpoint))
    const seen = await lookAt(lab, { checkpoint: own.checkpoint, outputs: [own.output] })
    const { rows, late } = await lookAt(lab, place)
    expect(seen.rows).toEqual(rows)
    expect(seen.late).toEqual(late)
    expect(await readdir(nothing)).toEqual([])
  })
})
