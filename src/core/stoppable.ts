import type { ObjectStore } from './ports.ts'

/**
 * The store with every call ended by the run's stop: one that does not answer would hold the process for hours. A write
 * that is broken off is in doubt, as after a crash, and the next start reads what became of it (P6).
 */
export function stoppable(store: ObjectStore, signal: AbortSignal): ObjectStore {
  return {
    ...store,
    get: (key, options) => store.get(key, { signal, ...options }),
    put: (key, body, ifMatch, own = signal) => store.put(key, body, ifMatch, own),
    copy: (from, to, own = signal) => store.copy(from, to, own),
    list: (prefix, after, own = signal, onLink, watch) => store.list(prefix, after, own, onLink, watch),
  }
}
