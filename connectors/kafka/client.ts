import { Admin, Consumer } from '@platformatic/kafka'
import { errorMessage, MillraceError } from '../../src/core/errors.ts'
import type { Extent, Fetched, Log, LogRecord } from './log.ts'
import type { KafkaSpec } from './spec.ts'

const waitMs = 500
const fetchBytesMax = 8 * 1_048_576
const partitionBytesMax = 1_048_576
/** A marker of a transaction, not a message. */
const controlBit = 0b10_0000
const offsetOutOfRange = 1

type FetchResponse = Awaited<ReturnType<Consumer['fetch']>>

/** How every client of a topic reaches its brokers. */
export function connectionOptions(spec: KafkaSpec) {
  return {
    clientId: spec.clientId,
    bootstrapBrokers: [...spec.brokers],
    retries: 0,
    ...(spec.sasl && { sasl: { ...spec.sasl, mechanism: mechanisms[spec.sasl.mechanism] } }),
    ...(spec.tls && { tls: spec.tls === true ? {} : { ...spec.tls } }),
  }
}

/**
 * What it has learnt of brokers outlives a doubt about leaders: those that were named may be the ones that are away.
 */
class Reader extends Consumer {
  override clearMetadata(): void {}
}

/** What the brokers say of the topic. */
interface Described {
  /** How a fetch names it. */
  readonly id: string
  /** By partition; -1 where there is none. */
  readonly leaders: readonly number[]
}

/**
 * The topic over @platformatic/kafka: plain fetches from the leaders, without a consumer group. It never retries by
 * itself: the source does, by the clock port.
 */
export function createLog(spec: KafkaSpec): Log {
  const { topic } = spec
  const options = connectionOptions(spec)
  // The group's name is asked for and used nowhere: a consumer that never joins is one that only fetches. It must not
  // track the topic either: then it would send a fetch to whom it takes for the leader, where two would share a session
  // that neither knows the state of, and would not fetch at all while one partition has no leader.
  const consumer = new Reader({ ...options, groupId: spec.groupId })
  const admin = new Admin(options)
  let latest: Described | undefined
  let takesNames: boolean | undefined

  const attempt = async <T>(action: string, call: () => Promise<T>): Promise<T> => {
    try {
      return await call()
    } catch (error) {
      latest = undefined
      throw explain(error, action, spec)
    }
  }
  const described = async (): Promise<Described> => {
    const { id, leaders } = await leadersOf(consumer, topic)
    // Before version 13 a fetch names its topic.
    takesNames ??= (await consumer.listApis()).some(({ name, maxVersion }) => name === 'Fetch' && maxVersion < 13)
    latest = { id: takesNames ? topic : id, leaders }
    return latest
  }

  return {
    describe: () => attempt('list offsets', async () => extentsOf(consumer, topic, (await described()).leaders)),
    fetch: offsets =>
      attempt('fetch', async () => {
        const fetched = await fetchFromLeaders(consumer, latest ?? (await described()), offsets)
        if (fetched.some(({ is }) => is === 'unavailable')) latest = undefined
        return fetched
      }),
    commit: (groupId, offsets) =>
      attempt('commit offsets', () => {
        const partitionOffsets = [...offsets].map(([partition, offset]) => ({ partition, offset: BigInt(offset) }))
        return admin.alterConsumerGroupOffsets({ groupId, topics: [{ name: topic, partitionOffsets }] })
      }),
    close: async () => {
      await Promise.all([consumer.close(true), admin.close()])
    },
  }
}

async function extentsOf(
  consumer: Consumer,
  topic: string,
  leaders: readonly number[],
): Promise<ReadonlyMap<number, Extent | undefined>> {
  // None can be asked while one has no leader.
  if (leaders.includes(-1)) return new Map(leaders.map((_, partition) => [partition, undefined]))
  const earliest = (await consumer.listOffsets({ topics: [topic], timestamp: -2n })).get(topic) ?? []
  const next = (await consumer.listOffsets({ topics: [topic], timestamp: -1n })).get(topic) ?? []
  return new Map(
    leaders.map((_, partition): [number, Extent] => [
      partition,
      { earliest: Number(earliest[partition] ?? 0), next: Number(next[partition] ?? 0) },
    ]),
  )
}

