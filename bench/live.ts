/**
 * A bucket that is followed: MinIO, with ElasticMQ (SQS) or Kafka, all on this machine. The daemon runs in a process of
 * its own; producer and figures are here.
 *
 *     node bench/live.ts [latency] [backlog] [memory] [requests]      (default: all)
 *
 * - latency: from the moment an object's message is sent to the commit that holds the object, at 10 and 100 objects/s,
 *   with a trigger of 200 ms.
 * - backlog: objects/s over a backlog of messages, beside plain GETs of the same objects from the same server.
 * - memory: RSS over MILLRACE_NOTIFICATIONS (100,000) messages of Kafka. Their keys are read from ten bodies.
 * - requests: what an epoch asks of S3, counted by a proxy.
 */
import { fork } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { cpus } from 'node:os'
import { join } from 'node:path'
import { performance } from 'node:perf_hooks'
import { setTimeout } from 'node:timers/promises'
import { CreateBucketCommand, GetObjectCommand, PutObjectCommand, S3Client } from '@aws-sdk/client-s3'
import { startElasticmq } from '../test/servers/elasticmq.ts'
import { startKafka } from '../test/servers/kafka.ts'
import { S3_CREDENTIALS, startMinio } from '../test/servers/minio.ts'
import { type Announcer, announceByKafka, announceBySqs } from '../test/live/announce.ts'
import { type Landed, s3Event } from '../test/live/live-lab.ts'
import { startCountingProxy } from './live/counting-proxy.ts'
import type { DaemonSettings, Told } from './live/daemon.ts'

const asked = process.argv.slice(2)
const isAsked = (part: string) => asked.length === 0 || asked.includes(part)
const isBySqs = (process.env.MILLRACE_QUEUE ?? 'both') !== 'kafka'
const isByKafka = (process.env.MILLRACE_QUEUE ?? 'both') !== 'sqs'
process.env.AWS_ACCESS_KEY_ID = S3_CREDENTIALS.accessKeyId
process.env.AWS_SECRET_ACCESS_KEY = S3_CREDENTIALS.secretAccessKey

const minio = await startMinio()
const s3 = new S3Client({
  endpoint: minio.endpoint,
  region: 'us-east-1',
  forcePathStyle: true,
  requestHandler: { httpAgent: { maxSockets: 64 } },
})

/** JSON lines whose times go on from one object to the next, so that windows close. */
function body(object: number, rows: number, spanMs: number): string {
  const lines = Array.from({ length: rows }, (_, row) =>
    JSON.stringify({
      at: new Date(Date.UTC(2024, 0, 1) + object * spanMs + (row * spanMs) / rows).toISOString(),
      device: row % 10,
      value: row / 8,
    }),
  )
  return `${lines.join('\n')}\n`
}

interface Place {
  readonly bucket: string
  readonly landed: readonly Landed[]
  settings(endpoint: string): Pick<DaemonSettings, 'objects' | 'checkpoint' | 'output'>
}

async function fill(objects: number, rows: number, spanMs = 1_000): Promise<Place> {
  const bucket = `bench-${randomUUID().slice(0, 8)}`
  await s3.send(new CreateBucketCommand({ Bucket: bucket }))
  const landed: Landed[] = []
  await inLanes(objects, 16, async index => {
    const key = `${index}.jsonl`
    const Body = body(index, rows, spanMs)
    const { ETag = '' } = await s3.send(new PutObjectCommand({ Bucket: bucket, Key: `input/${key}`, Body }))
    landed[index] = { key, eTag: ETag.replaceAll('"', ''), size: Buffer.byteLength(Body) }
  })
  return {
    bucket,
    landed,
    settings(endpoint) {
      const at = (path: string) => `s3://${bucket}/${path}/?endpoint=${endpoint}&region=us-east-1`
      return { objects: at('input'), checkpoint: at('checkpoint'), output: at('output') }
    },
  }
}

async function inLanes(count: number, lanes: number, work: (index: number) => Promise<void>): Promise<void> {
  let next = 0
  const lane = async () => {
    while (next < count) await work(next++)
  }
  await Promise.all(Array.from({ length: lanes }, lane))
}

