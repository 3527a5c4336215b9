import type { Clock } from '../../plan/clock.ts'
import { orderOf, type Relation } from '../../plan/relation.ts'
import { applySteps, type Flow, type Stage } from '../../plan/stages.ts'
import type { Channel, PartialRows } from '../../plan/step.ts'
import { changedRows, changeUnit } from '../../plan/updates.ts'
import { type Held, partialsSql, type PartialsTable, type StateTable, stateTables } from '../state/state.ts'
import { type Work, writeOutput } from './work.ts'

/** What the state holds of a stage, and what the epoch brings. By state table's key. */
export interface StageRows {
  readonly held: ReadonlyMap<string, Held>
  readonly partials: ReadonlyMap<string, PartialsTable>
}

/**
 * Writes what an epoch's rows change of a stage's results, for the flows that ask for changes (S15). Each change is the
 * difference between a result out of the state alone and the same with the epoch's rows, both as the flow's last steps
 * make them. Only results that the rows belong to are looked at.
 *
 * @param epoch that is to be committed
 */
export async function writeChanges(
  work: Work,
  stage: Stage,
  { fromUs }: Clock,
  { held, partials }: StageRows,
  flows: readonly Flow[],
  epoch: number,
): Promise<void> {
  const { updates } = stage.step
  const main = partials.get(stage.id)
  if (!updates || flows.length === 0 || main === undefined || main.rows === 0) return
  const states = stateTables([stage])
  const stateOf = ({ name }: Channel) => states.find(({ channel }) => channel.name === name) as StateTable
  const freshOf = (state: StateTable) => partials.get(state.key)?.name
  const isNew = (state: StateTable) => (held.get(state.key)?.rows ?? 0) === 0
  const committed = (channel: Channel): readonly PartialRows[] => {
    const state = stateOf(channel)
    return isNew(state) ? [] : [{ sql: partialsSql(state), isMerged: false }]
  }
  const withFresh = (channel: Channel): readonly PartialRows[] => {
    const state = stateOf(channel)
    const fresh = freshOf(state)
    if (!isNew(state)) return [{ sql: partialsSql(state, fresh), isMerged: false }]
    return fresh === undefined ? [] : [{ sql: `SELECT * FROM ${fresh}`, isMerged: true }]
  }
  const units = flows.map(({ rows }) => changeUnit(rows.steps))
  // What whole windows differ by holds what their groups differ by.
  const unit = units.includes('window') ? 'window' : 'group'
  const touched = await work.table(updates.touched(unit, `SELECT * FROM ${main.name}`, fromUs))
  const results = async (partialsOf: typeof committed): Promise<Relation> => {
    const found = updates.results(unit, partialsOf, touched, fromUs)
    return { ...found, sql: `SELECT * FROM ${await work.table(found.sql)}` }
  }
  const [was, is] = [await results(committed), await results(withFresh)]
  for (const flow of flows) {
    const [before, after] = [was, is].map(rows => applySteps(rows, flow.rows.steps)) as [Relation, Relation]
    const changes = changedRows(before, after, orderOf(is), String(epoch))
    await writeOutput(work, flow, changes, orderOf(changes))
  }
}
