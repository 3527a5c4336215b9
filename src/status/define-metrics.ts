import { Counter, Gauge, Histogram, type HistogramConfiguration, type Registry } from 'prom-client'
import type { RunEvent } from '../engine/report/events.ts'
import type { Measurement } from '../engine/report/running.ts'
import type { Monitor } from './monitor.ts'

/** Metrics that belong together. */
export interface MetricGroup {
  onEvent?(event: RunEvent): void
  /** Figures that are measured when they are asked for. */
  show?(found: Measurement): void
  watch?(monitor: Monitor): void
}

export type Define = ReturnType<typeof definer>

/** Makes metrics of this registry. */
export function definer(registry: Registry) {
  const registers = [registry]
  return {
    counter: <L extends string = never>(name: string, help: string, ...labelNames: L[]) =>
      new Counter({ name, help, labelNames, registers }),
    gauge: <L extends string = never>(name: string, help: string, ...labelNames: L[]) =>
      new Gauge({ name, help, labelNames, registers }),
    histogram: <L extends string = never>(options: HistogramConfiguration<L>) =>
      new Histogram({ ...options, registers }),
  }
}
