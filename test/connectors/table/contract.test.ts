import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describeSink, type VisibleEpoch } from '../../contracts/sink.ts'
import { openTable, readTable } from './index.ts'

describeSink('a table with transactions', { tells: true, isOwned: true, fences: true }, async () => {
  const root = await mkdtemp(join(tmpdir(), 'millrace-table-'))
  const uri = join(root, 'table')
  return {
    open: async (checkpointId, calls) => openTable(uri, checkpointId, calls),
    async visible() {
      const seen: (VisibleEpoch & { readonly rows: string[] })[] = []
      for (const { epoch, k } of (await readTable(uri)).state?.rows ?? []) {
        if (seen.at(-1)?.epoch !== epoch) seen.push({ epoch, rows: [] })
        seen.at(-1)?.rows.push(String(k))
      }
      return seen
    },
    staged: async () => [],
    traces: () => readdir(uri).catch(() => []),
    close: () => rm(root, { recursive: true }),
  }
})
