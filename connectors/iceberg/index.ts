import { MillraceError } from '../../src/core/errors.ts'
import type { SinkKind } from '../../src/plan/sink.ts'
import { openBucketCatalog } from './bucket-catalog.ts'
import { openRestCatalog } from './rest-catalog.ts'
import { openRestClient } from './rest-client.ts'
import { catalogOptions, icebergCatalog, type IcebergCatalogSink, movedTo } from './rest-spec.ts'
import { waitingRows } from './rows.ts'
import { openTable } from './sink.ts'
import { bucketOptions, iceberg, type IcebergSink, settingsOf } from './spec.ts'

/** Rows of a table of Apache Iceberg whose folder is its catalog. */
export const icebergKind: SinkKind<IcebergSink> = {
  kind: 'iceberg',
  call: 'iceberg(...)',
  options: bucketOptions,
  make: ({ uri, ...options }) => iceberg(uri as string, options as never),
  isFolder: true,
  rows: (sink, columns, at, changesBy) => waitingRows(settingsOf(sink), columns, at, changesBy),
  remade: stored => ({ ...stored, access: iceberg(stored.uri).access }),
  async open(sink, context) {
    return openTable(settingsOf(sink), openBucketCatalog(await context.openStore(sink.uri), context), context)
  },
}

/** Rows of a table of Apache Iceberg behind a REST catalog. */
export const icebergCatalogKind: SinkKind<IcebergCatalogSink> = {
  kind: 'iceberg-catalog',
  call: 'icebergCatalog({...})',
  options: catalogOptions,
  make: options => icebergCatalog(options as never),
  rows: (sink, columns, at, changesBy) => waitingRows(settingsOf(sink), columns, at, changesBy),
  movedTo,
  remade: noLogin,
  async open(sink, context) {
    const { rest } = sink.access()
    const levels = sink.table.split('.')
    const name = { namespace: levels.slice(0, -1), name: levels.at(-1) as string }
    const where = { address: sink.uri, warehouse: rest.warehouse }
    return openTable(settingsOf(sink), openRestCatalog(openRestClient(rest), name, where, context), context)
  },
}

/** @throws MillraceError `user`: neither does the environment have a login for any catalog */
function noLogin({ uri }: IcebergCatalogSink): never {
  throw new MillraceError(
    'user',
    'no-login',
    `${uri}: checkpoints keep no logins of catalogs, so this command does not reach the table, and nothing was ` +
      'done. To read it, ask the catalog with DuckDB, Spark or pyiceberg.',
  )
}
