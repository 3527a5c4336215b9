import { retrying } from '../../checkpoints/retry.ts'
import { MillraceError } from '../../src/core/errors.ts'
import type { CommittedOutput, EpochOutput, SinkPort, StagedOutput } from '../../src/core/sink-port.ts'
import type { SinkContext, SinkDuckdb } from '../../src/plan/sink.ts'
import { parquetRows } from '../../src/plan/sql.ts'
import { checkOwner, checkTerm, type Token } from '../lake/owner.ts'
import type { Catalog } from './catalog.ts'
import { changeFiles } from './changes.ts'
import { type DataWriter, namedFile, placedFrom, placedJson, placeRows } from './data-files.ts'
import { dueSnapshots, expireSnapshots } from './expiry.ts'
import { mainBranch, type TableMetadata, type Update } from './metadata.ts'
import { partitionsOf, specOf } from './partitions.ts'
import { type LostFile, lostFiles } from './orphans.ts'
import type { IcebergSettings } from './spec.ts'
import { prepareSnapshot } from './snapshot.ts'
import { tableColumns } from './rows.ts'
import { readableTable } from './table.ts'
import { filesOf, type IcebergTable, judge, ownToken } from './target.ts'
import { claimantOf, summaryOf, tokenOf, tokenProperties } from './token.ts'
import { schemaOf } from './types.ts'

/** A commit is tried so often while others come first. */
const attemptsMax = 50

export function openTable(settings: IcebergSettings, catalog: Catalog, context: SinkContext): SinkPort {
  const columns = tableColumns(context.columns)
  const partitions = partitionsOf(settings.partitionBy, columns, `${context.output}: iceberg: partitionBy`)
  const { key, retention } = settings
  const { checkpointId, pipeline, output: flow } = context
  const table: IcebergTable = {
    catalog,
    wanted: { address: catalog.address, columns, partitions, key },
    partitions,
    owner: { checkpointId, pipeline, flow },
    retention,
    context,
  }
  /** Epochs that were tried, and may have left files that no snapshot names. */
  const failed = new Set<number>()
  return {
    address: catalog.address,
    isOrdered: true,
    check: async isNewCheckpoint => void (await judge(table, isNewCheckpoint)),
    own: (isNewCheckpoint, term) => own(table, isNewCheckpoint, term),
    async through() {
      const found = await catalog.load()
      return found && ownToken(table, found)?.epoch
    },
    // Rows with a key are compared with those of the table, which are known when it is their turn.
    ...(!key && { stage: output => stage(table, output) }),
    async publish(output) {
      try {
        const published = await publish(table, output)
        if (failed.delete(output.epoch)) await deleteLeft(table, output)
        return published
      } catch (error) {
        failed.add(output.epoch)
        throw error
      }
    },
    orphans: (term, named) => deleteOrphans(table, term, named),
    table: readableTable(table),
  }
}

async function own(table: IcebergTable, isNewCheckpoint: boolean, term: number): Promise<void> {
  const { catalog, wanted, partitions, owner } = table
  const { address } = catalog
  await repeated(address, async () => {
    const found = await judge(table, isNewCheckpoint)
    if (found === undefined) {
      const schema = schemaOf(wanted.columns)
      const properties = tokenProperties({ ...owner, term, epoch: 0 })
      return catalog.create({ schema, spec: specOf(partitions, schema), properties })
    }
    const token = ownToken(table, found)
    if (token) checkTerm({ address }, token, term)
    if (token?.term === term) return { is: 'committed' }
    const updates = token ? tokenProperties({ term }) : tokenProperties({ ...owner, term, epoch: 0 })
    return catalog.commit(found, [{ action: 'set-properties', updates }])
  })
  await catalog.tidy()
}

/** Repeats a commit until it is made: what is not known to be made is looked at again by `attempt`. */
async function repeated(address: string, attempt: () => ReturnType<Catalog['commit']>): Promise<void> {
  let cause: unknown
  for (let count = 0; count < attemptsMax; count++) {
    const committed = await attempt()
    if (committed.is === 'committed') return
    cause = committed.is === 'unknown' ? committed.cause : undefined
  }
  throw new MillraceError(
    'retry',
    'store-unavailable',
    `${address}: a commit was tried ${attemptsMax} times, and others came first, or no answer was clear.`,
    cause,
  )
}

async function writerOf(table: IcebergTable, found: TableMetadata, duckdb: SinkDuckdb): Promise<DataWriter> {
  const { wanted, partitions, context } = table
  const files = await filesOf(table, found)
  return { files, table: found, columns: wanted.columns, partitions, duckdb, newId: context.newId }
}

