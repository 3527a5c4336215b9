import { MillraceError } from '../../src/core/errors.ts'
import { id, text } from '../../src/plan/sql.ts'
import { isReservedFolder } from '../directory/keys.ts'
import type { CatalogDatabase } from './catalog.ts'
import type { LakeColumn } from './columns.ts'
import { addSnapshot, insert, uuid } from './lake.ts'

/** What is asked of a table. */
export interface WantedTable {
  readonly schema: string
  readonly table: string
  readonly columns: readonly LakeColumn[]
  /** Columns that tell rows apart; undefined where rows are only added. */
  readonly key: readonly string[] | undefined
  /** Names it in errors. */
  readonly address: string
}

/** A table as the catalog has it now. */
export interface FoundTable {
  readonly tableId: bigint
  /** Where its files lie below the lake's folder, with a slash at the end. */
  readonly prefix: string
}

/** Undefined where there is none of that name. @throws MillraceError `user` for one that does not fit */
export async function findTable(database: CatalogDatabase, wanted: WantedTable): Promise<FoundTable | undefined> {
  const { prefix, rows } = database
  const { schema, table } = wanted
  const there = `lower(s.schema_name) = lower(${text(schema)}) AND s.end_snapshot IS NULL`
  const [found] = await rows(
    `SELECT t.table_id, s.path AS schema_path, t.path, s.path_is_relative AND t.path_is_relative AS is_inside
     FROM ${prefix}table t JOIN ${prefix}schema s ON s.schema_id = t.schema_id
     WHERE ${there} AND lower(t.table_name) = lower(${text(table)}) AND t.end_snapshot IS NULL`,
  )
  if (!found) {
    const [view] = await rows(
      `SELECT 1 FROM ${prefix}view v JOIN ${prefix}schema s ON s.schema_id = v.schema_id
       WHERE ${there} AND lower(v.view_name) = lower(${text(table)}) AND v.end_snapshot IS NULL`,
    )
    if (view) throw misfit(wanted, 'it is a view; expected a table.')
    return undefined
  }
  if (found.is_inside !== true) throw misfit(wanted, 'its files lie outside of the folder of the lake.')
  const tableId = found.table_id as bigint
  await checkForm(database, wanted, tableId)
  await checkColumns(database, wanted, tableId)
  return { tableId, prefix: `${String(found.schema_path)}${String(found.path)}` }
}

/** What would make rows be read or written in ways that are not known here. */
async function checkForm(database: CatalogDatabase, wanted: WantedTable, tableId: bigint): Promise<void> {
  const { prefix, rows } = database
  const [form] = await rows(
    `SELECT count(*) AS parts FROM ${prefix}partition_info WHERE table_id = ${tableId} AND end_snapshot IS NULL`,
  )
  if (Number(form?.parts) > 0) throw misfit(wanted, 'it is partitioned, which is not supported.')
  if (wanted.key) await checkInlined(database, wanted.address, { tableId })
}

/** Rows, and deletes, that lie in the catalog itself are neither read nor changed here. @param address of the table */
export async function checkInlined(
  database: CatalogDatabase,
  address: string,
  { tableId }: Pick<FoundTable, 'tableId'>,
): Promise<void> {
  const { name, prefix, rows } = database
  const listed = await rows(`SELECT table_name FROM ${prefix}inlined_data_tables WHERE table_id = ${tableId}`)
  const names = [...listed.map(({ table_name }) => String(table_name)), `ducklake_inlined_delete_${tableId}`]
  const there = await rows(
    `SELECT table_name FROM duckdb_tables() WHERE database_name = ${text(name)}
     AND table_name IN (${names.map(text).join(', ')})`,
  )
  for (const { table_name: table } of there) {
    const [row] = await rows(`SELECT 1 FROM ${id(name)}.main.${id(String(table))} LIMIT 1`)
    if (!row) continue
    const what = 'the catalog itself has rows of it, or deletes. Run CALL ducklake_flush_inlined_data in DuckDB.'
    throw misfit({ address }, what)
  }
}

