import type { Executor } from '../../core/ports.ts'
import type { SetAside } from '../report/summary.ts'
import { type ChannelReader, eachPart } from '../state/channels.ts'
import { createLedgerTable, ledgerRowsSql, sameVersionSql } from '../state/ledger.ts'

/**
 * Object versions that are set aside as the ledger stands, in its order. A version that was read comes after all of its
 * other entries, so none of what was read is held here.
 */
export async function setAsideNow(reader: ChannelReader, executor: Executor): Promise<readonly SetAside[]> {
  await createLedgerTable(executor, 'aside')
  await eachPart(reader, executor, 'ledger', async file => {
    const rows = `(${ledgerRowsSql(file)})`
    await executor.run(`INSERT INTO aside BY NAME SELECT * FROM ${rows} WHERE outcome <> 'read'`)
    await executor.run(
      `DELETE FROM aside USING ${rows} AS r WHERE r.outcome = 'read' AND ${sameVersionSql('aside', 'r')}`,
    )
  })
  const found = await executor.rows(
    'SELECT key, reason FROM aside WHERE seq IN ' +
      '(SELECT max(seq) FROM aside GROUP BY source, bucket, key, version_id, e_tag) ORDER BY seq',
  )
  return found.map(row => ({ key: String(row.key), reason: String(row.reason) }))
}
