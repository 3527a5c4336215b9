import { collectDefaultMetrics, Registry } from 'prom-client'
import type { RunEvent } from '../engine/report/events.ts'
import { metricGroups, type RunName } from './metric-groups.ts'
import type { Monitor } from './monitor.ts'
import type { RequestMeter } from './requests.ts'

export interface Metrics {
  readonly registry: Registry
  onEvent(event: RunEvent): void
  /** Text in Prometheus' format, with figures as new as the monitor has them. */
  render(): Promise<string>
}

/** The metrics of one run, in a registry of their own. `docs/metrics.md` lists them; a test compares. */
export function createMetrics(monitor: Monitor, run: RunName, requests: Pick<RequestMeter, 'totals'>): Metrics {
  const registry = new Registry()
  const groups = metricGroups(registry, run, requests)
  collectDefaultMetrics({ register: registry })
  return {
    registry,
    onEvent(event) {
      for (const group of groups) group.onEvent?.(event)
    },
    async render() {
      const found = await monitor.measured()
      if (found) for (const group of groups) group.show?.(found)
      for (const group of groups) group.watch?.(monitor)
      return registry.metrics()
    },
  }
}
