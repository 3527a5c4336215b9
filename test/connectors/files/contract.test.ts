import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { stagedPrefix } from '../../../checkpoints/paths.ts'
import { createDirectoryStore } from '../../../connectors/directory/store.ts'
import { parseOutputKey } from '../../../connectors/files/output-key.ts'
import { filesKind } from '../../../connectors/files/sink.ts'
import { files } from '../../../connectors/files/spec.ts'
import type { ObjectStore } from '../../../src/core/ports.ts'
import type { EpochOutput, StagedOutput } from '../../../src/core/sink-port.ts'
import { createMemoryStore } from '../../../src/testing/index.ts'
import { serverFor } from '../../servers/for-tests.ts'
import { startMinio } from '../../servers/minio.ts'
import { makeBucket, newStore } from '../s3/fixtures.ts'
import { counter, keysOf, noSleep } from '../../checkpoints/fixtures.ts'
import { describeSink, type SinkLab, type SinkRowsLab, storeThrough, type VisibleEpoch } from '../../contracts/sink.ts'

const facts = { tells: true, isOwned: true, fences: false }

describeSink('files of a directory', facts, async rows => {
  const root = await mkdtemp(join(tmpdir(), 'millrace-files-'))
  return openLab(createDirectoryStore(join(root, 'out')), rows, () => rm(root, { recursive: true }))
})

describeSink('files of a store in memory', facts, async rows => openLab(createMemoryStore(), rows, async () => {}))

// A copy there is a put of the staged bytes (decision 17).
const minio = await serverFor(startMinio)
if (minio) {
  await makeBucket(minio.endpoint)
  describeSink('files of s3:// on MinIO', facts, async rows =>
    openLab(await newStore(minio.endpoint), rows, async () => {}),
  )
}

describeSink('files in folders of a directory', facts, async rows => {
  const root = await mkdtemp(join(tmpdir(), 'millrace-files-'))
  return openLab(createDirectoryStore(join(root, 'out')), rows, () => rm(root, { recursive: true }), 'a=b%2Fc/')
})

let processes = 0

/** @param folder where each epoch's file belongs, of a sink that has folders */
function openLab(store: ObjectStore, rows: SinkRowsLab, close: () => Promise<void>, folder?: string): SinkLab {
  const how = folder === undefined ? {} : { partitionBy: ['a'] }
  return {
    async open(checkpointId, calls) {
      const port = await filesKind.open(files('out', { format: 'parquet', ...how }), {
        output: 'flow-1',
        columns: { k: 'VARCHAR' },
        operation: 'append',
        checkpointId,
        pipeline: 'tested',
        newId: counter(`p${++processes}`),
        sleep: noSleep,
        nowMs: () => 0,
        openStore: async () => storeThrough(store, calls),
        duckdb: async work => work(rows),
      })
      if (folder === undefined) return port
      // As `partitionBy` of a run has them.
      const inFolder = (output: EpochOutput) => ({ ...output, files: output.files.map(file => ({ ...file, folder })) })
      return { ...port, stage: async output => port.stage?.(inFolder(output)) as Promise<StagedOutput> }
    },
    async visible() {
      const seen: VisibleEpoch[] = []
      for (const key of await keysOf(store, `${folder ?? ''}part-`)) {
        const found = await store.get(key)
        if (typeof found === 'string') throw new Error(`${key} is ${found}`)
        const file = join(rows.folder, 'seen')
        await writeFile(file, found.body)
        seen.push({ epoch: parseOutputKey(key)?.epoch ?? 0, rows: await rows.read(file) })
      }
      return seen
    },
    staged: () => keysOf(store, stagedPrefix),
    traces: () => keysOf(store),
    close,
  }
}
