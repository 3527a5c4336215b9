import type { SinkContext } from '../../src/plan/sink.ts'
import { checkOwner, type Token } from '../lake/owner.ts'
import type { Catalog } from './catalog.ts'
import type { Retention } from './expiry.ts'
import { checkFit, type Wanted } from './fit.ts'
import type { TableMetadata } from './metadata.ts'
import type { Partition } from './partitions.ts'
import { type TableFiles, tableFiles } from './table-files.ts'
import { claimantOf, tokenOf } from './token.ts'

/** A table of Iceberg as one flow of one checkpoint writes it. */
export interface IcebergTable {
  readonly catalog: Catalog
  readonly wanted: Wanted
  readonly partitions: readonly Partition[]
  readonly owner: Pick<Token, 'checkpointId' | 'pipeline' | 'flow'>
  readonly retention: Retention
  readonly context: SinkContext
}

/** What this flow has written of itself. */
export function ownToken({ owner }: IcebergTable, found: TableMetadata): Token | undefined {
  const token = tokenOf(found)
  return token?.checkpointId === owner.checkpointId && token.flow === owner.flow ? token : undefined
}

/** @throws MillraceError `user` where the table is another's, gone, or does not fit */
export async function judge(table: IcebergTable, isNewCheckpoint: boolean): Promise<TableMetadata | undefined> {
  const { catalog, wanted, owner } = table
  const found = await catalog.load()
  const token = found && tokenOf(found)
  checkOwner(claimantOf({ ...owner, address: catalog.address }), token, found !== undefined, isNewCheckpoint)
  if (found) checkFit(wanted, found)
  return found
}

export async function filesOf({ catalog, context }: IcebergTable, found: TableMetadata): Promise<TableFiles> {
  return tableFiles(await catalog.storeOf(found), found, context.sleep)
}
