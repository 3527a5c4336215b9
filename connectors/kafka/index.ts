import type { AnnouncementTarget, NotificationConnector } from '../notifications/connector.ts'
import type { TopicFacts } from './describe.ts'
import { judgeTopic } from './judge.ts'
import { kafka, kafkaOptions, type KafkaSpec } from './spec.ts'

export const kafkaConnector: NotificationConnector<KafkaSpec, TopicFacts> = {
  kind: 'kafka',
  call: 'kafka({...})',
  options: kafkaOptions,
  make: options => kafka(options as never),
  open: async (spec, context) => (await import('./open.ts')).openKafka(spec, context),
  describe: async spec => (await import('./describe.ts')).describeTopic(spec),
  judge: (spec, facts) => ({ findings: judgeTopic(spec, facts), target: topicTarget }),
}

/** What servers call a target of Kafka ends so: which topic it is they do not tell. */
export const topicTarget: AnnouncementTarget = { name: 'a Kafka topic', takes: ({ arn }) => /:kafka$/i.test(arn) }
