import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createDirectoryStore } from '../../../connectors/directory/store.ts'
import { deltaKind } from '../../../connectors/delta/sink.ts'
import { delta } from '../../../connectors/delta/spec.ts'
import type { ObjectStore } from '../../../src/core/ports.ts'
import { createMemoryStore } from '../../../src/testing/index.ts'
import { keysOf } from '../../checkpoints/fixtures.ts'
import { describeSink, type SinkLab, type SinkRowsLab, type VisibleEpoch } from '../../contracts/sink.ts'
import { serverFor } from '../../servers/for-tests.ts'
import { startMinio } from '../../servers/minio.ts'
import { makeBucket, newStore } from '../s3/fixtures.ts'
import { entriesOf, filesIn, openSink } from './fixtures.ts'

const minio = await serverFor(startMinio)
if (minio) await makeBucket(minio.endpoint)

for (const [name, key] of [
  ['a table of Delta Lake', undefined],
  ['a table of Delta Lake with a key', ['k']],
] as const) {
  const options = key ? { key: ['k'] } : {}
  const given = deltaKind.rows?.(delta('out', options as { key: never[] }), { k: 'VARCHAR' }, 'flow-1')
  const facts = { tells: true, isOwned: true, fences: true, ...(given && { rows: given }) }
  if (key) describeSink(`${name} in memory`, facts, async rows => openLab(createMemoryStore(), rows, options))
  else
    describeSink(`${name} in a directory`, facts, async rows => {
      const root = await mkdtemp(join(tmpdir(), 'millrace-delta-'))
      const lab = openLab(createDirectoryStore(join(root, 'out')), rows, options)
      return { ...lab, close: () => rm(root, { recursive: true }) }
    })
  if (minio)
    describeSink(`${name} in s3:// on MinIO`, facts, async rows =>
      openLab(await newStore(minio.endpoint), rows, options),
    )
}

function openLab(store: ObjectStore, rows: SinkRowsLab, options: { readonly key?: readonly string[] }): SinkLab {
  const visibleFiles = async () => filesIn(await entriesOf(store))
  return {
    open: (checkpointId, calls) => openSink(store, rows, options, { checkpointId, calls }),
    async visible() {
      const seen = new Map<number, string[]>()
      for (const key of await visibleFiles()) {
        const found = await store.get(key)
        if (typeof found === 'string') throw new Error(`${key} is ${found}`)
        const file = join(rows.folder, 'seen')
        await writeFile(file, found.body)
        for (const k of await rows.read(file)) {
          const epoch = Number(k.split(' ')[0])
          seen.set(epoch, [...(seen.get(epoch) ?? []), k])
        }
      }
      const epochs = [...seen].map(([epoch, found]): VisibleEpoch => ({ epoch, rows: found }))
      // Rows of a key have no order in the table.
      return options.key ? epochs.toSorted((a, b) => a.epoch - b.epoch) : epochs
    },
    async staged() {
      const entries = (await entriesOf(store)).flat()
      const known = new Set(entries.flatMap(({ add, remove }) => [add?.path ?? [], remove?.path ?? []].flat()))
      return (await keysOf(store)).filter(key => key.endsWith('.parquet') && !known.has(key))
    },
    traces: () => keysOf(store),
    close: async () => {},
  }
}
