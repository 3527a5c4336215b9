import type { Islands } from '../../plan/life.ts'
import type { PartialRows } from '../../plan/step.ts'
import { type Held, partialsSql, type PartialsTable, stateName, type StateTable } from '../state/state.ts'

/**
 * Committed rows, if any of them are emitted, with an epoch's own that may share a window with them, and its others:
 * those are one row for each window and group, as their partial gave them.
 *
 * @param closesToUs where the last of the committed rows closes; null where none is emitted
 */
export function emittedParts(
  state: StateTable,
  closesToUs: bigint | null,
  own: PartialsTable | undefined,
): readonly PartialRows[] {
  const from = own && `SELECT * FROM ${own.name}`
  if (closesToUs === null) return from === undefined ? [] : [{ sql: from, isMerged: true }]
  const { closesAt } = state.channel
  const isBelow = own !== undefined && own.closesFromUs !== null && own.closesFromUs <= closesToUs
  const isAbove = own !== undefined && own.closesToUs !== null && own.closesToUs > closesToUs
  const below = isBelow ? `(${from} WHERE ${closesAt} <= ${closesToUs})` : undefined
  return [
    { sql: partialsSql(state, below), isMerged: false },
    ...(isAbove ? [{ sql: `${from} WHERE ${closesAt} > ${closesToUs}`, isMerged: true }] : []),
  ]
}

/**
 * Rows that live with islands. Which of those are closed shows only when they are merged; but what begins after all
 * committed rows, and touches none, is as its own partial gave it.
 *
 * @param main the stage's main state table
 */
export function islandParts(
  state: StateTable,
  main: StateTable,
  { firstUs, lastUs, touchUs }: Islands,
  held: Held | undefined,
  own: PartialsTable | undefined,
): readonly PartialRows[] {
  const all = own && `SELECT * FROM ${own.name}`
  if (held === undefined || held.rows === 0) return all === undefined ? [] : [{ sql: all, isMerged: true }]
  const border = `(SELECT max(${lastUs}) FROM ${stateName(main)}) + ${touchUs}`
  return [
    { sql: partialsSql(state, all && `(${all} WHERE ${firstUs} < ${border})`), isMerged: false },
    ...(all === undefined ? [] : [{ sql: `${all} WHERE ${firstUs} >= ${border}`, isMerged: true }]),
  ]
}
