import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createDirectoryStore } from '../../../connectors/directory/store.ts'
import { icebergKind } from '../../../connectors/iceberg/index.ts'
import { type IcebergSink, iceberg } from '../../../connectors/iceberg/spec.ts'
import type { ObjectStore } from '../../../src/core/ports.ts'
import { counter, keysOf, noSleep } from '../../checkpoints/fixtures.ts'
import { describeSink, type SinkLab, type SinkRowsLab, storeThrough } from '../../contracts/sink.ts'
import { serverFor } from '../../servers/for-tests.ts'
import { startMinio } from '../../servers/minio.ts'
import { makeBucket, newStore } from '../s3/fixtures.ts'
import { currentFiles, currentKeys, epochsIn } from './fixtures.ts'

const facts = { tells: true, isOwned: true, fences: true }
const columns = { k: 'VARCHAR' }

const minio = await serverFor(startMinio)
if (minio) {
  await makeBucket(minio.endpoint)
  describeSink('a table of Iceberg on MinIO', facts, async rows =>
    openLab(await newStore(minio.endpoint), rows, async () => {}),
  )
}

describeSink('a table of Iceberg in a directory', facts, async rows => {
  const root = await mkdtemp(join(tmpdir(), 'millrace-iceberg-'))
  return openLab(createDirectoryStore(join(root, 'out')), rows, () => rm(root, { recursive: true }))
})

const keyed: IcebergSink = iceberg('out', { key: ['k'] })
const rows = icebergKind.rows?.(keyed, columns, 'flow-1')
if (!rows) throw new Error('a table of Iceberg says how its rows wait')
describeSink('a table of Iceberg with a key, in a directory', { ...facts, rows }, async lab => {
  const root = await mkdtemp(join(tmpdir(), 'millrace-iceberg-'))
  return openLab(createDirectoryStore(join(root, 'out')), lab, () => rm(root, { recursive: true }), keyed)
})

let processes = 0

function openLab(store: ObjectStore, lab: SinkRowsLab, close: () => Promise<void>, sink = iceberg('out')): SinkLab {
  return {
    open: (checkpointId, calls) =>
      icebergKind.open(sink, {
        output: 'flow-1',
        columns,
        operation: 'append',
        checkpointId,
        pipeline: 'tested',
        newId: counter(`p${++processes}`),
        sleep: noSleep,
        openStore: async () => storeThrough(store, calls),
        nowMs: () => 1_700_000_000_000,
        duckdb: async work => work(lab),
      }),
    async visible() {
      return epochsIn(lab.executor, await currentFiles(store, lab.folder))
    },
    async staged() {
      const named = await currentKeys(store)
      return (await keysOf(store, 'data/')).filter(key => !named.includes(key))
    },
    traces: () => keysOf(store),
    close,
  }
}
