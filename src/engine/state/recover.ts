import type { Executor } from '../../core/ports.ts'
import type { Stage } from '../../plan/stages.ts'
import { type ChannelReader, eachPart } from './channels.ts'
import type { LedgerPosition } from './engine-state.ts'
import { noteIslands } from './islands.ts'
import { ledgerRowsSql } from './ledger.ts'
import { openLedger } from './open-ledger.ts'
import {
  aliveSql,
  columnList,
  createStateTable,
  gather,
  partialsSql,
  segmentChannel,
  stateName,
  type StateTable,
  stateTables,
} from './state.ts'

/** Loads state from what HEAD names, and opens the ledger, each file verified (P10). */
export async function loadState(
  reader: ChannelReader,
  stages: readonly Stage[],
  { clocks }: Pick<LedgerPosition, 'clocks'>,
  executor: Executor,
): Promise<void> {
  await openLedger(reader, executor)
  for (const state of stateTables(stages)) {
    await createStateTable(executor, state)
    const columns = columnList(state)
    const watermarkUs = clocks[state.stage.id] ?? null
    const isMerged = state.channel.life.is === 'merged'
    // A segment may hold rows that the watermark has closed since it was written.
    await eachPart(reader, executor, segmentChannel(state), rows =>
      executor.run(
        `INSERT INTO ${stateName(state)} (${columns}) ` +
          `${aliveSql(state, `SELECT * FROM ${rows}`, isMerged ? null : watermarkUs)}`,
      ),
    )
    if (isMerged) await recoverIslands(executor, state, reader.manifest.epoch, watermarkUs)
  }
}

/** Merges first, then judges: a row by itself does not tell whether what it belongs to goes on (P11). */
export async function recoverIslands(
  executor: Executor,
  state: StateTable,
  epoch: number,
  watermarkUs: bigint | null,
): Promise<void> {
  if (state.channel.name === '')
    await noteIslands(executor, state.stage, epoch, { sql: partialsSql(state), isMerged: false }, watermarkUs)
  await gather(executor, state, watermarkUs)
}

/** Fills a table that `createLedgerTable` made. */
export function loadLedger(reader: ChannelReader, executor: Executor, table: string): Promise<void> {
  // Parts that an earlier release wrote may lack a column: it is NULL.
  return eachPart(reader, executor, 'ledger', rows =>
    executor.run(`INSERT INTO ${table} BY NAME ${ledgerRowsSql(rows)}`),
  )
}
