import { text } from '../../src/plan/sql.ts'
import type { CatalogDatabase } from './catalog.ts'
import type { DucklakeAccess } from './spec.ts'
import type { FoundTable } from './table.ts'

/** A reader may have a catalog of so long ago, and open the files that it names. */
const graceMs = 3_600_000

const ago = ({ now }: CatalogDatabase, ms: number) => `${now} - to_milliseconds(${ms})`

/** Gives up snapshots, and with them files which no kept snapshot has. The last one stays. */
export async function expireSnapshots(
  database: CatalogDatabase,
  { historyMs, snapshotsMax }: DucklakeAccess,
): Promise<void> {
  const { prefix, run, rows } = database
  const [last] = await rows(
    `SELECT max(snapshot_id) FILTER (snapshot_time < ${ago(database, historyMs)}) AS old,
       list(snapshot_id ORDER BY snapshot_id DESC)[${snapshotsMax + 1}] AS over, max(snapshot_id) AS newest
     FROM ${prefix}snapshot`,
  )
  const most = [last?.old, last?.over].map(value => (typeof value === 'bigint' ? value : -1n))
  const [old = -1n, over = -1n] = most
  const through = old > over ? old : over
  if (through < 0n) return
  for (const table of ['snapshot', 'snapshot_changes'])
    await run(`DELETE FROM ${prefix}${table} WHERE snapshot_id <= ${through} AND snapshot_id < ${String(last?.newest)}`)
  for (const table of ['data_file', 'delete_file']) await dropFiles(database, table)
}

/** The oldest snapshot that is kept. */
export async function oldestSnapshot({ prefix, rows }: CatalogDatabase): Promise<bigint> {
  const [oldest] = await rows(`SELECT min(snapshot_id) AS id FROM ${prefix}snapshot`)
  return oldest?.id as bigint
}

/** Files that ended before every snapshot which is kept. */
async function dropFiles(database: CatalogDatabase, table: string): Promise<void> {
  const { prefix, run, now } = database
  const isOver =
    `end_snapshot IS NOT NULL AND NOT EXISTS (SELECT 1 FROM ${prefix}snapshot AS s ` +
    'WHERE s.snapshot_id >= begin_snapshot AND s.snapshot_id < end_snapshot)'
  await run(
    `INSERT INTO ${prefix}files_scheduled_for_deletion
     SELECT f.${table}_id, CASE WHEN f.path_is_relative THEN h.path || t.path || f.path ELSE f.path END,
       f.path_is_relative, ${now}
     FROM ${prefix}${table} f JOIN ${prefix}table t ON t.table_id = f.table_id
     JOIN ${prefix}schema h ON h.schema_id = t.schema_id
     WHERE ${isOver.replaceAll('begin_snapshot', 'f.begin_snapshot').replaceAll('end_snapshot', 'f.end_snapshot')}`,
  )
  if (table === 'data_file')
    await run(
      `DELETE FROM ${prefix}file_column_stats
       WHERE data_file_id IN (SELECT data_file_id FROM ${prefix}data_file WHERE ${isOver})`,
    )
  await run(`DELETE FROM ${prefix}${table} WHERE ${isOver}`)
}

/** Files of the table that nobody can be reading any more, by their keys: to be deleted before they are forgotten. */
export async function dueFiles(database: CatalogDatabase, { prefix: folder }: FoundTable): Promise<readonly string[]> {
  const found = await database.rows(
    `SELECT path FROM ${database.prefix}files_scheduled_for_deletion WHERE ${isDue(database, folder)}`,
  )
  return found.map(({ path }) => String(path))
}

export async function forgetFiles(database: CatalogDatabase, { prefix: folder }: FoundTable): Promise<void> {
  await database.run(`DELETE FROM ${database.prefix}files_scheduled_for_deletion WHERE ${isDue(database, folder)}`)
}

function isDue(database: CatalogDatabase, folder: string): string {
  return `path_is_relative AND starts_with(path, ${text(folder)}) ` + `AND schedule_start <= ${ago(database, graceMs)}`
}
