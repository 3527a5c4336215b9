import { about, type Finding, judged } from '../../src/core/finding.ts'
import type { TopicFacts } from './describe.ts'
import type { KafkaSpec } from './spec.ts'

const dayMs = 86_400_000

/** Whether a topic can be read, and keeps announcements long enough. */
export function judgeTopic(spec: KafkaSpec, { topic, settings }: TopicFacts): readonly Finding[] {
  const judge = about('topic')
  if (topic.is !== 'known')
    return [judge('problem', topic.is === 'denied' ? `topic ${spec.topic}: needs ${topic.action}` : topic.why)]
  const { partitions, messages } = topic.value
  return [
    judge('ok', `topic ${spec.topic} has ${partitions} partitions with ${messages} messages`),
    ...judged(judge, `settings of topic ${spec.topic}`, settings, ({ retentionMs, cleanup }) => [
      ...(retentionMs !== undefined && retentionMs < dayMs
        ? [
            judge(
              'warning',
              `messages are kept for ${retentionMs / 1_000} s: what is announced while ` +
                'nothing runs is lost after that, and only listings find it. Raise retention.ms',
            ),
          ]
        : []),
      ...(cleanup.includes('compact')
        ? [
            judge(
              'warning',
              `cleanup.policy is ${cleanup}: of several announcements under one key only the last is kept. Use delete`,
            ),
          ]
        : []),
    ]),
  ]
}
