/** A backfill in a process of its own, which dies the moment it reads the object `deadly`. Arguments: input, place, and whether it kills. */
import { createDirectoryStore } from '../../connectors/directory/store.ts'
import { backfillWith } from '../../src/engine/backfill.ts'
import { components } from '../../src/engine/components.ts'
import { aggregate, count, files, groupBy, parquet, pipeline, source, to, tumbling } from '../../src/index.ts'

const [input = '', checkpoint = '', output = ''] = process.argv.slice(2)

const days = source('days', {
  objects: input,
  format: parquet(),
  columns: { t: 'TIMESTAMP NOT NULL', k: 'BIGINT' },
  time: 't',
  watermark: { delay: '1 hour' },
})
const deadly = pipeline(
  'deadly',
  { checkpoint },
  days.pipe(tumbling('1 hour'), groupBy('k'), aggregate({ n: count() }), to(files(output, { format: 'parquet' }))),
)
await backfillWith(
  {
    ...components,
    async openInput(root) {
      const store = createDirectoryStore(root)
      return {
        ...store,
        async link(version, file) {
          if (version.key.includes('deadly')) process.kill(process.pid, 'SIGKILL')
          return (await store.link?.(version, file)) ?? 'unsupported'
        },
      }
    },
  },
  deadly,
  { objectsPerEpoch: 4, threads: 1 },
)
