import { MillraceError } from '../../src/core/errors.ts'
import { id, text } from '../../src/plan/sql.ts'
import type { CatalogDatabase } from './catalog.ts'
import { metadataTables } from './metadata-tables.ts'

/** The version of DuckLake whose tables this is about. */
const version = '1.0'

/** A literal, or NULL. */
export function literal(value: string | number | bigint | boolean | null | undefined): string {
  return typeof value === 'string' ? text(value) : String(value ?? null)
}

type Value = string | number | bigint | boolean | null | undefined | { readonly sql: string }

/** Rows of a table of the catalog, all with the same columns; the others are NULL. */
export async function insert(
  { prefix, run }: CatalogDatabase,
  table: string,
  rows: readonly Readonly<Record<string, Value>>[],
): Promise<void> {
  const [first] = rows
  if (first === undefined) return
  const names = Object.keys(first)
  const sql = (value: Value) => (typeof value === 'object' && value !== null ? value.sql : literal(value))
  const values = rows.map(row => `(${names.map(name => sql(row[name])).join(', ')})`)
  await run(`INSERT INTO ${prefix}${table} (${names.map(id).join(', ')}) VALUES ${values.join(', ')}`)
}

/** Expressions of a catalog's own. */
export const uuid = { sql: 'uuid()' }

/** @param dataPath an absolute path or address with a slash at its end: where paths of the catalog begin */
export async function makeLake(database: CatalogDatabase, dataPath: string): Promise<void> {
  const { prefix, run } = database
  for (const [name, columns] of Object.entries(metadataTables)) await run(`CREATE TABLE ${prefix}${name} (${columns})`)
  const facts = { version, created_by: 'millrace', data_path: dataPath, encrypted: 'false' }
  await insert(
    database,
    'metadata',
    Object.entries(facts).map(([key, value]) => ({ key, value })),
  )
  await insert(database, 'snapshot', [
    { snapshot_id: 0, snapshot_time: { sql: database.now }, schema_version: 0, next_catalog_id: 1, next_file_id: 0 },
  ])
  await insert(database, 'snapshot_changes', [
    { snapshot_id: 0, changes_made: 'created_schema:"main"', author: 'millrace' },
  ])
  await insert(database, 'schema', [
    { schema_id: 0, schema_uuid: uuid, begin_snapshot: 0, schema_name: 'main', path: 'main/', path_is_relative: true },
  ])
}

/** @throws MillraceError `user` for a lake that is written in a way which is not known here */
export async function checkLake({ prefix, rows }: CatalogDatabase, address: string): Promise<void> {
  const found = await rows(`SELECT "key", "value" FROM ${prefix}metadata WHERE "scope" IS NULL`)
  const valueOf = (key: string) => found.find(row => row.key === key)?.value
  const refuse = (what: string) => new MillraceError('user', 'output-unfit', `${address} does not fit: ${what}`)
  if (valueOf('version') !== version)
    throw refuse(
      `its catalog is of DuckLake ${String(valueOf('version'))}; expected ${version}. Attach it with ` +
        'AUTOMATIC_MIGRATION to bring an older one to that.',
    )
  if (valueOf('encrypted') === 'true') throw refuse('its files are encrypted, which is not supported.')
}

/** What a snapshot is made with. */
export interface NewSnapshot {
  /** As DuckLake writes it: 'inserted_into_table:1'. */
  readonly changes: string
  readonly message: string
  /** For programs that look at the lake. */
  readonly extra?: string
  /** Ids that it gives to tables and schemas, and to files. */
  readonly catalogIds?: number
  readonly fileIds?: number
  /** Tables whose columns it makes. */
  readonly changesSchema?: true
}

export interface Snapshot {
  readonly snapshot: bigint
  readonly schemaVersion: bigint
  /** The first of the ids that it gives. */
  readonly catalogId: bigint
  readonly fileId: bigint
}

/** The next snapshot of the lake. */
export async function addSnapshot(database: CatalogDatabase, asked: NewSnapshot): Promise<Snapshot> {
  const { prefix } = database
  const [last] = await database.rows(
    `SELECT snapshot_id, schema_version, next_catalog_id, next_file_id FROM ${prefix}snapshot
     ORDER BY snapshot_id DESC LIMIT 1`,
  )
  if (!last) throw new MillraceError('fatal', 'corrupt-object', 'The catalog of the lake has no snapshot.')
  const snapshot = (last.snapshot_id as bigint) + 1n
  const schemaVersion = (last.schema_version as bigint) + (asked.changesSchema ? 1n : 0n)
  const [catalogId, fileId] = [last.next_catalog_id as bigint, last.next_file_id as bigint]
  await insert(database, 'snapshot', [
    {
      snapshot_id: snapshot,
      snapshot_time: { sql: database.now },
      schema_version: schemaVersion,
      next_catalog_id: catalogId + BigInt(asked.catalogIds ?? 0),
      next_file_id: fileId + BigInt(asked.fileIds ?? 0),
    },
  ])
  const { changes: changes_made, message: commit_message, extra: commit_extra_info } = asked
  await insert(database, 'snapshot_changes', [
    { snapshot_id: snapshot, changes_made, author: 'millrace', commit_message, commit_extra_info },
  ])
  return { snapshot, schemaVersion, catalogId, fileId }
}
