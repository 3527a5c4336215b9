import type { Clock } from '../../plan/clock.ts'
import { type Emitted, orderOf, type Relation } from '../../plan/relation.ts'
import { applySteps, type Flow, type Stage } from '../../plan/stages.ts'
import type { ChangeUnit, EpochView, PartialRows, StateChannel } from '../../plan/step.ts'
import { changedRows, changeUnit } from '../../plan/updates.ts'
import { type Held, partialsSql, type PartialsTable, type StateTable, stateTables } from '../state/state.ts'
import { type Work, writeCorrections, writeOutput } from './work.ts'

/** What the state holds of a stage, and what the epoch brings. By state table's key. */
export interface StageRows {
  readonly held: ReadonlyMap<string, Held>
  readonly partials: ReadonlyMap<string, PartialsTable>
}

/** What results are before an epoch's rows and with them: which to look at, and how they come out of partial rows. */
export interface Results {
  touched(unit: ChangeUnit, fresh: string): string
  results(unit: ChangeUnit, partials: EpochView['partials'], touched: string): Emitted
}

/**
 * Writes what an epoch's rows change of a stage's results, for the flows that ask for changes (S15).
 *
 * @param epoch that is to be committed
 */
export async function writeChanges(
  work: Work,
  stage: Stage,
  { fromUs }: Clock,
  rows: StageRows,
  flows: readonly Flow[],
  epoch: number,
): Promise<void> {
  const { updates } = stage.step
  if (!updates) return
  const results: Results = {
    touched: (unit, fresh) => updates.touched(unit, fresh, fromUs),
    results: (unit, partials, touched) => updates.results(unit, partials, touched, fromUs),
  }
  await writeDifferences(work, stage, results, rows, flows, epoch)
}

/**
 * Writes the differences between results out of the state alone and the same with the epoch's rows, both as the last
 * steps of each flow make them. Only results that the rows belong to are looked at.
 */
export async function writeDifferences(
  work: Work,
  stage: Stage,
  of: Results,
  { held, partials }: StageRows,
  flows: readonly Flow[],
  epoch: number,
): Promise<void> {
  const main = partials.get(stage.id)
  if (flows.length === 0 || main === undefined || main.rows === 0) return
  const states = stateTables([stage])
  const stateOf = ({ name }: StateChannel) => states.find(({ channel }) => channel.name === name) as StateTable
  const freshOf = (state: StateTable) => partials.get(state.key)?.name
  const isNew = (state: StateTable) => (held.get(state.key)?.rows ?? 0) === 0
  const committed = (channel: StateChannel): readonly PartialRows[] => {
    const state = stateOf(channel)
    return isNew(state) ? [] : [{ sql: partialsSql(state), isMerged: false }]
  }
  const withFresh = (channel: StateChannel): readonly PartialRows[] => {
    const state = stateOf(channel)
    const fresh = freshOf(state)
    if (!isNew(state)) return [{ sql: partialsSql(state, fresh), isMerged: false }]
    return fresh === undefined ? [] : [{ sql: `SELECT * FROM ${fresh}`, isMerged: true }]
  }
  const units = flows.map(({ rows }) => changeUnit(rows.steps))
  // What whole windows differ by holds what their groups differ by.
  const unit = units.includes('window') ? 'window' : 'group'
  const touched = await work.table(of.touched(unit, `SELECT * FROM ${main.name}`))
  const results = async (partialsOf: typeof committed): Promise<Relation> => {
    const found = of.results(unit, partialsOf, touched)
    return { ...found, sql: `SELECT * FROM ${await work.table(found.sql)}` }
  }
  const [was, is] = [await results(committed), await results(withFresh)]
  for (const flow of flows) {
    const [before, after] = [was, is].map(rows => applySteps(rows, flow.rows.steps)) as [Relation, Relation]
    const changes = changedRows(before, after, orderOf(is), String(epoch))
    const write = flow.terminal.emit === 'update' ? writeOutput : writeCorrections
    await write(work, flow, changes, orderOf(changes))
  }
}
