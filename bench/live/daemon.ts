/** The daemon of `bench/live.ts`, in a process of its own: its memory and its clock of commits are nobody else's. */
import { components } from '../../src/engine/components.ts'
import { followWith } from '../../src/engine/follow.ts'
import {
  aggregate,
  count,
  files,
  groupBy,
  json,
  kafka,
  pipeline,
  source,
  sqs,
  sum,
  to,
  tumbling,
} from '../../src/index.ts'

export interface DaemonSettings {
  readonly objects: string
  readonly checkpoint: string
  readonly output: string
  readonly queue:
    | { readonly is: 'sqs'; readonly url: string; readonly endpoint: string }
    | { readonly is: 'kafka'; readonly broker: string; readonly topic: string }
    | { readonly is: 'none' }
  readonly every: '200ms' | '1s'
  readonly objectsMax: number
  /** Every key that is read is one of so many bodies: `key % bodies`. Undefined: keys are read as they are. */
  readonly bodies?: number
  /** Objects come by message only: a listing shows none. */
  readonly isListed: boolean
}

/** What it tells. */
export type Told =
  | { readonly is: 'running' }
  /** Keys that a commit settled, and when: HEAD holds them. */
  | { readonly is: 'committed'; readonly keys: readonly string[]; readonly atMs: number }
  | {
      readonly is: 'epoch'
      readonly objects: number
      readonly rows: number
      readonly atMs: number
      readonly tookMs: number
      readonly rss: number
      readonly heap: number
    }
  | { readonly is: 'phase'; readonly phase: string; readonly ms: number }
  | { readonly is: 'said'; readonly what: string }

const settings = JSON.parse(process.argv[2] ?? '{}') as DaemonSettings
const tell = (told: Told) => process.send?.(told)

function notifications() {
  const { queue } = settings
  if (queue.is === 'sqs')
    return { notifications: sqs({ queueUrl: queue.url, endpoint: queue.endpoint, region: 'us-east-1' }) }
  if (queue.is === 'kafka') return { notifications: kafka({ brokers: [queue.broker], topic: queue.topic }) }
  return {}
}

const events = source('events', {
  objects: settings.objects,
  ...notifications(),
  format: json(),
  columns: { at: 'TIMESTAMP NOT NULL', device: 'BIGINT', value: 'DOUBLE' },
  time: 'at',
  watermark: { delay: '1 minute' },
  miniBatch: { every: settings.every, objectsMax: settings.objectsMax },
  reconcile: false,
})

const perMinute = pipeline(
  'live-bench',
  { checkpoint: settings.checkpoint },
  events.pipe(
    tumbling('1 minute'),
    groupBy('device'),
    aggregate({ n: count(), total: sum('value') }),
    to(files(settings.output, { format: 'parquet' })),
  ),
)

const drain = new AbortController()
process.on('message', () => drain.abort())
// Its parent is gone.
process.on('disconnect', () => process.exit(1))

await followWith(
  {
    ...components,
    async openInput(address, field) {
      const store = await components.openInput(address, field)
      const { bodies, isListed } = settings
      const body = (key: string) => (bodies === undefined ? key : `${Number(/\d+/.exec(key)?.[0]) % bodies}.jsonl`)
      return {
        address: store.address,
        get: (key, options) => store.get(body(key), options),
        put: store.put.bind(store),
        copy: store.copy.bind(store),
        list: isListed ? store.list.bind(store) : async function* () {},
        delete: store.delete.bind(store),
      }
    },
    connectors: components.connectors.map(connector => ({
      ...connector,
      async open(spec, context) {
        const opened = await connector.open(spec, context)
        return {
          ...opened,
          get counts() {
            return opened.counts
          },
          async pull(max, signal) {
            return (await opened.pull(max, signal)).map(notification => ({
              ...notification,
              acknowledge() {
                tell({ is: 'committed', keys: notification.objects.map(({ key }) => key), atMs: Date.now() })
                return notification.acknowledge()
              },
              release: () => notification.release(),
            }))
          },
        }
      },
    })),
  },
  perMinute,
  {
    drain: drain.signal,
    onRunning: () => tell({ is: 'running' }),
    onEvent(event) {
      if (event.is === 'epoch') {
        const { rss, heapUsed } = process.memoryUsage()
        const { objects, rows } = event.result
        tell({ is: 'epoch', objects, rows, atMs: Date.now(), tookMs: event.tookMs, rss, heap: heapUsed })
      } else if (event.is === 'phase') tell({ is: 'phase', phase: event.phase, ms: event.ms })
      else if (event.is === 'trouble' || event.is === 'restarting' || event.is === 'notification')
        tell({ is: 'said', what: JSON.stringify(event) })
    },
  },
)
process.disconnect?.()
