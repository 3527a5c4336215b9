/** A bucket in memory that a live run follows: with versions, keys that are listed and not readable, and messages that it is told. */
import { createHash } from 'node:crypto'
import { MillraceError } from '../../src/core/errors.ts'
import type { Announced, ObjectVersion } from '../../src/core/object-version.ts'
import type { Notification, NotificationSource, ObjectStore } from '../../src/core/ports.ts'
import { type Components, components } from '../../src/engine/components.ts'
import {
  aggregate,
  count,
  files,
  groupBy,
  json,
  type Pipeline,
  pipeline,
  source,
  type SourceOptions,
  sqs,
  to,
  tumbling,
} from '../../src/index.ts'
import { createMemoryStore } from '../../src/testing/index.ts'
import type { Place } from './harness.ts'
import { toldBy } from './told-by.ts'

/**
 * 'kept': messages and reads name a version, listings do not. 'refused': there are none, and S3 says so to who asks for one.
 * 'ignored': the server knows none, and gives what it has.
 */
export type Versions = 'kept' | 'refused' | 'ignored'

export interface Stored extends ObjectVersion {
  readonly body: Buffer
}

export interface Bucket {
  /** Another version of the key; what it is told by. The bytes are its eTag. */
  put(key: string, body: string): ObjectVersion
  delete(key: string): void
  /** Listed, and 404 to who reads it. */
  readonly hidden: Set<string>
  /** Why reading a key fails: archived, denied. */
  readonly failing: Map<string, MillraceError>
  /** Reads of a key so far, those that found nothing too. */
  reads(key: string): number
  listings(): number
  /** Every version that was put, in order. */
  readonly stored: readonly Stored[]
  readonly store: ObjectStore
}

const prefix = 'in/'
export const address = `s3://bucket/${prefix}`

export function createBucket(versions: Versions = 'refused'): Bucket {
  const stored: Stored[] = []
  /** Keys that have a current version. */
  const current = new Map<string, Stored>()
  const hidden = new Set<string>()
  const failing = new Map<string, MillraceError>()
  const reads = new Map<string, number>()
  let listings = 0
  const found = (key: string, versionId?: string) => {
    if (key.includes('\0') || Buffer.byteLength(prefix + key) > 1_024) throw refused(key)
    if (hidden.has(key)) return undefined
    if (versionId === undefined || versions === 'ignored') return current.get(key)
    if (versions === 'refused' || !/^v\d+$/.test(versionId)) throw refused(`${key}?versionId=${versionId}`)
    return stored.find(one => one.key === key && one.versionId === versionId)
  }
  const versionOf = (one: Stored): ObjectVersion => {
    const { body: _, ...version } = one
    return version
  }
  const store: ObjectStore = {
    ...createMemoryStore(address),
    async get(key, { ifMatch, versionId, range } = {}) {
      reads.set(key, (reads.get(key) ?? 0) + 1)
      const failure = failing.get(key)
      if (failure) throw failure
      const one = found(key, versionId)
      if (!one) return 'missing'
      if (ifMatch !== undefined && one.eTag !== ifMatch) return 'changed'
      return { ...one, body: one.body.subarray(...(range ?? [])) }
    },
    async head(key, versionId) {
      const one = found(key, versionId)
      return one ? versionOf(one) : 'missing'
    },
    async *list() {
      listings++
      for (const key of [...current.keys()].toSorted()) {
        const { versionId: _, ...listed } = versionOf(current.get(key) as Stored)
        yield listed
      }
    },
  }
  return {
    put(key, text) {
      const body = Buffer.from(text)
      const one: Stored = {
        bucket: 'bucket',
        key,
        eTag: createHash('md5').update(body).digest('hex'),
        ...(versions === 'kept' ? { versionId: `v${stored.length + 1}` } : {}),
        sizeBytes: body.length,
        lastModifiedMs: Date.UTC(2024, 0, 1),
        body,
      }
      stored.push(one)
      current.set(key, one)
      return versionOf(one)
    },
    delete(key) {
      current.delete(key)
    },
    hidden,
    failing,
    reads: key => reads.get(key) ?? 0,
    listings: () => listings,
    stored,
    store,
  }
}

