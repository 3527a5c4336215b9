import type { Executor } from '../../core/ports.ts'
import { id } from '../../plan/sql.ts'
import type { Stage } from '../../plan/stages.ts'
import type { Islands } from '../../plan/life.ts'
import type { PartialRows } from '../../plan/step.ts'

/*
 * The open islands of a stage whose rows die together (P11), each as its group and its reach. They lie in a table by
 * epoch: those of the last one that is committed and, from its apply on, of the one that is being committed. A merge
 * beside the epochs thereby sees what holds for its manifest, never what is not committed yet.
 */

/** The stage's islands, where it has any: all its channels live with them, or none. */
export function islandsOf({ step }: Pick<Stage, 'step'>): Islands | undefined {
  const { life } = step.channels[0]
  return life.is === 'merged' ? life : undefined
}

export const islandsTable = ({ id: stage }: Stage): string => id(`open_${stage}`)
const listOf = ({ columns }: Islands): string => Object.keys(columns).map(id).join(', ')

export async function createIslands(executor: Executor, stage: Stage): Promise<void> {
  const islands = islandsOf(stage) as Islands
  const columns = Object.entries(islands.columns).map(([name, type]) => `${id(name)} ${type}`)
  await executor.run(`CREATE TABLE ${islandsTable(stage)} (_epoch BIGINT, ${columns.join(', ')})`)
}

/**
 * SQL: islands that hold every living row of this epoch's manifest. Where a later epoch is committed, those of that
 * one: what they do not hold is dead for good. Dead islands may be among them, which touch nothing that lives.
 *
 * @param epoch absent: of the last one
 */
export function openIslands(stage: Stage, epoch?: number): string {
  const table = islandsTable(stage)
  const upTo = epoch === undefined ? '' : ` WHERE _epoch <= greatest(${epoch}, (SELECT min(_epoch) FROM ${table}))`
  return (
    `SELECT ${listOf(islandsOf(stage) as Islands)} FROM ${table} WHERE _epoch = (SELECT max(_epoch) FROM ` +
    `${table}${upTo})`
  )
}

/**
 * Notes which islands are open after an epoch, before it is committed.
 *
 * @param own its partial rows of the main channel
 * @returns where the first of them begins: no living row of any channel ends before that; null where none is open
 */
export async function noteIslands(
  executor: Executor,
  stage: Stage,
  epoch: number,
  own: PartialRows | undefined,
  watermarkUs: bigint | null,
): Promise<bigint | null> {
  const islands = islandsOf(stage) as Islands
  const table = islandsTable(stage)
  const list = listOf(islands)
  // An epoch that was given up may have left its own.
  await executor.run(`DELETE FROM ${table} WHERE _epoch >= ${epoch}`)
  await executor.run(`DELETE FROM ${table} WHERE _epoch < (SELECT max(_epoch) FROM ${table})`)
  const before = openIslands(stage)
  const { closesAt } = stage.step.channels[0]
  const alive = watermarkUs === null ? '' : ` WHERE ${closesAt} > ${watermarkUs}`
  // Most of what an epoch closes began in it, apart from all that was open: merged as it is, it tells itself that it is
  // dead.
  const lastUs = `(SELECT max(${islands.lastUs}) FROM (${before}))`
  const apart = `coalesce(${islands.firstUs} >= ${lastUs} + ${islands.touchUs}, TRUE)`
  const relevant =
    watermarkUs === null || !own?.isMerged ? '' : ` WHERE NOT (${closesAt} <= ${watermarkUs} AND ${apart})`
  const all = own === undefined ? before : `${before} UNION ALL SELECT ${list} FROM (${own.sql})${relevant}`
  await executor.run(`INSERT INTO ${table} SELECT ${epoch}, ${list} FROM (${islands.islands(all)})${alive}`)
  const [row] = await executor.rows(`SELECT min(${islands.firstUs}) AS first FROM ${table} WHERE _epoch = ${epoch}`)
  return (row?.first ?? null) as bigint | null
}
