import type { NotificationConnector } from '../../connectors/notifications/connector.ts'
import { connectors } from '../../connectors/registry.ts'

/** The connectors, each of which opens this source of the test's own. */
export const toldBy = (open: NotificationConnector['open']): readonly NotificationConnector[] =>
  connectors.map(connector => ({ ...connector, open }))
