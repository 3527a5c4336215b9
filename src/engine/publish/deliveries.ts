import { defer, from } from 'rxjs'
import type { SinkPort } from '../../core/sink-port.ts'
import type { Flows } from '../bind/flows.ts'

/**
 * The sink of a flow that ends in `rows()` or `batches()`: its target is the user's own code, which nobody can ask what
 * it has. So HEAD's word counts, and an epoch comes at least once, each after the one before (P15).
 *
 * @param index of the flow in its pipeline
 */
export function createDelivery(flow: string, index: number, subscribed: Pick<Flows, 'deliver'>): SinkPort {
  return {
    address: flow,
    isOrdered: true,
    check: async () => {},
    own: async () => {},
    through: async () => undefined,
    async publish({ epoch, rows }, signal) {
      await subscribed.deliver(
        index,
        epoch,
        defer(() => from(rows())),
        signal,
      )
      return 'published'
    },
    orphans: async () => 0,
  }
}
