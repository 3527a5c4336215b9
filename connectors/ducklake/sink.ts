import { retrying } from '../../checkpoints/retry.ts'
import { configError } from '../../src/core/errors.ts'
import { atOnce } from '../../src/core/at-once.ts'
import { objectAddress } from '../../src/core/object-address.ts'
import type { ObjectStore } from '../../src/core/ports.ts'
import type { CommittedOutput, EpochOutput, SinkPort, StagedOutput } from '../../src/core/sink-port.ts'
import type { ColumnTypes } from '../../src/plan/relation.ts'
import type { SinkContext, SinkKind, SinkRows } from '../../src/plan/sink.ts'
import { id } from '../../src/plan/sql.ts'
import { parseDirectoryAddress } from '../directory/spec.ts'
import { type Catalog, type CatalogDatabase, openCatalog } from './catalog.ts'
import { fieldIds, lakeColumns, tableColumns } from './columns.ts'
import { addDataFile, countRows } from './commit.ts'
import {
  checkThere,
  type DataFile,
  describeFile,
  fileName,
  fromReceipt,
  parseFileName,
  toReceipt,
  upload,
} from './data-files.ts'
import { dueFiles, expireSnapshots, forgetFiles } from './history.ts'
import { addSnapshot, checkLake, makeLake } from './lake.ts'
import { filesToMerge, mergeFiles, replaceFiles, type Source } from './merge.ts'
import { epochSnapshots, listFiles, relationOf } from './rows.ts'
import { accessDefault, ducklake, type DucklakeAccess, ducklakeOptions, type DucklakeSink } from './spec.ts'
import { type FoundTable, findTable, makeTable, type WantedTable } from './table.ts'
import { checkOwner, checkTerm } from '../lake/owner.ts'
import { claimantOf, readToken, type TokenOwner, writeToken } from './token.ts'

/** Rows of a table of a DuckLake, whose catalog lies beside its files. */
export const ducklakeKind: SinkKind<DucklakeSink> = {
  kind: 'ducklake',
  call: 'ducklake(...)',
  options: ducklakeOptions,
  make: ({ uri, ...options }) => ducklake(uri as string, options as never),
  isFolder: true,
  rows: lakeRows,
  remade: inFolderOfLake,
  open: openDucklake,
}

/** Its port tells of the table: 's3://bucket/lake/main.sales?region=eu-west-1'. */
function inFolderOfLake(stored: DucklakeSink): DucklakeSink {
  return { ...stored, uri: stored.uri.replace(/[/][^/?]*(\?[^?]*)?$/, '$1') }
}

/** Requests of one epoch that are under way at once. */
const atOnceMax = 8

/** All columns, numbered as the table has them. */
function lakeRows(_sink: DucklakeSink, columns: ColumnTypes, at: string, changesBy?: readonly string[]): SinkRows {
  const own = tableColumns(columns)
  if (changesBy) throw configError(`${at}: emit`, 'update', 'none: ducklake(...) adds rows, and does not change them')
  return {
    items: own.map(({ name }) => id(name)).join(', '),
    form: { format: 'parquet', fieldIds: fieldIds(lakeColumns(columns)) },
  }
}

/** A table as its sink looks for it. */
interface Target extends WantedTable, TokenOwner {}

/** What the parts of the sink share. */
interface Means {
  readonly store: ObjectStore
  readonly catalog: Catalog
  readonly target: Target
  readonly context: SinkContext
  readonly access: DucklakeAccess
  /** Where the table's files lie: made with the table, so it never changes. */
  prefix(): Promise<string>
}