async function fetchFromLeaders(
  consumer: Consumer,
  { id, leaders }: Described,
  offsets: ReadonlyMap<number, number>,
): Promise<readonly Fetched[]> {
  const byLeader = new Map<number, number[]>()
  const fetched: Fetched[] = []
  for (const partition of offsets.keys()) {
    const leader = leaders[partition] ?? -1
    if (leader < 0) fetched.push({ partition, is: 'unavailable', why: 'it has no leader' })
    else byLeader.set(leader, [...(byLeader.get(leader) ?? []), partition])
  }
  const nodes = [...byLeader]
  const answers = await Promise.allSettled(
    nodes.map(([node, partitions]) =>
      fetchFrom(consumer, node, id, new Map(partitions.map(each => [each, offsets.get(each) ?? 0]))),
    ),
  )
  for (const [n, answer] of answers.entries()) {
    if (answer.status === 'fulfilled') fetched.push(...answer.value)
    // One broker that is away does not hold up what the others have.
    else if (answers.length === 1) throw answer.reason
    else
      for (const partition of nodes[n]?.[1] ?? [])
        fetched.push({ partition, is: 'unavailable', why: said(answer.reason) })
  }
  return fetched
}

const mechanisms = { plain: 'PLAIN', 'scram-sha-256': 'SCRAM-SHA-256', 'scram-sha-512': 'SCRAM-SHA-512' } as const

/** One partition without a leader is an error of the whole call, which carries what there is of the others. */
async function leadersOf(consumer: Consumer, topic: string): Promise<Described> {
  try {
    const found = (await consumer.metadata({ topics: [topic], forceUpdate: true })).topics.get(topic)
    if (!found) throw new Error(`Unknown topic ${topic}.`)
    return { id: found.id, leaders: found.partitions.map(({ leader }) => leader) }
  } catch (error) {
    const found = topicOf(error)
    if (found === undefined) throw error
    // The call that failed has left the addresses of brokers as they were.
    await consumer.metadata({ topics: [], forceUpdate: true })
    const leaders: number[] = []
    for (const { partitionIndex, leaderId } of found.partitions) leaders[partitionIndex] = leaderId
    return { id: found.topicId, leaders }
  }
}

interface TopicResponse {
  readonly errorCode: number
  readonly topicId: string
  readonly partitions: readonly { readonly partitionIndex: number; readonly leaderId: number }[]
}

function topicOf(error: unknown): TopicResponse | undefined {
  const response = responseOf(error)
  if (response === undefined || !('topics' in response) || !Array.isArray(response.topics)) return undefined
  const [found] = response.topics as readonly TopicResponse[]
  return found?.errorCode === 0 ? found : undefined
}

async function fetchFrom(
  consumer: Consumer,
  node: number,
  topicId: string,
  offsets: ReadonlyMap<number, number>,
): Promise<readonly Fetched[]> {
  const partitions = [...offsets].map(([partition, offset]) => ({
    partition,
    fetchOffset: BigInt(offset),
    currentLeaderEpoch: -1,
    lastFetchedEpoch: -1,
    partitionMaxBytes: partitionBytesMax,
  }))
  const sizes = { minBytes: 1, maxBytes: fetchBytesMax, maxWaitTime: waitMs }
  try {
    // An announcement is only a hint: one of an aborted transaction harms nothing, so all are read.
    return read(await consumer.fetch({ node, topics: [{ topicId, partitions }], isolationLevel: 0, ...sizes }), offsets)
  } catch (error) {
    // One partition's trouble is an error of the whole call, which carries what the others answered.
    const response = fetchedOf(error)
    if (response === undefined || response.errorCode !== 0) throw error
    return read(response, offsets)
  }
}

function fetchedOf(error: unknown): FetchResponse | undefined {
  const response = responseOf(error)
  return response !== undefined && 'responses' in response ? (response as FetchResponse) : undefined
}