interface Daemon {
  readonly committed: ReadonlyMap<string, number>
  readonly epochs: Extract<Told, { is: 'epoch' }>[]
  readonly phases: ReadonlyMap<string, number>
  /** Resolves when so many objects are committed. */
  counted(objects: number): Promise<void>
  drain(): Promise<void>
}

/** Resolves when the daemon runs. */
async function start(settings: DaemonSettings): Promise<Daemon> {
  const child = fork(join(import.meta.dirname, 'live/daemon.ts'), [JSON.stringify(settings)], {
    execArgv: process.env.MILLRACE_PROFILE ? ['--cpu-prof', `--cpu-prof-dir=${process.env.MILLRACE_PROFILE}`] : [],
  })
  const exited = once(child, 'exit')
  const committed = new Map<string, number>()
  const epochs: Extract<Told, { is: 'epoch' }>[] = []
  const phases = new Map<string, number>()
  let isRunning = false
  let news = () => {}
  child.on('message', (told: Told) => {
    if (told.is === 'running') isRunning = true
    else if (told.is === 'committed') for (const key of told.keys) committed.set(key, told.atMs)
    else if (told.is === 'epoch') epochs.push(told)
    else if (told.is === 'phase') phases.set(told.phase, (phases.get(told.phase) ?? 0) + told.ms)
    else console.log(`  daemon: ${told.what.slice(0, 300)}`)
    news()
  })
  const until = async (isTrue: () => boolean) => {
    while (!isTrue()) {
      if (child.exitCode !== null || child.signalCode !== null) throw new Error('the daemon ended')
      await Promise.race([new Promise<void>(resolve => (news = resolve)), exited])
    }
  }
  await until(() => isRunning)
  return {
    committed,
    epochs,
    phases,
    counted: objects => until(() => epochs.reduce((sum, epoch) => sum + epoch.objects, 0) >= objects),
    async drain() {
      child.send('drain')
      await exited
    },
  }
}

function quantile(values: readonly number[], q: number): number {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))] ?? Number.NaN
}

const ms = (value: number) => `${value.toFixed(0)} ms`
const mb = (bytes: number) => `${(bytes / 1e6).toFixed(0)} MB`

interface Queue {
  readonly name: string
  open(): Promise<Announcer>
  settings(announcer: Announcer): DaemonSettings['queue']
  stop(): Promise<void>
}

async function sqsQueue(): Promise<Queue> {
  const { endpoint, stop } = await startElasticmq()
  return {
    name: 'SQS',
    open: () => announceBySqs(endpoint),
    settings: ({ env }) => ({ is: 'sqs', url: env.TRIPS_QUEUE as string, endpoint }),
    stop,
  }
}

async function kafkaQueue(): Promise<Queue> {
  const { endpoint, stop } = await startKafka()
  return {
    name: 'Kafka',
    open: () => announceByKafka(endpoint),
    settings: ({ env }) => ({ is: 'kafka', broker: endpoint, topic: env.TRIPS_TOPIC as string }),
    stop,
  }
}

async function latency(queue: Queue): Promise<void> {
  for (const rate of [10, 100]) {
    const seconds = 20
    const warm = 2 * rate
    const place = await fill(rate * seconds + warm, 100)
    const announcer = await queue.open()
    try {
      const daemon = await start({
        ...place.settings(minio.endpoint),
        queue: queue.settings(announcer),
        every: '200ms',
        objectsMax: 1_000,
        isListed: false,
      })
      const sent = new Map<string, number>()
      const began = performance.now()
      const sending: Promise<void>[] = []
      for (const [index, one] of place.landed.entries()) {
        await setTimeout(Math.max(0, began + (index * 1_000) / rate - performance.now()))
        sending.push(announcer.announce([s3Event(place.bucket, one)]).then(() => void sent.set(one.key, Date.now())))
      }
      await Promise.all(sending)
      await daemon.counted(place.landed.length)
      await daemon.drain()
      const took = place.landed
        .slice(warm)
        .map(({ key }) => (daemon.committed.get(key) ?? Number.NaN) - (sent.get(key) ?? 0))
      const epochs = daemon.epochs.map(({ tookMs }) => tookMs)
      console.log(
        `latency   ${queue.name.padEnd(5)} ${String(rate).padStart(3)} objects/s   p50 ` +
          `${ms(quantile(took, 0.5))}   p99 ${ms(quantile(took, 0.99))}   most ${ms(Math.max(...took))}` +
          `   (${epochs.length} epochs, p50 ${ms(quantile(epochs, 0.5))}, from first fetch to publishing)`,
      )
    } finally {
      await announcer.close()
    }
  }
}

