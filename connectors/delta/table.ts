import { join } from 'node:path'
import { atOnce } from '../../src/core/at-once.ts'
import type { SinkTable } from '../../src/core/sink-port.ts'
import { id } from '../../src/plan/sql.ts'
import type { AddFile, Snapshot } from './actions.ts'
import { fetchData } from './file-rows.ts'
import { entryActions } from './log.ts'
import { logFiles } from './log-files.ts'
import { epochApp } from './owner.ts'
import { judge, type Target } from './target.ts'
import { storedType } from './types.ts'

/** So many entries of the log are looked through at most, from the newest on. */
const entriesMax = 1_000
/** Entries that are fetched at once. */
const atOnceMax = 8

/** The table for whoever only reads it. */
export function deltaTable(target: Target): SinkTable {
  return {
    async rows() {
      // Without one, `judge` throws.
      const { table } = (await judge(target, false)) as { readonly table: Snapshot }
      return rowsOf(target, table)
    },
    async versions() {
      const { entries } = await logFiles(target.store, undefined)
      const app = epochApp(target.owner)
      const found = await atOnce(atOnceMax, entries.slice(-entriesMax), async version => {
        const actions = await entryActions(target.store, version)
        return actions.flatMap(({ txn }) => (txn?.appId === app ? [[txn.version, String(version)] as const] : []))
      })
      return new Map(found.flat())
    },
  }
}

function rowsOf(target: Target, table: Snapshot): Promise<string> {
  return target.context.duckdb(async duckdb => {
    // The same columns, whatever files there are.
    const none = target.columns.map(({ name, type }) => `CAST(NULL AS ${storedType(type)}) AS ${id(name)}`)
    const relations = [`SELECT ${none.join(', ')} WHERE false`]
    let count = 0
    for (const files of byPartition([...table.files.values()])) {
      const local = files.map(() => join(duckdb.folder, `${count++}.parquet`))
      const { rows } = await fetchData(target, table, duckdb, files, local)
      relations.push(`SELECT * FROM ${rows}`)
    }
    return `(${relations.join(' UNION ALL BY NAME ')})`
  })
}

/** The values of a partition stand in the log alone. */
function byPartition(files: readonly AddFile[]): readonly (readonly AddFile[])[] {
  const parts = new Map<string, AddFile[]>()
  for (const file of files) {
    const values = JSON.stringify(Object.entries(file.partitionValues).toSorted(([a], [b]) => (a < b ? -1 : 1)))
    const own = parts.get(values)
    if (own) own.push(file)
    else parts.set(values, [file])
  }
  return [...parts.values()]
}
