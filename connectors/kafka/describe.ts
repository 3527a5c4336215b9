import { Admin } from '@platformatic/kafka'
import { errorMessage } from '../../src/core/errors.ts'
import type { Fact } from '../../src/core/fact.ts'
import { connectionOptions, createLog } from './client.ts'
import type { KafkaSpec } from './spec.ts'

export interface TopicFacts {
  /** The error that a run would end in or wait by; partitions and messages that are kept. */
  readonly topic: Fact<{ readonly partitions: number; readonly messages: number }>
  readonly settings: Fact<{ readonly retentionMs: number | undefined; readonly cleanup: string }>
}

/** Reads metadata, offsets and settings of the topic; joins and commits nothing. */
export async function describeTopic(spec: KafkaSpec): Promise<TopicFacts> {
  const log = createLog(spec)
  const admin = new Admin(connectionOptions(spec))
  try {
    const extents = [...(await log.describe()).values()]
    const known = extents.filter(extent => extent !== undefined)
    const messages = known.reduce((sum, { earliest, next }) => sum + next - earliest, 0)
    return {
      topic:
        known.length === extents.length
          ? { is: 'known', value: { partitions: extents.length, messages } }
          : { is: 'unavailable', why: `Some partitions of ${spec.topic} have no leader.` },
      settings: await readSettings(admin, spec.topic),
    }
  } catch (error) {
    const topic = { is: 'unavailable', why: errorMessage(error) } as const
    return { topic, settings: topic }
  } finally {
    await Promise.all([log.close(), admin.close()])
  }
}

/** Kafka's number of a topic among resources. */
const topicResource = 2

async function readSettings(admin: Admin, topic: string): Promise<TopicFacts['settings']> {
  try {
    const [found] = await admin.describeConfigs({
      resources: [
        { resourceType: topicResource, resourceName: topic, configurationKeys: ['retention.ms', 'cleanup.policy'] },
      ],
    })
    const value = (name: string) => found?.configs.find(config => config.name === name)?.value ?? undefined
    const retention = value('retention.ms')
    return {
      is: 'known',
      value: {
        // -1: for ever.
        retentionMs: retention === undefined || Number(retention) < 0 ? undefined : Number(retention),
        cleanup: value('cleanup.policy') ?? 'delete',
      },
    }
  } catch (error) {
    if (/authoriz/i.test(errorMessage(error))) return { is: 'denied', action: 'DescribeConfigs on the topic' }
    return { is: 'unavailable', why: errorMessage(error) }
  }
}
