import type { Executor } from '../../core/ports.ts'
import type { Clocks } from '../../plan/clock.ts'
import type { Stage } from '../../plan/stages.ts'
import type { Applied } from '../fold/apply.ts'
import { adopt, type Held, heldRows, stateTables } from '../state/state.ts'

/** What lies in the state tables of a run. */
export interface LiveState {
  /** By state table's key. */
  held(): Promise<ReadonlyMap<string, Held>>
  /** After the commit: the tables take what the epoch leaves and drop what its watermark has closed. */
  adopt(applied: Pick<Applied, 'partials' | 'own'>, clocks: Clocks): Promise<void>
}

export function createLiveState(executor: Executor, stages: readonly Stage[]): LiveState {
  const states = stateTables(stages)
  const held = new Map<string, Held>()
  return {
    async held() {
      for (const state of states) if (!held.has(state.key)) held.set(state.key, await heldRows(executor, state))
      return held
    },
    async adopt(applied, clocks) {
      for (const state of states) {
        const table = applied.partials.get(state.key)
        const own = applied.own.get(state.key)
        const adopted = table === undefined || own === undefined ? undefined : { table, survivors: own.survivors }
        const before = held.get(state.key) as Held
        held.set(state.key, await adopt(executor, state, before, adopted, clocks[state.stage.id] ?? null))
      }
    },
  }
}