function refused(what: string): MillraceError {
  return new MillraceError('user', 'object-refused', `Reading ${address}${what} failed: InvalidArgument (HTTP 400).`)
}

/** A log of messages with an offset each, as Kafka has it: what is not committed is read again by the next start. */
export interface Messages {
  /** Announces an object in a message; resolves when it is acknowledged. */
  tell(...objects: readonly Announced[]): Promise<void>
  /** Offsets that were acknowledged, once for each time. */
  readonly acknowledged: readonly number[]
  /** Where a start goes on. */
  readonly positions: readonly unknown[]
  open(positions: unknown): NotificationSource
}

export function createMessages(): Messages {
  const log: { readonly objects: readonly Announced[]; acknowledge(): void }[] = []
  const acknowledged: number[] = []
  const positions: unknown[] = []
  let wake = () => {}
  return {
    acknowledged,
    positions,
    tell(...objects) {
      return new Promise(resolve => {
        log.push({ objects, acknowledge: resolve })
        wake()
      })
    },
    open(from) {
      positions.push(from)
      let next = typeof from === 'number' ? from : 0
      const settled = new Set<number>()
      const message = (offset: number): Notification => ({
        id: String(offset),
        objects: log[offset]?.objects ?? [],
        async acknowledge() {
          settled.add(offset)
          acknowledged.push(offset)
          log[offset]?.acknowledge()
        },
        release: async () => {},
      })
      return {
        async pull(max, signal) {
          while (next >= log.length && !signal.aborted)
            await new Promise<void>(resolve => {
              wake = resolve
              signal.addEventListener('abort', () => resolve(), { once: true })
            })
          if (signal.aborted) return []
          const first = next
          next = Math.min(log.length, next + max)
          return Array.from({ length: next - first }, (_, index) => message(first + index))
        },
        positionsAfter(committed) {
          const done = new Set([...settled, ...committed.map(({ id }) => Number(id))])
          let position = typeof from === 'number' ? from : 0
          while (position < next && done.has(position)) position++
          return position
        },
        backlog: async () => ({}),
        counts: {},
        close: async () => {},
      }
    },
  }
}

/** What a run is made of whose source lies in the bucket, and is told by these messages. */
export function componentsOf(bucket: Bucket, messages?: Messages): Components {
  return {
    ...components,
    findInput: async () => ({ root: address, matches: () => true }),
    openInput: async (root, field) => (root === address ? bucket.store : components.openInput(root, field)),
    ...(messages ? { connectors: toldBy(async (_, { positions }) => messages.open(positions)) } : {}),
  }
}

/** What a pipeline says that is told by messages of the test's own. */
export const queue = sqs({ queueUrl: 'https://sqs.eu-west-1.amazonaws.com/123456789012/landed' })

const columns = { t: 'TIMESTAMP NOT NULL', k: 'VARCHAR' } as const
type Options = Pick<
  SourceOptions<typeof columns, 't'>,
  'reconcile' | 'onBadObject' | 'onDenied' | 'overwrite' | 'notifications' | 'hidden'
>

/** JSON lines counted by hour and key. */
export const hourly = (objects: string, at: Place, options: Options = {}): Pipeline =>
  pipeline(
    'hourly',
    { checkpoint: at.checkpoint },
    source('in', {
      objects,
      format: json(),
      columns,
      time: 't',
      watermark: { delay: '1 hour' },
      miniBatch: { every: '5ms' },
      ...options,
    }).pipe(tumbling('1 hour'), groupBy('k'), aggregate({ n: count() }), to(files(at.output, { format: 'json' }))),
  )

/** A line of this key, a quarter past the hour. */
export const line = (k: string, hour = 1) => `{"t":"2024-05-01T${String(hour).padStart(2, '0')}:15:00Z","k":"${k}"}\n`
