import { join } from 'node:path'
import type { Executor } from '../../core/ports.ts'
import type { TextRows } from '../../core/text-rows.ts'
import { id, parquetRows } from '../../plan/sql.ts'
import { type ChannelReader, withRows } from './channels.ts'
import { createLedgerTable, ledgerColumns, ledgerRowsSql } from './ledger.ts'

/** The entries of a run's ledger that no file has: those that rode in HEAD at its start, and those committed since. */
export const recentLedger = 'ledger_recent'

/**
 * Makes the ledger of a run to select from, as `ledger`. Its files stay files, which DuckDB reads where they are asked
 * for: in a table each entry would take 280 bytes of memory for as long as the run. They are verified (P10) and lie in
 * the run's own folder, of a directory as links, so a merge that replaces them takes nothing away.
 */
export async function openLedger(reader: ChannelReader, executor: Executor): Promise<void> {
  const { checkpoint, manifest, stage, newId } = reader
  await createLedgerTable(executor, recentLedger)
  const files: string[] = []
  const texts: { readonly text: TextRows }[] = []
  for (const part of manifest.channels['ledger'] ?? []) {
    const text = checkpoint.textOf(part)
    if (text !== undefined) {
      texts.push({ text })
      continue
    }
    const file = join(stage, `ledger-${newId()}.parquet`)
    await checkpoint.load(part, file)
    files.push(file)
  }
  if (texts.length > 0)
    await withRows(executor, texts, newId, rows =>
      executor.run(`INSERT INTO ${recentLedger} BY NAME ${ledgerRowsSql(rows)}`),
    )
  // Files that an earlier release wrote may lack a column: it is NULL.
  const stored = files.length === 0 ? '' : `${ledgerRowsSql(parquetRows(files))} UNION ALL BY NAME `
  const columns = Object.keys(ledgerColumns).map(id).join(', ')
  await executor.run(`CREATE VIEW ledger AS SELECT ${columns} FROM (${stored}SELECT * FROM ${recentLedger})`)
}