async function loaded({ catalog }: IcebergTable): Promise<TableMetadata> {
  const found = await catalog.load()
  if (found) return found
  throw new MillraceError(
    'user',
    'output-missing',
    `${catalog.address}: the table is gone. Bring it back, or begin with a new checkpoint.`,
  )
}

/** Puts an epoch's rows where they will stay. No snapshot names them yet. */
async function stage(table: IcebergTable, { term, epoch, files }: EpochOutput): Promise<StagedOutput> {
  const found = await loaded(table)
  const placed = await table.context.duckdb(async duckdb =>
    placeRows(await writerOf(table, found, duckdb), parquetRows(files.map(({ file }) => file)), { term, epoch }),
  )
  return {
    receipt: placedJson(placed),
    files: placed.map(({ key, rows, bytes, sha256 }) => ({ name: key, rows, bytes, sha256 })),
    names: placed.map(({ key }) => key),
  }
}

async function publish(table: IcebergTable, output: CommittedOutput): Promise<'published' | 'already'> {
  const { catalog, context } = table
  const { term, epoch } = output
  const address = catalog.address
  let isThere = false
  let isDue = false
  await repeated(address, async () => {
    const found = await loaded(table)
    checkOwner(claimantOf({ ...table.owner, address }), tokenOf(found), true, false)
    const token = ownToken(table, found) as Token
    checkTerm({ address }, token, term)
    isThere = token.epoch >= epoch
    isDue = dueSnapshots(found, table.retention, context.nowMs()) !== undefined
    if (isThere) return { is: 'committed' }
    const change = await context.duckdb(async duckdb => changeOf(table, await writerOf(table, found, duckdb), output))
    return commitChange(table, found, change, epoch)
  })
  await catalog.tidy()
  if (isDue) {
    const after = await loaded(table)
    await expireSnapshots(catalog, await filesOf(table, after), after, table.retention, context.nowMs())
  }
  return isThere ? 'already' : 'published'
}

interface Change extends Awaited<ReturnType<typeof changeFiles>> {}

async function changeOf(
  { wanted: { key } }: IcebergTable,
  writer: DataWriter,
  { term, epoch, local, receipt }: CommittedOutput,
): Promise<Change> {
  if (key) return changeFiles(writer, local, key, { term, epoch })
  return { added: placedFrom(receipt).map(file => namedFile(writer, file)), removed: new Map(), placed: [] }
}

async function commitChange(
  table: IcebergTable,
  found: TableMetadata,
  { added, removed, placed }: Change,
  epoch: number,
): ReturnType<Catalog['commit']> {
  const { catalog, context, owner } = table
  const files = await filesOf(table, found)
  const summary = summaryOf({ checkpointId: owner.checkpointId, epoch })
  const { snapshot, written } = await prepareSnapshot(
    files,
    found,
    { added, removed, summary },
    context.newId,
    table.context.nowMs(),
  )
  const updates: readonly Update[] = [
    { action: 'add-snapshot', snapshot },
    { action: 'set-snapshot-ref', 'ref-name': mainBranch, type: 'branch', 'snapshot-id': snapshot['snapshot-id'] },
    { action: 'set-properties', updates: tokenProperties({ epoch }) },
  ]
  const committed = await catalog.commit(found, updates)
  // What is not known to be committed may be in use.
  if (committed.is === 'conflict') await retrying(files.sleep, () => files.store.delete([...written, ...placed]))
  return committed
}

/** Deletes data files of lower terms that neither a snapshot nor a manifest of HEAD names. */
function deleteOrphans(table: IcebergTable, term: number, named: (name: string) => boolean): Promise<number> {
  return deleteLost(table, file => file.term < term && !named(file.key))
}

/** Deletes what tries of an epoch have left that is published now. */
async function deleteLeft(table: IcebergTable, { term, epoch }: CommittedOutput): Promise<void> {
  await deleteLost(table, file => file.term === term && file.epoch === epoch)
}

async function deleteLost(table: IcebergTable, isGarbage: (file: LostFile) => boolean): Promise<number> {
  const found = await table.catalog.load()
  if (found === undefined) return 0
  const files = await filesOf(table, found)
  const { checkpointId, epoch: through } = ownToken(table, found) ?? { ...table.owner, epoch: 0 }
  const last = { checkpointId, epoch: through }
  const keys = await retrying(files.sleep, async () => {
    const lost = await lostFiles(files, found, last, table.wanted.key !== undefined)
    return lost.filter(isGarbage).map(({ key }) => key)
  })
  if (keys.length > 0) await retrying(files.sleep, () => files.store.delete(keys))
  return keys.length
}
