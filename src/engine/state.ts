import type { Executor } from '../core/ports.ts'
import { id } from '../plan/sql.ts'
import type { StatefulNode } from '../plan/stages.ts'
import type { PartialTable } from '../plan/step.ts'

/** A node's partial rows of one grain: names its state table and its channel of segments. */
export interface StateTable {
  readonly node: StatefulNode
  readonly table: PartialTable
  /** `<node>` or `<node>-<table>`. */
  readonly key: string
}

export function stateTables(nodes: readonly StatefulNode[]): readonly StateTable[] {
  return nodes.flatMap(node =>
    node.step.tables.map(table => ({ node, table, key: table.name === '' ? node.id : `${node.id}-${table.name}` })),
  )
}

/** Committed partial rows lie in a DuckDB table that spills. Segments in the checkpoint are the truth. */
export const stateName = ({ key }: StateTable): string => id(`state_${key}`)
export const segmentChannel = ({ key }: StateTable): string => `segment-${key}`

export const columnList = ({ table }: StateTable): string => Object.keys(table.columns).map(id).join(', ')

export async function createStateTable(executor: Executor, state: StateTable): Promise<void> {
  const columns = Object.entries(state.table.columns).map(([name, type]) => `${id(name)} ${type}`)
  await executor.run(`CREATE TABLE ${stateName(state)} (${columns.join(', ')})`)
}

/** Every partial row so far: committed state and, where given, an epoch's own table. */
export function partialsSql(state: StateTable, own?: string): string {
  const columns = columnList(state)
  const committed = `SELECT ${columns} FROM ${stateName(state)}`
  return own === undefined ? committed : `${committed} UNION ALL SELECT ${columns} FROM ${own}`
}

/** The epoch's partial rows that outlive this watermark: its segment. */
export function survivorsSql(state: StateTable, own: string, watermarkUs: bigint | null): string {
  const alive = watermarkUs === null ? '' : ` WHERE ${state.node.step.closesAt} > ${watermarkUs}`
  return `SELECT ${columnList(state)} FROM ${own}${alive}`
}

/** After the commit: the state adopts the epoch's survivors and drops what the watermark has closed (P11). */
export async function adopt(
  executor: Executor,
  state: StateTable,
  own: string | undefined,
  watermarkUs: bigint | null,
): Promise<void> {
  const name = stateName(state)
  if (watermarkUs !== null)
    await executor.run(`DELETE FROM ${name} WHERE ${state.node.step.closesAt} <= ${watermarkUs}`)
  if (own !== undefined)
    await executor.run(`INSERT INTO ${name} (${columnList(state)}) ${survivorsSql(state, own, watermarkUs)}`)
}

/** The largest closing threshold of state whose rows lie at or below the highest high mark (S6); null when there is none. */
export async function flushWatermark(
  executor: Executor,
  states: readonly StateTable[],
  highMarkUs: bigint,
): Promise<bigint | null> {
  let largest: bigint | null = null
  for (const state of states.filter(({ table }) => table.name === '')) {
    const [row] = await executor.rows(
      `SELECT max(${state.node.step.flushAt(highMarkUs)}) AS f FROM ${stateName(state)}`,
    )
    const found = (row?.f ?? null) as bigint | null
    if (found !== null && (largest === null || found > largest)) largest = found
  }
  return largest
}
