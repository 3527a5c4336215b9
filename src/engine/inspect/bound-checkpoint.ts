import { randomUUID } from 'node:crypto'
import { bindFlows } from '../../plan/bind.ts'
import { createGate } from '../../plan/gate.ts'
import type { Pipeline } from '../../plan/pipeline.ts'
import type { StepIds } from '../../plan/plan-ids.ts'
import type { SourceDefinition } from '../../plan/source-definition.ts'
import { clockShape, type Flow, type Stage, stagesInOrder } from '../../plan/stages.ts'
import { describeFlows } from '../bind/describe-flows.ts'
import { checkPlan, fitPlan } from '../bind/fit-plan.ts'
import { components } from '../components.ts'
import type { SessionExecutor } from '../duckdb/executor.ts'
import { openSession } from '../duckdb/session.ts'
import type { ChannelReader } from '../state/channels.ts'
import { type LedgerPosition, positionOf } from '../state/engine-state.ts'
import { readCheckpoint } from '../state/read-checkpoint.ts'
import { loadState } from '../state/recover.ts'

/** A pipeline beside its checkpoint, with state and ledger loaded as a run would, and nothing claimed. */
export interface BoundCheckpoint {
  readonly address: string
  readonly reader: ChannelReader
  readonly executor: SessionExecutor
  /** Where objects may be brought to be read. */
  readonly spool: string
  readonly definitions: readonly SourceDefinition[]
  readonly flows: readonly Flow[]
  /** Each stage of the flows once, those before others first. */
  readonly stages: readonly Stage[]
  /** Of the steps of each flow. */
  readonly ids: readonly StepIds[]
  readonly position: LedgerPosition
}

/**
 * Binds a pipeline to what its checkpoint holds: safe beside a running owner.
 *
 * @param address absent: the pipeline's own
 * @throws MillraceError `user` where there is no checkpoint, and where another plan wrote it
 */
export async function withBoundCheckpoint<T>(
  pipeline: Pipeline,
  address: string | undefined,
  work: (found: BoundCheckpoint) => Promise<T>,
): Promise<T> {
  const { definitions, terminals, unsubscribe } = await describeFlows(pipeline)
  unsubscribe()
  const session = await openSession({})
  try {
    const executor = await session.executor(new AbortController().signal)
    const gate = createGate(executor)
    const bound = await bindFlows(terminals, gate, executor)
    const at = address ?? pipeline.checkpoint
    const found = await readCheckpoint(components, at, 'checkpoint', session.stage)
    const { manifest } = found.head
    await checkPlan(manifest, pipeline.name, bound, gate, found.address)
    const { flows, ids } = await fitPlan(manifest, pipeline.name, bound, gate)
    const stages = stagesInOrder(flows)
    const sources = definitions.map(({ settings }) => settings.name)
    const position = positionOf(manifest, sources, stages.map(clockShape))
    const reader = { checkpoint: found.checkpoint, manifest, stage: session.stage, newId: randomUUID }
    await loadState(reader, stages, position, executor)
    const { spool } = session
    return await work({ address: found.address, reader, executor, spool, definitions, flows, stages, ids, position })
  } finally {
    await session.close()
  }
}