export async function openDucklake(sink: DucklakeSink, context: SinkContext): Promise<SinkPort> {
  const { schema = 'main', table } = sink
  const store = await context.openStore(sink.uri)
  const catalog = openCatalog(store, context)
  const address = objectAddress(store.address, `${schema}.${table}`)
  // S3's parameters stay with the address that the checkpoint keeps: without them the lake is not found again.
  const [parameters = ''] = /\?[^?]*$/.exec(store.address.startsWith('s3:') ? store.address : '') ?? []
  const target: Target = {
    schema,
    table,
    columns: lakeColumns(context.columns),
    address,
    checkpointId: context.checkpointId,
    flow: context.output,
  }
  let prefix: string | undefined
  const means: Means = {
    store,
    catalog,
    target,
    context,
    access: sink.access?.() ?? accessDefault,
    prefix: async () => (prefix ??= await findPrefix(catalog, target)),
  }
  return {
    address: `${address}${parameters}`,
    isOrdered: true,
    check: isNewCheckpoint => catalog.read(async database => void (await judge(means, database, isNewCheckpoint))),
    own: (isNewCheckpoint, term) => own(means, isNewCheckpoint, term),
    through: () => catalog.read(async database => (database && (await readToken(database, target))?.epoch) ?? 0),
    stage: output => stage(means, output),
    publish: committed => publish(means, committed),
    orphans: (term, named) => orphans(means, term, named),
    // What is published belongs to the table.
    discard: async () => {},
    table: {
      async rows() {
        const files = await catalog.read(async database => {
          // Without a table, `judge` throws.
          const { found } = (await judge(means, database, false)) as { readonly found: FoundTable }
          return listFiles(database as CatalogDatabase, found, address)
        })
        return relationOf(store, context, target.columns, files)
      },
      versions: () =>
        catalog.read(async database =>
          database ? epochSnapshots(database, context.checkpointId, context.output) : new Map(),
        ),
    },
  }
}

/** @throws MillraceError `user` where the table is another's, gone or unfit */
async function judge({ target }: Means, database: CatalogDatabase | undefined, isNewCheckpoint: boolean) {
  if (database) await checkLake(database, target.address)
  const token = database && (await readToken(database, target))
  const found = database && (await findTable(database, target))
  checkOwner(claimantOf(target), token, found !== undefined, isNewCheckpoint)
  return { token, found }
}

/** Makes what is missing, and takes the table for the term: all of it or nothing. */
function own(means: Means, isNewCheckpoint: boolean, term: number): Promise<void> {
  const { catalog, target, context, store } = means
  return retrying(context.sleep, () =>
    catalog.change(async (database, isNew) => {
      const { token, found } = await judge(means, isNew ? undefined : database, isNewCheckpoint)
      if (token) checkTerm(target, token, term)
      if (isNew) await makeLake(database, dataPath(store))
      if (!found) await makeTable(database, target)
      const { checkpointId, flow } = target
      const epoch = token?.epoch ?? 0
      await writeToken(database, target, { checkpointId, flow, pipeline: context.pipeline, term, epoch })
      return { result: undefined, isChanged: true }
    }),
  )
}

/** Where the paths of a catalog begin, as DuckDB opens it. */
function dataPath({ address }: ObjectStore): string {
  const path = address.startsWith('file:') ? parseDirectoryAddress(address, 'ducklake') : address.replace(/\?.*$/, '')
  return path.endsWith('/') ? path : `${path}/`
}

/** Where the table's files lie. */
function findPrefix(catalog: Catalog, target: Target): Promise<string> {
  return catalog.read(async database => {
    const found = database && (await findTable(database, target))
    if (!found) checkOwner(claimantOf(target), undefined, false, false)
    return (found as FoundTable).prefix
  })
}

/** Brings the epoch's files to where they stay. */
async function stage(means: Means, { term, epoch, files }: EpochOutput): Promise<StagedOutput> {
  const { store, target, context } = means
  const prefix = await means.prefix()
  const made = files.filter(({ rows }) => rows > 0)
  const staged = await atOnce(atOnceMax, made, async file => {
    const path = fileName('part', term, epoch, context.newId())
    await upload(store, `${prefix}${path}`, file, context.sleep)
    const described = await context.duckdb(({ executor }) => describeFile(executor, file, path, target.columns))
    const { rows, bytes, sha256 } = file
    return { described, waiting: { name: `${prefix}${path}`, rows, bytes, sha256 } }
  })
  return {
    receipt: toReceipt(staged.map(({ described }) => described)),
    files: staged.map(({ waiting }) => waiting),
    names: [],
  }
}

