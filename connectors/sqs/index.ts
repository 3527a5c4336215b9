import type { AnnouncementTarget, NotificationConnector } from '../notifications/connector.ts'
import type { QueueFacts } from './describe.ts'
import { judgeQueue } from './judge.ts'
import { type SqsSpec, sqs, sqsOptions } from './spec.ts'

export const sqsConnector: NotificationConnector<SqsSpec, QueueFacts> = {
  kind: 'sqs',
  call: 'sqs({...})',
  options: sqsOptions,
  make: options => sqs(options as never),
  open: async (spec, context) => (await import('./open.ts')).openSqs(spec, context),
  describe: async spec => (await import('./describe.ts')).describeQueue(spec),
  judge(spec, facts, context) {
    const { attributes } = facts
    const arn = attributes.is === 'known' && attributes.value.arn !== '' ? attributes.value.arn : undefined
    const findings = judgeQueue({ ...context, spec, facts })
    return { findings, target: queueTarget(arn) }
  },
}

/** @param arn undefined where it is not known: any queue may be this one */
export function queueTarget(own: string | undefined): AnnouncementTarget {
  return { name: own ?? 'a queue', takes: ({ to, arn }) => to === 'queue' && (own === undefined || arn === own) }
}
