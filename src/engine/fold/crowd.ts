import { MillraceError } from '../../core/errors.ts'
import type { Executor } from '../../core/ports.ts'
import type { Stage } from '../../plan/stages.ts'
import type { Channel, Crowd, EpochView } from '../../plan/step.ts'
import { channelView, type Held, type PartialsTable, stateTable } from '../state/state.ts'

/** By state table's key: rows of earlier epochs, and of this one. */
type HeldRows = ReadonlyMap<string, Pick<Held, 'rows'>>
type OwnRows = ReadonlyMap<string, PartialsTable>

/** Fails where the epoch's rows would make more work than the step allows. */
export async function checkNewCrowd(executor: Executor, stage: Stage, held: HeldRows, own: OwnRows): Promise<void> {
  const { crowd } = stage.step
  if (crowd?.at !== 'new rows' || pairsAtMost(stage, crowd.sides, held, own) <= crowd.pairsMax) return
  const view = channelView(stage, own)
  await check(executor, stage, crowd, crowd.suspect(view), crowd.sql(view))
}

/** The same of what a watermark closes. */
export async function checkClosingCrowd(executor: Executor, stage: Stage, view: EpochView): Promise<void> {
  const { crowd } = stage.step
  if (crowd?.at === 'closing') await check(executor, stage, crowd, crowd.suspect(view), crowd.sql(view))
}

/** As many as if all rows had one key. */
function pairsAtMost(stage: Stage, sides: readonly Channel[], held: HeldRows, own: OwnRows): number {
  const counts = sides.map(channel => {
    const { key } = stateTable(stage, channel)
    const old = held.get(key)?.rows ?? 0
    return { old, all: old + (own.get(key)?.rows ?? 0) }
  })
  const product = (of: 'old' | 'all') => counts.reduce((pairs, count) => pairs * count[of], 1)
  return product('all') - product('old')
}

async function check(
  executor: Executor,
  { id, op, at }: Stage,
  { tells }: Crowd,
  suspect: string,
  sql: string,
): Promise<void> {
  const suspects = await executor.rows(suspect)
  if (suspects.length === 0) return
  const [row] = await executor.rows(sql)
  if (row) throw new MillraceError('fatal', 'crowded-key', `${op} (step ${id}): ${tells(row)}`, undefined, at)
}
