import type { NotificationSource } from '../../src/core/ports.ts'
import type { NotificationContext } from '../notifications/context.ts'
import { createQueue } from './client.ts'
import { checkQueue } from './check-queue.ts'
import { createSqsSource } from './source.ts'
import type { SqsSpec } from './spec.ts'

/** @throws MillraceError `user` when the queue does not exist, or there is no region or credential for it. */
export async function openSqs(spec: SqsSpec, context: NotificationContext): Promise<NotificationSource> {
  const queue = createQueue(spec, context.onRequest)
  try {
    await checkQueue(queue, spec, context)
  } catch (error) {
    queue.close()
    throw error
  }
  return createSqsSource(queue, spec, context)
}
