import { errorMessage, isMillraceError } from '../../src/core/errors.ts'
import type { NotificationContext } from '../notifications/context.ts'
import type { Queue } from './queue.ts'
import type { SqsSpec } from './spec.ts'

/** @throws MillraceError `user` when the queue does not exist or may not be read. */
export async function checkQueue(
  queue: Queue,
  spec: Pick<SqsSpec, 'queueUrl' | 'onMalformed'>,
  { onEvent }: NotificationContext,
): Promise<void> {
  try {
    const { hasRedrive } = await queue.attributes()
    if (hasRedrive || spec.onMalformed !== 'leave') return
    onEvent({
      level: 'warn',
      event: 'no-redrive-policy',
      message:
        `Queue ${spec.queueUrl} has no redrive policy: a message that cannot be read comes again until the queue ` +
        `drops it. Give it a dead-letter queue, or use onMalformed: 'quarantine'.`,
      details: { queue: spec.queueUrl },
    })
  } catch (error) {
    if (isMillraceError(error) && error.kind === 'user' && error.code !== 'queue-access-denied') throw error
    // Who may receive may work without this one; a receive that is denied ends the first pull.
    onEvent({
      level: 'warn',
      event: 'queue-not-described',
      message: `Backlog and redrive policy are not known: ${errorMessage(error)}`,
      details: { queue: spec.queueUrl },
    })
  }
}
