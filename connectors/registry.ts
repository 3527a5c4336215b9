import { configError } from '../src/core/errors.ts'
import { nearestName } from '../src/core/nearest.ts'
import type { NotificationSpec } from '../src/plan/notification-spec.ts'
import { kafkaConnector } from './kafka/index.ts'
import type { NotificationConnector } from './notifications/connector.ts'
import { sqsConnector } from './sqs/index.ts'

/** All that announces objects, in the order of reference pages: a new one is a folder, and a line here. */
export const connectors: readonly NotificationConnector[] = [sqsConnector, kafkaConnector]

/**
 * @param field names the spec in errors
 * @throws MillraceError `user` for a kind that nobody has described
 */
export function connectorOf(
  { notifications: kind }: NotificationSpec,
  field: string,
  all: readonly NotificationConnector[],
): NotificationConnector {
  const found = all.find(connector => connector.kind === kind)
  if (found) return found
  const near = nearestName(
    kind,
    all.map(connector => connector.kind),
  )
  const asked = near === undefined ? '' : ` (did you mean '${near}'?)`
  throw configError(field, kind, `${all.map(({ call }) => call).join(' or ')}${asked}`)
}
