import { lastValueFrom, toArray } from 'rxjs'
import { createDelivery } from '../../src/engine/publish/deliveries.ts'
import type { Flows } from '../../src/engine/bind/flows.ts'
import { describeSink, type VisibleEpoch } from '../contracts/sink.ts'

// The target is the user's own code, which nobody can ask what it has: an epoch comes again where HEAD does not say that it
// was taken.
describeSink('rows that are handed over', { tells: false, isOwned: false, fences: false }, async () => {
  const taken: VisibleEpoch[] = []
  return {
    async open(_checkpointId, calls) {
      const deliver: Flows['deliver'] = async (_index, epoch, committed) => {
        const chunks = await lastValueFrom(committed.pipe(toArray()))
        const rows = chunks.flat().map(row => String((row as { readonly k: unknown }).k))
        await calls(async () => void taken.push({ epoch, rows }))
      }
      return createDelivery('flow-1', 0, { deliver })
    },
    visible: async () => taken,
    staged: async () => [],
    traces: async () => [],
    close: async () => {},
  }
})
