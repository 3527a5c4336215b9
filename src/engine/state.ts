import type { Executor } from '../core/ports.ts'
import { id } from '../plan/sql.ts'
import type { StatefulNode } from '../plan/stages.ts'

/** A stateful node's committed partial rows, in a DuckDB table that spills. Segments in the checkpoint are the truth. */
export const stateTable = (node: StatefulNode): string => `state_${node.id}`

const columnList = (node: StatefulNode): string => Object.keys(node.step.partialColumns).map(id).join(', ')

export async function createStateTable(executor: Executor, node: StatefulNode): Promise<void> {
  const columns = Object.entries(node.step.partialColumns).map(([name, type]) => `${id(name)} ${type}`)
  await executor.run(`CREATE TABLE ${stateTable(node)} (${columns.join(', ')})`)
}

/** Every partial row so far: committed state and, where given, an epoch's own. */
export function partialsSql(node: StatefulNode, table?: string): string {
  const columns = columnList(node)
  const state = `SELECT ${columns} FROM ${stateTable(node)}`
  return table === undefined ? state : `${state} UNION ALL SELECT ${columns} FROM ${table}`
}

/** The epoch's partial rows that outlive this watermark: its segment. */
export function survivorsSql(node: StatefulNode, table: string, watermarkUs: bigint | null): string {
  return `SELECT ${columnList(node)} FROM ${table}${watermarkUs === null ? '' : ` WHERE ${node.step.closesAt} > ${watermarkUs}`}`
}

/** After the commit: the state adopts the epoch's survivors and drops what the watermark has closed (P11). */
export async function adopt(
  executor: Executor,
  node: StatefulNode,
  table: string | undefined,
  watermarkUs: bigint | null,
): Promise<void> {
  if (watermarkUs !== null)
    await executor.run(`DELETE FROM ${stateTable(node)} WHERE ${node.step.closesAt} <= ${watermarkUs}`)
  if (table === undefined) return
  await executor.run(`INSERT INTO ${stateTable(node)} (${columnList(node)}) ${survivorsSql(node, table, watermarkUs)}`)
}

/** The largest closing threshold of state whose rows lie at or below the highest high mark (S6); null when there is none. */
export async function flushWatermark(
  executor: Executor,
  nodes: readonly StatefulNode[],
  highMarkUs: bigint,
): Promise<bigint | null> {
  let largest: bigint | null = null
  for (const node of nodes) {
    const [row] = await executor.rows(`SELECT max(${node.step.flushAt(highMarkUs)}) AS f FROM ${stateTable(node)}`)
    const found = (row?.f ?? null) as bigint | null
    if (found !== null && (largest === null || found > largest)) largest = found
  }
  return largest
}
