import type { ObjectStore } from '../../src/core/ports.ts'
import type { CommittedOutput } from '../../src/core/sink-port.ts'
import type { SinkContext, SinkDuckdb } from '../../src/plan/sink.ts'
import { checkOwner, checkTerm, type Token } from '../lake/owner.ts'
import type { Catalog, CatalogDatabase } from './catalog.ts'
import {
  applyChanges,
  type ChangeMeans,
  type Changes,
  dropChanges,
  stateName,
  tableState,
  workOutChanges,
} from './changes.ts'
import { addDataFile, countRows } from './commit.ts'
import { checkThere, type DataFile, fromReceipt } from './data-files.ts'
import { dueFiles, expireSnapshots, forgetFiles, oldestSnapshot } from './history.ts'
import { addSnapshot } from './lake.ts'
import { filesToMerge, mergeFiles, type MergeMeans, replaceFiles } from './merge.ts'
import type { DucklakeAccess } from './spec.ts'
import { type FoundTable, findTable, type WantedTable } from './table.ts'
import { type TableFile, tableFiles } from './table-files.ts'
import { claimantOf, readToken, type TokenOwner, writeToken } from './token.ts'

/** A table as its sink looks for it. */
export interface Target extends WantedTable, TokenOwner {}

/** What the parts of the sink share. */
export interface Means {
  readonly store: ObjectStore
  readonly catalog: Catalog
  readonly target: Target
  readonly context: SinkContext
  readonly access: DucklakeAccess
  /** Where the table's files lie: made with the table, so it never changes. */
  prefix(): Promise<string>
}

/** What publishing came to. */
type Done =
  | { readonly is: 'already'; readonly named: ReadonlySet<string> }
  | { readonly is: 'published'; readonly named: ReadonlySet<string>; readonly table: FoundTable; readonly due: Due }

/** What an epoch makes due. */
interface Due {
  readonly sources: readonly TableFile[]
  readonly oldest: bigint
}

/** One snapshot with the epoch's rows and its token; what that makes due follows it. */
export async function publish(means: Means, committed: CommittedOutput): Promise<'published' | 'already'> {
  const { catalog, target, store } = means
  const { term, epoch } = committed
  const placed = new Set<string>()
  const work = target.key ? changesOf(means, committed, placed) : rowsOf(means, committed)
  let done: Done
  try {
    done = await catalog.change<Done>(async (database, isNew, duckdb) => {
      const token = isNew ? undefined : await readToken(database, target)
      const found = isNew ? undefined : await findTable(database, target)
      checkOwner(claimantOf(target), token, found !== undefined, false)
      if (token) checkTerm(target, token, term)
      const already = async () =>
        ({ is: 'already', named: found ? await namedKeys(database, found) : new Set<string>() }) as const
      if (!token || !found || token.epoch >= epoch) return { result: await already(), isChanged: false }
      await work.apply(database, found, duckdb)
      await writeToken(database, target, { ...token, term, epoch })
      const due = await tidy(means, database, found)
      const named = placed.size > 0 ? await namedKeys(database, found) : placed
      return { result: { is: 'published', named, table: found, due }, isChanged: true }
    })
  } finally {
    await work.end()
  }
  // Of tries that another writer's came before. After an error nobody knows: what is lost then goes at the next claim.
  const lost = [...placed].filter(key => !done.named.has(key))
  if (lost.length > 0) await store.delete(lost)
  if (done.is === 'published') await merge(means, committed, done.table, done.due)
  return done.is
}

/** How an epoch's rows come into a catalog; again where another writer's come first. */
interface EpochWork {
  apply(database: CatalogDatabase, table: FoundTable, duckdb: SinkDuckdb): Promise<void>
  end(): Promise<void>
}

function snapshotOf({ target: { flow, checkpointId }, context: { pipeline } }: Means, epoch: number) {
  return {
    message: `${pipeline}: ${flow}, epoch ${epoch}`,
    extra: JSON.stringify({ checkpoint: checkpointId, flow, epoch }),
  }
}

