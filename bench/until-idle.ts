/**
 * What `millrace run --until-idle` takes from its start to its first commit and to its end, with one new object each
 * time: in a directory, and in a bucket of MinIO that is announced by ElasticMQ (SQS), both on this machine.
 *
 *     .ci/build && node bench/until-idle.ts      MILLRACE_ROUNDS=10
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { cp, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { performance } from 'node:perf_hooks'
import { makeMonths } from '../src/cli/demo/make-months.ts'
import { startElasticmq } from '../test/servers/elasticmq.ts'
import { startMinio } from '../test/servers/minio.ts'
import { announceBySqs } from '../test/live/announce.ts'
import { openLiveLab, s3Event } from '../test/live/live-lab.ts'

const rounds = Number(process.env.MILLRACE_ROUNDS ?? 10)
const root = resolve(import.meta.dirname, '..')
const folder = await mkdtemp(join(tmpdir(), 'millrace-idle-'))
const minio = await startMinio()
const elasticmq = await startElasticmq()
const lab = await openLiveLab(minio.endpoint, 'idle')
const announcer = await announceBySqs(elasticmq.endpoint)
const at = (name: string) => join(folder, name)
const pipeline = at('pipeline.ts')
await writeFile(
  pipeline,
  `import { aggregate, count, files, groupBy, parquet, pipeline, source, sqs, sum, to, tumbling } from 'millrace'
const { TRIPS_OBJECTS, TRIPS_CHECKPOINT, TRIPS_OUTPUT, TRIPS_QUEUE, TRIPS_SQS } = process.env
const told = TRIPS_QUEUE ? { notifications: sqs({ queueUrl: TRIPS_QUEUE, endpoint: TRIPS_SQS, region: 'us-east-1' }) } : {}
const trips = source('trips', { objects: TRIPS_OBJECTS, ...told, format: parquet(), time: 'lpep_pickup_datetime',
  columns: { lpep_pickup_datetime: 'TIMESTAMP NOT NULL', PULocationID: 'BIGINT', total_amount: 'DECIMAL(18,2)' },
  watermark: { delay: '1 day', bounds: 'green_tripdata_{yyyy}-{MM}' } })
export default pipeline('idle-bench', { checkpoint: TRIPS_CHECKPOINT }, trips.pipe(tumbling('1 hour'), groupBy('PULocationID'),
  aggregate({ trips: count(), revenue: sum('total_amount') }), to(files(TRIPS_OUTPUT, { format: 'parquet' }))))
`,
)
await makeMonths({ dir: at('months'), months: rounds, rowsPerMonth: 1_000 })

interface Round {
  readonly commitMs: number
  readonly endMs: number
}

async function measured(env: NodeJS.ProcessEnv): Promise<Round> {
  const startedMs = performance.now()
  const child: ChildProcess = spawn(
    process.execPath,
    [join(root, 'dist/src/cli/bin.js'), 'run', pipeline, '--until-idle', '--log', 'json'],
    { env, stdio: ['ignore', 'ignore', 'pipe'] },
  )
  let said = ''
  let commitMs = Number.NaN
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    said += text
    if (Number.isNaN(commitMs) && said.includes('"event":"epoch"')) commitMs = performance.now() - startedMs
  })
  const [code] = await once(child, 'close')
  if (code !== 0 || Number.isNaN(commitMs)) throw new Error(`the run ended with ${code}:\n${said}`)
  return { commitMs, endMs: performance.now() - startedMs }
}

const median = (values: readonly number[]) => values.toSorted((a, b) => a - b)[values.length >> 1] ?? 0
function report(what: string, all: readonly Round[]): void {
  const told = (values: readonly number[]) => `${median(values).toFixed(0)} ms (${Math.min(...values).toFixed(0)})`
  console.log(
    `${what}: first commit after ${told(all.map(one => one.commitMs))}, ` +
      `end after ${told(all.map(one => one.endMs))}; median (best) of ${all.length}`,
  )
}

const months = Array.from({ length: rounds }, (_, n) => {
  const month = new Date(Date.UTC(2022, n)).toISOString().slice(0, 7)
  return join(at('months'), `green_tripdata_${month}.parquet`)
})
const local = {
  ...process.env,
  TRIPS_OBJECTS: at('in'),
  TRIPS_CHECKPOINT: at('checkpoint'),
  TRIPS_OUTPUT: at('output'),
}
try {
  const directory: Round[] = []
  const bucket: Round[] = []
  await mkdir(at('in'))
  for (const file of months) {
    const key = file.slice(file.lastIndexOf('/') + 1)
    await cp(file, join(at('in'), key))
    directory.push(await measured(local))
    await announcer.announce([s3Event(lab.bucket, await lab.put(key, file))])
    bucket.push(await measured(lab.env({ ...announcer.env })))
  }
  report('a directory', directory)
  report('a bucket with SQS', bucket)
} finally {
  await announcer.close()
  await lab[Symbol.asyncDispose]()
  await elasticmq.stop()
  await minio.stop()
  await rm(folder, { recursive: true, force: true })
}