/** Objects/s over a backlog, by message and by listing, beside the GETs alone: the same server, client and lanes. */
async function backlog(queue: Queue | undefined): Promise<void> {
  const objects = Number(process.env.MILLRACE_OBJECTS ?? 6_000)
  const rows = Number(process.env.MILLRACE_ROWS ?? 500)
  const place = await fill(objects, rows)
  const announcer = await queue?.open()
  try {
    if (announcer)
      for (let at = 0; at < objects; at += 100)
        await announcer.announce(place.landed.slice(at, at + 100).map(one => s3Event(place.bucket, one)))
    const gets = async (lanes: number) => {
      const began = performance.now()
      await inLanes(objects, lanes, async index => {
        const got = await s3.send(
          new GetObjectCommand({ Bucket: place.bucket, Key: `input/${place.landed[index]?.key}` }),
        )
        await got.Body?.transformToByteArray()
      })
      return (objects * 1_000) / (performance.now() - began)
    }
    const lanes = [4, 16]
    const plain: number[] = []
    for (const each of lanes) plain.push(await gets(each))
    const began = Date.now()
    const daemon = await start({
      ...place.settings(minio.endpoint),
      queue: queue && announcer ? queue.settings(announcer) : { is: 'none' },
      every: '200ms',
      objectsMax: 1_000,
      isListed: !queue,
    })
    const ranAt = Date.now()
    await daemon.counted(objects)
    const seconds = ((daemon.epochs.at(-1)?.atMs ?? 0) - ranAt) / 1_000
    await daemon.drain()
    const rate = objects / seconds
    const mean = (place.landed.reduce((sum, { size }) => sum + size, 0) / objects / 1_000).toFixed(0)
    console.log(
      `backlog   ${(queue?.name ?? 'listing').padEnd(7)} ${objects} objects of ${rows} rows, ${mean} kB: ` +
        `${rate.toFixed(0)} objects/s, ${(rate * rows).toFixed(0)} rows/s (start ${ranAt - began} ms)   ` +
        lanes
          .map((each, index) => {
            const gotten = plain[index] ?? Number.NaN
            return `GETs in ${each} lanes ${gotten.toFixed(0)}/s, ratio ${(rate / gotten).toFixed(2)}`
          })
          .join('   '),
    )
    console.log(
      `          ${daemon.epochs.length} epochs; sums of phases: ` +
        `${[...daemon.phases].map(([phase, sum]) => `${phase} ${ms(sum)}`).join(', ')}`,
    )
  } finally {
    await announcer?.close()
  }
}

async function memory(queue: Queue): Promise<void> {
  const [notifications = 100_000] = [process.env.MILLRACE_NOTIFICATIONS].flatMap(n => (n ? [Number(n)] : []))
  const bodies = 10
  const place = await fill(bodies, 5)
  const announcer = await queue.open()
  try {
    for (let at = 0; at < notifications; at += 1_000)
      await announcer.announce(
        Array.from({ length: Math.min(1_000, notifications - at) }, (_, i) => {
          const one = place.landed[(at + i) % bodies] as Landed
          return s3Event(place.bucket, { ...one, key: `${String(at + i).padStart(9, '0')}.jsonl` })
        }),
      )
    const daemon = await start({
      ...place.settings(minio.endpoint),
      queue: queue.settings(announcer),
      every: '200ms',
      objectsMax: 1_000,
      bodies,
      isListed: false,
    })
    const began = performance.now()
    const shown = new Set<number>()
    let [objects, seen] = [0, 0]
    const limitMs = Number(process.env.MILLRACE_MEMORY_MS ?? 600_000)
    while (objects < notifications && performance.now() - began < limitMs) {
      await Promise.race([
        daemon.counted(Math.min(notifications, objects + 1)),
        setTimeout(limitMs, undefined, { ref: false }),
      ])
      for (const epoch of daemon.epochs.slice(seen)) {
        objects += epoch.objects
        for (const mark of [0.01, 0.1, 0.25, 0.5, 0.75, 1])
          if (objects >= mark * notifications && !shown.has(mark)) {
            shown.add(mark)
            console.log(
              `memory    ${queue.name} after ${String(objects).padStart(7)} notifications: RSS ${mb(epoch.rss)}, ` +
                `heap ${mb(epoch.heap)}, ${((objects * 1_000) / (performance.now() - began)).toFixed(0)} objects/s`,
            )
          }
      }
      seen = daemon.epochs.length
    }
    const last = daemon.epochs.at(-1)
    if (objects < notifications && last)
      console.log(`memory    ended after ${limitMs / 1_000} s at ${objects} notifications: RSS ${mb(last.rss)}`)
    await daemon.drain()
  } finally {
    await announcer.close()
  }
}

