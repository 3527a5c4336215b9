import { rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { nameOf } from '../../checkpoints/objects.ts'
import { corrupt } from '../../checkpoints/codec.ts'
import type { ObjectStore } from '../../src/core/ports.ts'
import { parquetRows, text } from '../../src/plan/sql.ts'
import type { SinkContext } from '../../src/plan/sink.ts'
import { fetchFile } from '../lake/fetch-file.ts'
import { type Action, applyActions, type Snapshot } from './actions.ts'

export const logFolder = '_delta_log/'
/** Names the newest checkpoint: a hint, which may be old or missing. */
const hintKey = `${logFolder}_last_checkpoint`

type Means = Pick<SinkContext, 'duckdb' | 'sleep'>

const texts = 'MAP(VARCHAR, VARCHAR)'
/** A row for each action; all but one column are NULL. */
const actionTypes = {
  txn: 'STRUCT(appId VARCHAR, version BIGINT, lastUpdated BIGINT)',
  add:
    `STRUCT(path VARCHAR, partitionValues ${texts}, size BIGINT, modificationTime BIGINT, dataChange BOOLEAN, ` +
    `stats VARCHAR, tags ${texts})`,
  remove:
    'STRUCT(path VARCHAR, deletionTimestamp BIGINT, dataChange BOOLEAN, extendedFileMetadata BOOLEAN, ' +
    `partitionValues ${texts}, size BIGINT)`,
  metaData:
    'STRUCT(id VARCHAR, name VARCHAR, description VARCHAR, ' +
    `format STRUCT(provider VARCHAR, options ${texts}), schemaString VARCHAR, partitionColumns VARCHAR[], ` +
    `configuration ${texts}, createdTime BIGINT)`,
  protocol:
    'STRUCT(minReaderVersion INTEGER, minWriterVersion INTEGER, readerFeatures VARCHAR[], writerFeatures VARCHAR[])',
} as const satisfies Partial<Record<keyof Action, string>>
const actionNames = Object.keys(actionTypes) as readonly (keyof typeof actionTypes)[]

/** Writes the table down as it is, so that whoever opens it needs none of the entries before. */
export async function writeCheckpoint(store: ObjectStore, { duckdb }: Means, table: Snapshot): Promise<void> {
  const { version, protocol, metadata, txns, files, removed } = table
  const actions: readonly Action[] = [
    { protocol },
    { metaData: metadata },
    ...[...txns].map(([appId, number]) => ({ txn: { appId, version: number } })),
    ...[...files.values()].map(add => ({ add: { ...add, dataChange: false } })),
    ...[...removed.values()].map(remove => ({ remove: { ...remove, dataChange: false } })),
  ]
  const key = `${logFolder}${String(version).padStart(20, '0')}.checkpoint.parquet`
  const bytes = await duckdb(async ({ executor, folder }) => {
    const [lines, file] = [join(folder, 'actions.jsonl'), join(folder, 'checkpoint.parquet')]
    await writeFile(lines, actions.map(action => `${JSON.stringify(action)}\n`).join(''))
    const types = actionNames.map(name => `${name}: ${text(actionTypes[name])}`).join(', ')
    const rows =
      `read_json(${text(lines)}, format = 'newline_delimited', columns = {${types}}, ` +
      `maximum_object_size = ${Math.max(16_777_216, 2 * longest(actions))})`
    const written = await executor.write(`SELECT * FROM ${rows}`, file, [], {
      format: 'parquet',
      compression: 'snappy',
    })
    // Another writer may have made it: any one of a version is as good.
    const put = await store.put(key, { file }, 'absent')
    await Promise.all([lines, file].map(path => rm(path, { force: true })))
    if (put.is === 'unknown') throw put.cause
    return written.bytes
  })
  await writeHint(store, { version, size: actions.length, sizeInBytes: bytes, numOfAddFiles: files.size })
}

function longest(actions: readonly Action[]): number {
  return actions.reduce((most, { metaData }) => Math.max(most, metaData?.schemaString.length ?? 0), 0)
}

/** Where it is gone for a moment, readers list the log. */
async function writeHint(store: ObjectStore, hint: object): Promise<void> {
  const body = Buffer.from(JSON.stringify(hint))
  if (store.conditionsBy === 'file-system') {
    await store.delete([hintKey])
    await store.put(hintKey, body, 'absent')
    return
  }
  const found = await store.get(hintKey)
  await store.put(hintKey, body, typeof found === 'string' ? 'absent' : found.eTag)
}

/** The version that the hint names. */
export async function lastCheckpoint(store: ObjectStore): Promise<number | undefined> {
  const found = await store.get(hintKey)
  if (typeof found === 'string') return undefined
  const version = /"version"\s*:\s*(\d{1,15})\b/.exec(Buffer.from(found.body).toString())?.[1]
  return version === undefined ? undefined : Number(version)
}

/** @throws MillraceError `corrupt-object` where it cannot be read */
export async function readCheckpoint(
  store: ObjectStore,
  { duckdb, sleep }: Means,
  { version, keys }: { readonly version: number; readonly keys: readonly string[] },
): Promise<Snapshot> {
  const object = nameOf(store, keys[0] as string)
  const actions = await duckdb(async ({ executor, folder }) => {
    const files = keys.map((_, index) => join(folder, `read-checkpoint-${index}.parquet`))
    for (const [index, key] of keys.entries()) {
      const found = await store.get(key, { range: [0, 1] })
      if (typeof found === 'string') throw corrupt(object, 'a checkpoint of the log', found)
      await fetchFile(store, key, found.sizeBytes, files[index] as string, sleep)
    }
    const rows = parquetRows(files)
    try {
      const there = await executor.describe(`SELECT * FROM ${rows}`)
      const names = actionNames.filter(name => there[name] !== undefined)
      const items = names.map(name => `CAST(to_json(${name}) AS VARCHAR) AS ${name}`).join(', ')
      return actionsOf(await executor.rows(`SELECT ${items} FROM ${rows}`))
    } catch (error) {
      throw corrupt(object, 'a checkpoint of the log', String(error))
    } finally {
      await Promise.all(files.map(file => rm(file, { force: true })))
    }
  })
  return applyActions(undefined, version, actions, object)
}

function actionsOf(rows: readonly Readonly<Record<string, unknown>>[]): readonly Action[] {
  return rows.flatMap(row =>
    actionNames.flatMap(name => {
      const value = row[name]
      // A struct whose fields are all NULL is a row of another action, as some writers have it.
      const found = typeof value === 'string' ? withoutNulls(JSON.parse(value)) : {}
      return Object.keys(found).length === 0 ? [] : [{ [name]: found } as Action]
    }),
  )
}

function withoutNulls(value: Readonly<Record<string, unknown>>): object {
  return Object.fromEntries(Object.entries(value).filter(([, field]) => field !== null))
}
