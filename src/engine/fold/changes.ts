import type { Clock } from '../../plan/clock.ts'
import {
  type Emitted,
  goneColumn,
  orderOf,
  type Relation,
  resultColumn,
  resultOf,
  timeColumn,
} from '../../plan/relation.ts'
import { id } from '../../plan/sql.ts'
import { applySteps, type BoundNode, type Flow, type Stage } from '../../plan/stages.ts'
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
  touched(unit: ChangeUnit, fresh: string, committed: string): string
  results(unit: ChangeUnit, partials: EpochView['partials'], touched: string): Emitted
}

/** Results that an epoch's rows belong to, in tables. */
export interface Differing {
  readonly was: Emitted
  readonly is: Emitted
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
  if (!updates || flows.length === 0) return
  const differing = await resultsOf(work, stage, rows, unitOf(flows), {
    touched: (unit, fresh) => updates.touched(unit, fresh, fromUs),
    results: (unit, partials, touched) => updates.results(unit, partials, touched, fromUs),
  })
  if (differing) await writeDifferences(work, differing, flows, epoch)
}

/** What whole windows differ by holds what their groups differ by. */
export function unitOf(flows: readonly Flow[]): ChangeUnit {
  return flows.some(({ rows }) => changeUnit(rows.steps) === 'window') ? 'window' : 'group'
}

/**
 * Results out of the state alone, and the same with the epoch's rows. Only those that the rows belong to are looked at;
 * undefined where there are no rows.
 */
export async function resultsOf(
  work: Work,
  stage: Stage,
  { held, partials }: StageRows,
  unit: ChangeUnit,
  of: Results,
): Promise<Differing | undefined> {
  const main = partials.get(stage.id)
  if (main === undefined || main.rows === 0) return undefined
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
  const all = partialsSql(stateOf(stage.step.channels[0]))
  const touched = await work.table(of.touched(unit, `SELECT * FROM ${main.name}`, all))
  const results = async (partialsOf: typeof committed): Promise<Emitted> => {
    const found = of.results(unit, partialsOf, touched)
    return { ...found, sql: `SELECT * FROM ${await work.table(found.sql)}` }
  }
  return { was: await results(committed), is: await results(withFresh) }
}

/** Writes the differences between results, as the last steps of each flow make them. */
export async function writeDifferences(
  work: Work,
  { was, is }: Differing,
  flows: readonly Flow[],
  epoch: number,
): Promise<void> {
  for (const flow of flows) {
    const [before, after] = [was, is].map(rows => applySteps(rows, flow.rows.steps)) as [Relation, Relation]
    const changes = changedRows(before, after, orderOf(is), String(epoch))
    const write = flow.terminal.emit === 'update' ? writeOutput : writeCorrections
    await write(work, flow, changes, orderOf(changes))
  }
}

/**
 * The differences between results as rows for a step behind them, through the stateless steps in between: those that
 * are new or others, and with `_is_gone` those that are no more.
 *
 * @param seq of the entry that they belong to
 */
export function changedInput({ was, is }: Differing, steps: readonly BoundNode[], seq: number): Relation {
  const told = (rows: Emitted): Relation => {
    const items = [`${resultOf(rows)} AS ${resultColumn}`, `${rows.timeUs} AS ${timeColumn}`]
    const columns = Object.keys(rows.columns).map(id)
    return {
      sql: `SELECT ${[...items, ...columns].join(', ')} FROM (${rows.sql})`,
      columns: rows.columns,
      hidden: [resultColumn, timeColumn],
    }
  }
  const [before, after] = [was, is].map(rows => applySteps(told(rows), steps)) as [Relation, Relation]
  const { sql } = changedRows(before, after, [resultColumn, timeColumn], '0')
  const items = [
    `CAST(${seq} AS BIGINT) AS _seq`,
    `row_number() OVER (ORDER BY ${resultColumn}) - 1 AS _row`,
    timeColumn,
    resultColumn,
    `_op = 'delete' AS ${goneColumn}`,
  ]
  return {
    sql: `SELECT ${[...items, ...Object.keys(after.columns).map(id)].join(', ')} FROM (${sql})`,
    columns: after.columns,
    hidden: ['_seq', '_row', timeColumn, resultColumn, goneColumn],
  }
}
