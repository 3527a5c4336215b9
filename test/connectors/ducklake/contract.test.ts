import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createDirectoryStore } from '../../../connectors/directory/store.ts'
import { catalogKey } from '../../../connectors/ducklake/catalog.ts'
import { ducklakeKind } from '../../../connectors/ducklake/sink.ts'
import { ducklake } from '../../../connectors/ducklake/spec.ts'
import type { ObjectStore, SqlRow } from '../../../src/core/ports.ts'
import { text } from '../../../src/plan/sql.ts'
import { keysOf } from '../../checkpoints/fixtures.ts'
import { describeSink, type SinkLab, type SinkRowsLab, storeThrough, type VisibleEpoch } from '../../contracts/sink.ts'
import { serverFor } from '../../servers/for-tests.ts'
import { startMinio } from '../../servers/minio.ts'
import { makeBucket, newStore } from '../s3/fixtures.ts'
import { type Opened, openSink } from './fixtures.ts'

const rows = ducklakeKind.rows?.(ducklake('lake', { table: 'results' }), { k: 'VARCHAR' }, 'flow-1')
const facts = { tells: true, isOwned: true, fences: true, ...(rows && { rows }) }

describeSink('a DuckLake in a directory', facts, async rows => {
  const root = await mkdtemp(join(tmpdir(), 'millrace-lake-'))
  return openLab(createDirectoryStore(join(root, 'lake')), rows, () => rm(root, { recursive: true }))
})

const key = ['k']
const keyedRows = ducklakeKind.rows?.(ducklake('lake', { table: 'results', key }), { k: 'VARCHAR' }, 'flow-1')
describeSink(
  'a DuckLake with a key, in a directory',
  { ...facts, ...(keyedRows && { rows: keyedRows }) },
  async rows => {
    const root = await mkdtemp(join(tmpdir(), 'millrace-lake-'))
    return openLab(createDirectoryStore(join(root, 'lake')), rows, () => rm(root, { recursive: true }), { key })
  },
)

const minio = await serverFor(startMinio)
if (minio) {
  await makeBucket(minio.endpoint)
  describeSink('a DuckLake of s3:// on MinIO', facts, async rows =>
    openLab(await newStore(minio.endpoint), rows, async () => {}),
  )
}

function openLab(store: ObjectStore, lab: SinkRowsLab, close: () => Promise<void>, opened: Opened = {}): SinkLab {
  let looks = 0
  /** What the catalog tells, asked without the sink. */
  async function ask(query: (catalog: string) => string): Promise<readonly SqlRow[]> {
    const found = await store.get(catalogKey)
    if (typeof found === 'string') return []
    const file = join(lab.folder, `catalog-${++looks}`)
    await writeFile(file, found.body)
    await lab.executor.run(`ATTACH ${text(file)} AS seen (READ_ONLY)`)
    try {
      return await lab.executor.rows(query('seen.main.ducklake_'))
    } finally {
      await lab.executor.run('DETACH seen')
      await rm(file)
    }
  }
  const named = () =>
    ask(
      prefix =>
        `SELECT 'main/results/' || path AS key FROM ${prefix}data_file WHERE end_snapshot IS NULL ORDER BY data_file_id`,
    )
  return {
    open: (checkpointId, calls) => openSink(storeThrough(store, calls), lab, { ...opened, checkpointId }),
    async visible() {
      const seen: (VisibleEpoch & { readonly rows: string[] })[] = []
      for (const { key } of await named()) {
        const found = await store.get(String(key))
        if (typeof found === 'string') throw new Error(`${String(key)} is ${found}`)
        const file = join(lab.folder, 'seen.parquet')
        await writeFile(file, found.body)
        const rows = await lab.read(file)
        for (const k of rows) {
          const epoch = Number(k.split(' ')[0])
          if (seen.at(-1)?.epoch !== epoch) seen.push({ epoch, rows: [] })
          seen.at(-1)?.rows.push(k)
        }
      }
      return seen
    },
    async staged() {
      const known = new Set((await named()).map(({ key }) => key))
      return (await keysOf(store)).filter(key => key !== catalogKey && !known.has(key))
    },
    async traces() {
      const tokens = await ask(() => 'SELECT * FROM seen.main.millrace_commits')
      return [
        ...(await keysOf(store)),
        ...tokens.map(token => JSON.stringify(token, (_, v) => (typeof v === 'bigint' ? String(v) : v))),
      ]
    },
    close,
  }
}