async function checkColumns({ prefix, rows }: CatalogDatabase, wanted: WantedTable, tableId: bigint): Promise<void> {
  const found = await rows(
    `SELECT column_id, column_name, column_type, nulls_allowed, parent_column FROM ${prefix}column
     WHERE table_id = ${tableId} AND end_snapshot IS NULL ORDER BY column_order`,
  )
  const show = (type: string, parent: bigint | null) => `${type}${parent === null ? '' : ` inside of ${parent}`}`
  for (const column of wanted.columns) {
    const there = found.find(({ column_id }) => Number(column_id) === column.number)
    const which = `its column ${column.number} `
    if (!there) throw misfit(wanted, `it lacks column ${column.number}, "${column.name}" ${column.type}.`)
    if (there.column_name !== column.name)
      throw misfit(
        wanted,
        `${which}is "${String(there.column_name)}"; expected "${column.name}": columns stand in the order of the ` +
          "flow's.",
      )
    const [is, expected] = [
      show(there.column_type as string, there.parent_column as bigint | null),
      show(column.type, column.parent === undefined ? null : BigInt(column.parent)),
    ]
    if (is.toLowerCase() !== expected) throw misfit(wanted, `${which}"${column.name}" is ${is}; expected ${expected}.`)
    if (there.nulls_allowed === false && column.isNullable)
      throw misfit(wanted, `${which}"${column.name}" is NOT NULL, and that of the flow may be NULL.`)
  }
  const numbers = new Set(wanted.columns.map(({ number }) => number))
  const unfilled = found.find(
    ({ column_id, nulls_allowed }) => !numbers.has(Number(column_id)) && nulls_allowed === false,
  )
  if (unfilled)
    throw misfit(wanted, `its column "${String(unfilled.column_name)}" is NOT NULL, and the flow has no such column.`)
}

/** Makes the table, and its schema where that is missing, in a snapshot of its own. */
export async function makeTable(database: CatalogDatabase, wanted: WantedTable): Promise<void> {
  const { prefix, rows } = database
  const { schema, table, columns } = wanted
  const [there] = await rows(
    `SELECT schema_id, schema_name FROM ${prefix}schema
     WHERE lower(schema_name) = lower(${text(schema)}) AND end_snapshot IS NULL`,
  )
  const schemaName = there ? (there.schema_name as string) : schema
  const made = await addSnapshot(database, {
    changes: [...(there ? [] : [`created_schema:"${schema}"`]), `created_table:"${schemaName}"."${table}"`].join(','),
    message: `made ${schema}.${table}`,
    catalogIds: there ? 1 : 2,
    changesSchema: true,
  })
  const { snapshot, schemaVersion, catalogId } = made
  if (!there)
    await insert(database, 'schema', [
      {
        schema_id: catalogId,
        schema_uuid: uuid,
        begin_snapshot: snapshot,
        schema_name: schema,
        path: folderOf(schema),
        path_is_relative: true,
      },
    ])
  const tableId = there ? catalogId : catalogId + 1n
  await insert(database, 'table', [
    {
      table_id: tableId,
      table_uuid: uuid,
      begin_snapshot: snapshot,
      schema_id: there ? (there.schema_id as bigint) : catalogId,
      table_name: table,
      path: folderOf(table),
      path_is_relative: true,
    },
  ])
  await insert(database, 'schema_versions', [
    { begin_snapshot: snapshot, schema_version: schemaVersion, table_id: tableId },
  ])
  await insert(
    database,
    'column',
    columns.map(column => columnRow(column, tableId, snapshot)),
  )
  await insert(database, 'table_stats', [{ table_id: tableId, record_count: 0, next_row_id: 0, file_size_bytes: 0 }])
}

/** A directory has folders of its own; no name of a table has a dot. */
function folderOf(name: string): string {
  return isReservedFolder(name) ? `${name}.files/` : `${name}/`
}

function columnRow({ number, name, type, isNullable, parent }: LakeColumn, tableId: bigint, snapshot: bigint) {
  return {
    column_id: number,
    begin_snapshot: snapshot,
    table_id: tableId,
    column_order: number,
    column_name: name,
    column_type: type,
    default_value: 'NULL',
    nulls_allowed: isNullable,
    parent_column: parent,
    default_value_type: type === 'list' || type === 'struct' ? '' : 'literal',
    default_value_dialect: 'duckdb',
  }
}

function misfit({ address }: Pick<WantedTable, 'address'>, what: string): MillraceError {
  return new MillraceError('user', 'output-unfit', `${address} does not fit: ${what}`)
}
