import { randomUUID } from 'node:crypto'
import type { RowsSource } from '../../../checkpoints/checkpoint-store.ts'
import type { Executor, WrittenFile } from '../../core/ports.ts'
import type { Clocks } from '../../plan/clock.ts'
import type { Stage } from '../../plan/stages.ts'
import { withRows } from './channels.ts'
import { aliveSql, segmentChannel, stateTables } from './state.ts'

/** Merges parts of a channel into one file: state by its own rule, without what is dead, and others as they are. */
export function mergeRows(
  executor: Executor,
  stages: readonly Stage[],
  channel: string,
  sources: readonly RowsSource[],
  to: string,
  { epoch, clocks }: { readonly epoch: number; readonly clocks: Clocks },
): Promise<WrittenFile> {
  return withRows(executor, sources, randomUUID, relation => {
    const rows = `SELECT * FROM ${relation}`
    const state = stateTables(stages).find(found => channel === segmentChannel(found))
    if (!state) return executor.write(rows, to, [])
    // What the watermark has closed was emitted (P11): a segment with one row far ahead would keep the rest for ever.
    const watermarkUs = clocks[state.stage.id] ?? null
    return executor.write(state.channel.merge(aliveSql(state, rows, watermarkUs, epoch)), to, state.channel.order)
  })
}
