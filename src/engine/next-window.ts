import type { Executor } from '../core/ports.ts'
import { text } from '../plan/sql.ts'
import { type Flow, type Stage, stagesOf } from '../plan/stages.ts'
import { beginning } from '../plan/watermark.ts'
import { holdOf, type SourceRecord } from './inspect/holds.ts'
import type { Run } from './open-run.ts'
import type { MarkedBy, WindowFacts } from './report/why.ts'
import type { LedgerPosition } from './state/engine-state.ts'
import { openWindowsOf, stateTable } from './state/state.ts'

/** What the sentence about a window of a run is made of. */
export interface NextWindowContext extends Pick<Run, 'flows' | 'sources' | 'isSealed'> {
  readonly executor: Pick<Executor, 'rows'>
}

/**
 * The open window of a stage that closes next, and what holds it: null where none is open.
 *
 * @param fromUs only windows that begin at or before this time; absent: any
 */
export async function nextWindow(
  context: NextWindowContext,
  stage: Stage,
  position: Pick<LedgerPosition, 'sources' | 'clocks'>,
  fromUs?: bigint,
): Promise<WindowFacts | null> {
  const { executor, flows, sources, isSealed } = context
  const open = openWindowsOf(stateTable(stage, stage.step.channels[0]), position.clocks)
  if (open === undefined) return null
  const [row] = await executor.rows(
    `SELECT * FROM (${open})${fromUs === undefined ? '' : ` WHERE _window_start <= ${fromUs}`} ` +
      'ORDER BY _window_end, _window_start LIMIT 1',
  )
  if (!row) return null
  const flow = flows.find(one => stagesOf(one).includes(stage)) as Flow
  const endUs = row._window_end as bigint
  const closesAtUs = endUs + stage.step.holdUs
  const definitions = [...sources.values()].map(({ fetch: { settings }, live }) => ({ settings, live }))
  const records = new Map<string, SourceRecord>()
  for (const { settings } of definitions)
    records.set(settings.name, await recordOf(executor, settings.name, position, settings.delayUs))
  const nothing: SourceRecord = { by: null, objects: 0, read: 0 }
  const hold = holdOf(stage, closesAtUs, position, definitions, source => records.get(source) ?? nothing)
  return {
    flow: flow.name,
    startUs: row._window_start as bigint,
    endUs,
    closesAtUs,
    isUpdating: flow.terminal.emit === 'update',
    isSealed,
    stands: { is: 'open', groups: Number(row.groups), behind: [], hold },
  }
}

/** What is known of a source without going through the ledger, which tells the object that its watermark is of. */
async function recordOf(
  executor: Pick<Executor, 'rows'>,
  source: string,
  { sources }: Pick<LedgerPosition, 'sources'>,
  delayUs: string | undefined,
): Promise<SourceRecord> {
  const { watermarkUs, highMarkUs } = sources[source] ?? beginning
  if (watermarkUs !== null) {
    const isOfMark = delayUs !== undefined && highMarkUs !== null && watermarkUs === highMarkUs - BigInt(delayUs)
    const by: MarkedBy = isOfMark ? { is: 'mark', highMarkUs } : { is: 'moved' }
    return { by, objects: 0, read: 0 }
  }
  const [row] = await executor.rows(
    `SELECT count(*) AS objects, count(*) FILTER (outcome = 'read') AS read FROM ledger ` +
      `WHERE "is" = 'object' AND source = ${text(source)}`,
  )
  return { by: null, objects: Number(row?.objects), read: Number(row?.read) }
}
