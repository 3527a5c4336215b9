import { isMillraceError } from '../../src/core/errors.ts'
import type { NotificationSource } from '../../src/core/ports.ts'
import { backoffMs } from '../../src/core/backoff.ts'
import { pauses } from '../notifications/pauses.ts'
import type { NotificationContext } from '../notifications/context.ts'
import { createLog } from './client.ts'
import type { Log } from './log.ts'
import { createKafkaSource } from './source.ts'
import type { KafkaSpec } from './spec.ts'

/** About five seconds. */
const looksMax = 6

/** @throws MillraceError `user` when the topic does not exist, or the brokers refuse login, TLS or reading. */
export async function openKafka(spec: KafkaSpec, context: NotificationContext): Promise<NotificationSource> {
  const log = createLog(spec)
  try {
    await check(log, context)
    return createKafkaSource(log, spec, context)
  } catch (error) {
    await log.close()
    throw error
  }
}

/** Brokers that do not answer are waited for where messages are fetched, not here. */
async function check(log: Log, { clock, random }: NotificationContext): Promise<void> {
  for (let looks = 1; ; looks++) {
    try {
      await log.describe()
      return
    } catch (error) {
      if (isMillraceError(error) && error.kind === 'retry') return
      // Brokers that have just started, or a topic that was just made, are not known everywhere at once.
      const isMissing = isMillraceError(error) && error.code === 'topic-not-found'
      if (!isMissing || looks === looksMax) throw error
      await clock.sleep(backoffMs(pauses, looks - 1, random))
    }
  }
}