function rowsOf(means: Means, { epoch, receipt }: CommittedOutput): EpochWork {
  const { store, target, context } = means
  const files = fromReceipt(receipt)
  return {
    async apply(database, found) {
      await checkThere(store, found.prefix, files, context.sleep)
      await addRows(means, database, { ...target, ...found }, files, epoch)
    },
    end: async () => {},
  }
}

async function addRows(
  means: Means,
  database: CatalogDatabase,
  target: Target & FoundTable,
  files: readonly DataFile[],
  epoch: number,
): Promise<void> {
  if (files.length === 0) return
  const { snapshot, fileId } = await addSnapshot(database, {
    changes: `inserted_into_table:${target.tableId}`,
    ...snapshotOf(means, epoch),
    fileIds: files.length,
  })
  let rowIdStart = await countRows(database, target, files)
  for (const [index, file] of files.entries()) {
    await addDataFile(database, target, file, { fileId: fileId + BigInt(index), begin: snapshot, rowIdStart })
    rowIdStart += BigInt(file.rows)
  }
}

/** @param placed gets the keys of the files that are placed, whether a catalog names them or not */
function changesOf(means: Means, committed: CommittedOutput, placed: Set<string>): EpochWork {
  const { store, target, context } = means
  const { term, epoch, local } = committed
  const { columns, key = [], address } = target
  const onPlaced = (name: string) => void placed.add(name)
  let changes: Changes | undefined
  return {
    async apply(database, table, duckdb) {
      const of: ChangeMeans = { store, table, columns, key, context, address, term, epoch }
      const state = await tableState(database, of)
      // Commits of other tables change nothing about this one.
      if (changes?.state !== stateName(state)) {
        if (changes) await dropChanges(changes)
        changes = undefined
        changes = await workOutChanges(duckdb, of, state, local, onPlaced)
      }
      await applyChanges(database, duckdb, of, changes, snapshotOf(means, epoch), onPlaced)
    },
    async end() {
      if (changes) await dropChanges(changes)
    },
  }
}

/** Gives up what is too old, and finds what is to be merged. */
async function tidy({ target, store, access }: Means, database: CatalogDatabase, found: FoundTable): Promise<Due> {
  await expireSnapshots(database, access)
  // Deleted twice, where the catalog is written by somebody else meanwhile, they are gone as well.
  const due = await dueFiles(database, found)
  if (due.length > 0) await store.delete(due)
  await forgetFiles(database, found)
  const sources = filesToMerge(await tableFiles(database, found), target.key !== undefined)
  return { sources, oldest: await oldestSnapshot(database) }
}

/** Makes one of many small files: what an epoch costs must not grow with the number of epochs. */
async function merge(
  { catalog, target, context, store }: Means,
  { term, epoch }: Pick<CommittedOutput, 'term' | 'epoch'>,
  table: FoundTable,
  { sources, oldest }: Due,
): Promise<void> {
  if (sources.length === 0) return
  const { columns, key, address } = target
  const means: MergeMeans = { store, columns, key, address, table, context, term, epoch, oldest }
  const merged = await context.duckdb(duckdb => mergeFiles(duckdb, means, sources))
  await catalog.change(async (database, isNew) => {
    const token: Token | undefined = isNew ? undefined : await readToken(database, target)
    if (token) checkTerm(target, token, term)
    const isChanged = token !== undefined && (await replaceFiles(database, means, sources, merged))
    return { result: undefined, isChanged }
  })
}

/** The keys of all files of the table that the catalog names. */
export async function namedKeys({ prefix, rows }: CatalogDatabase, found: FoundTable): Promise<ReadonlySet<string>> {
  const of = (table: string) => `SELECT path FROM ${prefix}${table} WHERE table_id = ${found.tableId}`
  const paths = await rows(`${of('data_file')} UNION ALL ${of('delete_file')}`)
  const leaving = await rows(`SELECT path FROM ${prefix}files_scheduled_for_deletion`)
  return new Set([
    ...paths.map(({ path }) => `${found.prefix}${String(path)}`),
    ...leaving.map(({ path }) => String(path)),
  ])
}