/** One object an epoch: what each epoch asks of S3. Windows of a minute close in every sixth. */
async function requests(queue: Queue): Promise<void> {
  const epochs = 30
  const place = await fill(epochs, 100, 10_000)
  const announcer = await queue.open()
  await using proxy = await startCountingProxy(minio.endpoint)
  try {
    const daemon = await start({
      ...place.settings(proxy.endpoint),
      queue: queue.settings(announcer),
      every: '200ms',
      objectsMax: 1,
      isListed: false,
    })
    // What publishing follows the commit belongs to the epoch before.
    const settled = () => setTimeout(300)
    await settled()
    const started = proxy.take()
    console.log(`requests  start: ${describe(started)}`)
    const seen = new Map<string, number>()
    const bytes: number[] = []
    for (const [index, one] of place.landed.entries()) {
      await announcer.announce([s3Event(place.bucket, one)])
      await daemon.counted(index + 1)
      await settled()
      const passed = proxy.take()
      bytes.push(passed.reduce((sum, { sentBytes }) => sum + sentBytes, 0))
      const what = describe(passed)
      seen.set(what, (seen.get(what) ?? 0) + 1)
    }
    for (const [what, times] of seen) console.log(`requests  ${String(times).padStart(2)} epochs: ${what}`)
    console.log(
      `requests  bytes sent by an epoch: median ${quantile(bytes, 0.5)}, ` +
        `most ${Math.max(...bytes)} (HEAD carries small files until it has 256 KiB)`,
    )
    await daemon.drain()
    console.log(`requests  end: ${describe(proxy.take())}`)
  } finally {
    await announcer.close()
  }
}

/** Requests by method and kind of object. */
function describe(passed: ReturnType<Awaited<ReturnType<typeof startCountingProxy>>['take']>): string {
  const kinds = new Map<string, number>()
  for (const { method, url, status } of passed) {
    const path = decodeURIComponent(url.split('?')[0] ?? '')
      .replace(/^\/[^/]+\//, '')
      .replace(/[0-9a-f]{8}-[0-9a-f-]{27}/g, '*')
      .replaceAll(/\d+/g, '#')
    const query = /[?&](list-type|delete|uploads|uploadId)/.exec(url)?.[1]
    const what = `${method} ${path}${query ? `?${query}` : ''}${status >= 300 ? ` (${status})` : ''}`
    kinds.set(what, (kinds.get(what) ?? 0) + 1)
  }
  return [...kinds].map(([what, times]) => (times === 1 ? what : `${times} ${what}`)).join(', ')
}

console.log(`${cpus().length} cores, Node ${process.version}, ${new Date().toISOString().slice(0, 10)}`)
const queues: Queue[] = []
try {
  if (isBySqs) queues.push(await sqsQueue())
  if (isByKafka) queues.push(await kafkaQueue())
  const [first] = queues
  if (isAsked('requests') && first) await requests(first)
  if (isAsked('latency')) for (const queue of queues) await latency(queue)
  if (isAsked('backlog')) for (const queue of [undefined, ...queues]) await backlog(queue)
  if (isAsked('memory')) for (const queue of queues.slice(-1)) await memory(queue)
} finally {
  for (const queue of queues) await queue.stop()
  s3.destroy()
  await minio.stop()
}