function responseOf(error: unknown): object | undefined {
  const response: unknown = error instanceof Error && 'response' in error ? error.response : undefined
  return typeof response === 'object' && response !== null ? response : undefined
}

function read(response: FetchResponse, offsets: ReadonlyMap<number, number>): readonly Fetched[] {
  return response.responses
    .flatMap(topic => topic.partitions)
    .map(({ partitionIndex: partition, errorCode, records: batches }): Fetched => {
      if (errorCode === offsetOutOfRange) return { partition, is: 'out-of-range' }
      if (errorCode !== 0) return { partition, is: 'unavailable', why: `error ${errorCode}` }
      const from = offsets.get(partition) ?? 0
      const records: LogRecord[] = []
      let next = from
      for (const batch of batches ?? []) {
        next = Math.max(next, Number(batch.firstOffset) + batch.lastOffsetDelta + 1)
        if ((batch.attributes & controlBit) !== 0) continue
        for (const record of batch.records) {
          const offset = Number(batch.firstOffset) + record.offsetDelta
          // A batch comes whole, also when it began before what was asked for.
          if (offset < from) continue
          records.push({
            offset,
            timestampMs: Number(batch.firstTimestamp + record.timestampDelta),
            value: record.value,
          })
        }
      }
      return { partition, is: 'records', records, next }
    })
}

function explain(error: unknown, action: string, { topic, brokers }: KafkaSpec): MillraceError {
  const chain = causes(error)
  const why = said(error)
  const where = `Topic ${topic} at ${brokers.join(', ')}`
  const has = (...names: readonly string[]): boolean =>
    chain.some(each => names.some(name => each.apiId === name || each.code === name))
  if (/^Unknown topic /m.test(errorMessage(error)) || has('UNKNOWN_TOPIC_OR_PARTITION', 'UNKNOWN_TOPIC_ID'))
    return new MillraceError(
      'user',
      'topic-not-found',
      `${where} does not exist (${why}). Create it, or correct brokers and topic.`,
      error,
    )
  if (has('TOPIC_AUTHORIZATION_FAILED', 'GROUP_AUTHORIZATION_FAILED', 'CLUSTER_AUTHORIZATION_FAILED'))
    return new MillraceError(
      'user',
      'topic-access-denied',
      `${where} refuses to ${action} (${why}). Allow READ and DESCRIBE on the topic for this user.`,
      error,
    )
  if (has('PLT_KFK_AUTHENTICATION', 'SASL_AUTHENTICATION_FAILED', 'UNSUPPORTED_SASL_MECHANISM', 'ILLEGAL_SASL_STATE'))
    return new MillraceError(
      'user',
      'kafka-login-failed',
      `${where}: the brokers refuse this login (${why}). Correct sasl.mechanism, username and password.`,
      error,
    )
  if (
    chain.some(
      ({ code }) => typeof code === 'string' && /^(ERR_TLS|ERR_SSL|CERT_|DEPTH_ZERO|SELF_SIGNED|UNABLE_TO_)/.test(code),
    )
  )
    return new MillraceError(
      'user',
      'kafka-tls-failed',
      `${where}: no trusted TLS connection (${why}). Correct tls: true for a trusted certificate, { ca } for your own.`,
      error,
    )
  if (has('PLT_KFK_UNSUPPORTED_COMPRESSION'))
    return new MillraceError(
      'user',
      'kafka-codec',
      `${where} holds messages that this Node cannot decompress (${why}). ` +
        'Use a newer Node, or another compression.type.',
      error,
    )
  return new MillraceError(
    'retry',
    'kafka-unreachable',
    `${where}: ${action} failed (${why}). It is tried again.`,
    error,
  )
}

function said(error: unknown): string {
  return [...new Set(causes(error).map(errorMessage))].join(' ')
}

interface Cause extends Error {
  readonly code?: unknown
  readonly apiId?: unknown
}

/** An error, what it gathers and what caused it. */
function causes(error: unknown): readonly Cause[] {
  if (!(error instanceof Error)) return []
  const gathered: readonly unknown[] = error instanceof AggregateError ? error.errors : []
  return [error, ...gathered.flatMap(causes), ...causes(error.cause)]
}
