import { retrying } from '../../checkpoints/retry.ts'
import { atOnce } from '../../src/core/at-once.ts'
import { objectAddress } from '../../src/core/object-address.ts'
import type { ObjectStore } from '../../src/core/ports.ts'
import type { EpochOutput, SinkPort, StagedOutput } from '../../src/core/sink-port.ts'
import type { ColumnTypes } from '../../src/plan/relation.ts'
import type { SinkContext, SinkKind, SinkRows } from '../../src/plan/sink.ts'
import { id } from '../../src/plan/sql.ts'
import { parseDirectoryAddress } from '../directory/spec.ts'
import { checkChanges, checkColumns, isComparable, opSql } from '../lake/keyed-rows.ts'
import { checkOwner, checkTerm } from '../lake/owner.ts'
import { type Catalog, type CatalogDatabase, openCatalog } from './catalog.ts'
import { fieldIds, lakeColumns, tableColumns } from './columns.ts'
import { describeFile, fileName, parseFileName, toReceipt, upload } from './data-files.ts'
import { checkLake, makeLake } from './lake.ts'
import { type Means, namedKeys, publish, type Target } from './publish.ts'
import { epochSnapshots, readableFiles, relationOf } from './rows.ts'
import { accessDefault, ducklake, ducklakeOptions, type DucklakeSink } from './spec.ts'
import { type FoundTable, findTable, makeTable } from './table.ts'
import { claimantOf, readToken, writeToken } from './token.ts'

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

/** All columns, numbered as the table has them; with a key they wait with what becomes of them. */
function lakeRows({ key }: DucklakeSink, columns: ColumnTypes, at: string, changesBy?: readonly string[]): SinkRows {
  const own = tableColumns(columns)
  checkColumns(key, `${at}: ducklake: key`, own, type => !type.list && isComparable(type))
  if (changesBy) checkChanges(key, changesBy, `${at}: ducklake`)
  const items = own.map(({ name }) => id(name))
  if (key) return { items: [opSql(Object.keys(columns)), ...items].join(', '), form: { format: 'parquet' } }
  return { items: items.join(', '), form: { format: 'parquet', fieldIds: fieldIds(lakeColumns(columns)) } }
}

export async function openDucklake(sink: DucklakeSink, context: SinkContext): Promise<SinkPort> {
  const { schema = 'main', table, key } = sink
  const store = await context.openStore(sink.uri)
  const catalog = openCatalog(store, context)
  const address = objectAddress(store.address, `${schema}.${table}`)
  // S3's parameters stay with the address that the checkpoint keeps: without them the lake is not found again.
  const [parameters = ''] = /\?[^?]*$/.exec(store.address.startsWith('s3:') ? store.address : '') ?? []
  const target: Target = {
    schema,
    table,
    columns: lakeColumns(context.columns),
    key,
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
    // Which rows go is known once the epochs before are there: changes wait in the checkpoint.
    ...(!key && {
      stage: output => stage(means, output),
      // What is published belongs to the table.
      discard: async () => {},
    }),
    publish: committed => publish(means, committed),
    orphans: (term, named) => orphans(means, term, named),
    table: {
      async rows() {
        const { found, files } = await catalog.read(async database => {
          // Without a table, `judge` throws.
          const { found } = (await judge(means, database, false)) as { readonly found: FoundTable }
          return { found, files: await readableFiles(database as CatalogDatabase, found, address) }
        })
        return relationOf(store, context, target.columns, found, files)
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

/** Deletes files of lower terms that neither the catalog nor a manifest names. */
async function orphans(
  { catalog, store, target, context: { sleep } }: Means,
  term: number,
  named: (name: string) => boolean,
): Promise<number> {
  const { known, prefix } = await catalog.read(async database => {
    const found = database && (await findTable(database, target))
    if (!database || !found) return { known: new Set<string>(), prefix: undefined }
    return { known: await namedKeys(database, found), prefix: found.prefix }
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