/** One snapshot with the epoch's files and its token; what that makes due follows it. */
async function publish(means: Means, committed: CommittedOutput): Promise<'published' | 'already'> {
  const { catalog, target, context, store, access } = means
  const { term, epoch, receipt } = committed
  const files = fromReceipt(receipt)
  const done = await catalog.change<ToMerge | 'already'>(async (database, isNew) => {
    const token = isNew ? undefined : await readToken(database, target)
    const found = isNew ? undefined : await findTable(database, target)
    checkOwner(claimantOf(target), token, found !== undefined, false)
    if (token) checkTerm(target, token, term)
    if (!token || !found || token.epoch >= epoch) return { result: 'already', isChanged: false }
    await checkThere(store, found.prefix, files, context.sleep)
    await addRows(database, { ...target, ...found }, files, context.pipeline, epoch)
    await writeToken(database, target, { ...token, term, epoch })
    await expireSnapshots(database, access)
    // Deleted twice, where the catalog is written by somebody else meanwhile, they are gone as well.
    const due = await dueFiles(database, found)
    if (due.length > 0) await store.delete(due)
    await forgetFiles(database, found)
    return { result: { table: found, sources: await filesToMerge(database, found) }, isChanged: true }
  })
  if (done === 'already') return done
  await merge(means, committed, done)
  return 'published'
}

interface ToMerge {
  readonly table: FoundTable
  readonly sources: readonly Source[]
}

/** Makes one of many small files: what an epoch costs must not grow with the number of epochs. */
async function merge(
  { catalog, target, context, store }: Means,
  { term, epoch }: Pick<CommittedOutput, 'term' | 'epoch'>,
  { table, sources }: ToMerge,
): Promise<void> {
  if (sources.length === 0) return
  const means = { store, columns: target.columns, table, context, term, epoch }
  const merged = await context.duckdb(duckdb => mergeFiles(duckdb, means, sources))
  await catalog.change(async (database, isNew) => {
    const token = isNew ? undefined : await readToken(database, target)
    if (token) checkTerm(target, token, term)
    const isChanged = token !== undefined && (await replaceFiles(database, { ...target, ...table }, sources, merged))
    return { result: undefined, isChanged }
  })
}

async function addRows(
  database: CatalogDatabase,
  target: Target & FoundTable,
  files: readonly DataFile[],
  pipeline: string,
  epoch: number,
): Promise<void> {
  if (files.length === 0) return
  const { flow, checkpointId, tableId } = target
  const { snapshot, fileId } = await addSnapshot(database, {
    changes: `inserted_into_table:${tableId}`,
    message: `${pipeline}: ${flow}, epoch ${epoch}`,
    extra: JSON.stringify({ checkpoint: checkpointId, flow, epoch }),
    fileIds: files.length,
  })
  let rowIdStart = await countRows(database, target, files)
  for (const [index, file] of files.entries()) {
    await addDataFile(database, target, file, { fileId: fileId + BigInt(index), begin: snapshot, rowIdStart })
    rowIdStart += BigInt(file.rows)
  }
}

/** Deletes files of lower terms that neither the catalog nor a manifest names. */
async function orphans(
  { catalog, store, target, context: { sleep } }: Means,
  term: number,
  named: (name: string) => boolean,
): Promise<number> {
  const { known, prefix } = await catalog.read(async database => {
    const found = database && (await findTable(database, target))
    if (!database || !found) return { known: new Set<string>(), prefix: undefined }
    const of = (table: string) => `SELECT path FROM ${database.prefix}${table} WHERE table_id = ${found.tableId}`
    const paths = await database.rows(`${of('data_file')} UNION ALL ${of('delete_file')}`)
    const leaving = await database.rows(`SELECT path FROM ${database.prefix}files_scheduled_for_deletion`)
    const known = [
      ...paths.map(({ path }) => `${found.prefix}${String(path)}`),
      ...leaving.map(({ path }) => String(path)),
    ]
    return { known: new Set(known), prefix: found.prefix }
  })
  if (prefix === undefined) return 0
  return retrying(sleep, async () => {
    const lost: string[] = []
    for await (const { key } of store.list(prefix)) {
      const name = parseFileName(key.slice(prefix.length))
      if (name && name.term < term && !known.has(key) && !named(key)) lost.push(key)
    }
    await store.delete(lost)
    return lost.length
  })
}
