/** A topic on three brokers, of which one dies. */
import { type ITopicConfig, Kafka, logLevel } from 'kafkajs'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { kafka } from '../../../connectors/kafka/spec.ts'
import { systemClock } from '../../../src/core/clock.ts'
import type { Notification, NotificationSource } from '../../../src/core/ports.ts'
import { openKafka } from '../../../connectors/kafka/open.ts'
import { pause } from '../../golden/golden.ts'
import { serverFor } from '../../servers/for-tests.ts'
import { startKafkaCluster } from '../../servers/kafka.ts'
import { contextOf, messageOf, type TestContext } from '../notifications/fixtures.ts'

const cluster = await serverFor(startKafkaCluster)
const endpoints = cluster?.brokers.map(({ endpoint }) => endpoint) ?? []
const keys = (messages: readonly Notification[]) => messages.flatMap(({ objects }) => objects.map(({ key }) => key))

/** Until each of these has come, some of them twice: whoever sends to a dying broker may send again. */
async function pullAll(source: NotificationSource, names: readonly string[]): Promise<readonly Notification[]> {
  const messages: Notification[] = []
  for (const missing = new Set(names); missing.size > 0; ) {
    const pulled = await source.pull(100, AbortSignal.timeout(30_000))
    if (pulled.length === 0) throw new Error(`${[...missing].join(', ')} did not come within 30 s`)
    messages.push(...pulled)
    for (const key of keys(pulled)) missing.delete(key)
  }
  return messages
}

describe.skipIf(!cluster)('a topic on three brokers', () => {
  const client = new Kafka({ brokers: endpoints, clientId: 'test', logLevel: logLevel.NOTHING })
  const admin = client.admin()
  const producer = client.producer()
  beforeAll(async () => {
    await admin.connect()
    await producer.connect()
  })
  afterAll(async () => {
    await producer.disconnect()
    await admin.disconnect()
  })
  /** Messages of these names, to one partition after another. */
  const send = async (topic: string, partitions: number, names: readonly string[]) => {
    // One partition at a time: what kafkajs sends again to a broker that has answered for another one is lost.
    for (let partition = 0; partition < partitions; partition++)
      await producer.send({
        topic,
        messages: names
          .filter((_, n) => n % partitions === partition)
          .map(name => ({ value: messageOf(name), partition })),
      })
  }
  const names = (letter: string, count: number) => Array.from({ length: count }, (_, n) => `${letter}${n}`)
  const leaders = async (topic: string): Promise<readonly number[]> => {
    const [found] = (await admin.fetchTopicMetadata({ topics: [topic] })).topics
    return (found?.partitions ?? []).toSorted((a, b) => a.partitionId - b.partitionId).map(({ leader }) => leader)
  }
  const leadersAre = async (topic: string, isSo: (found: readonly number[]) => boolean) => {
    // Not answered while a leader is elected.
    while (!isSo(await leaders(topic).catch(() => []))) await pause(100)
  }
  /** kafkajs's own wait for leaders throws where not every broker has heard of the topic yet. */
  const create = async (topics: ITopicConfig[]) => {
    await admin.createTopics({ topics, waitForLeaders: false })
    for (const { topic } of topics) await leadersAre(topic, found => found.length > 0 && !found.includes(-1))
  }
  const brokerOf = (id: number | undefined) => {
    const found = cluster?.brokers[(id ?? 0) - 1]
    if (!found) throw new Error(`no broker ${id}`)
    return found
  }
  const open = (topic: string, brokers: readonly string[], context: TestContext) =>
    openKafka(kafka({ brokers, topic }), context)

  test('is read on when a leader is killed, when a partition moves, and when the broker is back: each message once', async () => {
    const topic = 'copied'
    await create([{ topic, numPartitions: 6, replicationFactor: 3 }])
    const [dead] = await leaders(topic)
    const context = contextOf()
    // The one broker that is named is the one that dies: the others were learnt of.
    const source = await open(topic, [brokerOf(dead).endpoint], context)
    const came: Notification[] = []
    /** What comes of this letter, while `change` is under way and after it. */
    const during = async (letter: string, change: () => Promise<void>) => {
      const pulled = pullAll(source, names(letter, 60))
      await change()
      await send(topic, 6, names(letter, 60))
      came.push(...(await pulled))
    }
    await during('a', async () => {})
    for (const one of came) await one.acknowledge()

    await during('b', () => brokerOf(dead).kill())
    const found = await leaders(topic)
    expect(found).not.toContain(dead)

    const to = [1, 2, 3].find(id => id !== dead && id !== found[1])
    await during('c', async () => {
      await admin.alterPartitionReassignments({
        topics: [{ topic, partitionAssignment: [{ partition: 1, replicas: [to as number] }] }],
      })
      await leadersAre(topic, now => now[1] === to)
    })

    await during('d', async () => {
      await brokerOf(dead).restart()
      // It leads again what it led at first.
      await leadersAre(topic, now => now[0] === dead)
    })

    const ends = Object.fromEntries(
      (await admin.fetchTopicOffsets(topic)).map(({ partition, high }) => [partition, Number(high)]),
    )
    // Every message of the log once, whatever was sent again.
    const log = Object.entries(ends).flatMap(([partition, end]) =>
      Array.from({ length: end }, (_, offset) => `${topic}/${partition}/${offset}`),
    )
    expect(came.map(({ id }) => id).toSorted()).toEqual(log.toSorted())
    expect(source.positionsAfter(came)).toEqual({ [topic]: ends })
    expect(source.positionsAfter([])).not.toEqual({ [topic]: ends })
    for (const one of came) await one.acknowledge()
    expect(source.positionsAfter([])).toEqual({ [topic]: ends })
    await source.close()
    expect(context.events.filter(({ level }) => level === 'error')).toEqual([])
  })

  test('without copies is read from the brokers that are there, also at a start', async () => {
    const topic = 'single'
    await create([
      {
        topic,
        replicaAssignment: [1, 2, 3].map((id, partition) => ({ partition, replicas: [id] })),
        configEntries: [{ name: 'min.insync.replicas', value: '1' }],
      },
      // Its leaders tell when the cluster has seen that a broker is gone.
      { topic: 'everywhere', numPartitions: 3, replicationFactor: 3 },
    ])
    // An hour in a minute, so that the topic is described again and again.
    const clock = { ...systemClock, nowMs: () => systemClock.nowMs() * 60 }
    const context = contextOf({ clock })
    const source = await open(topic, endpoints, context)
    await send(topic, 3, names('a', 3))
    for (const one of await pullAll(source, names('a', 3))) await one.acknowledge()
    const positions = source.positionsAfter([])
    await send(topic, 3, names('b', 3))
    await brokerOf(1).kill()
    await leadersAre('everywhere', found => found.length === 3 && !found.includes(1))
    expect(keys(await pullAll(source, ['b1', 'b2'])).toSorted()).toEqual(['b1', 'b2'])
    const started = await open(topic, endpoints, contextOf({ clock, positions }))
    const came = await pullAll(started, ['b1', 'b2'])
    expect(keys(came).toSorted()).toEqual(['b1', 'b2'])
    expect(started.positionsAfter(came)).toEqual({ [topic]: { 0: 1, 1: 2, 2: 2 } })
    await brokerOf(1).restart()
    for (const each of [source, started]) {
      expect(keys(await pullAll(each, ['b0']))).toEqual(['b0'])
      await each.close()
    }
  })
})
