/**
 * A backfill in a process of its own, which dies of the object `deadly`. Arguments: input, checkpoint, output, and of what:
 * `kill` as soon as the object is read, or `heap` where a function runs out of memory on its row of -1.
 */
import { createDirectoryStore } from '../../connectors/directory/store.ts'
import { backfillWith } from '../../src/engine/backfill.ts'
import { components } from '../../src/engine/components.ts'
import { aggregate, count, files, groupBy, mapRows, parquet, pipeline, source, to, tumbling } from '../../src/index.ts'

const [input = '', checkpoint = '', output = '', of] = process.argv.slice(2)

const columns = { t: 'TIMESTAMP NOT NULL', k: 'BIGINT' } as const
const days = source('days', {
  objects: input,
  format: parquet(),
  columns,
  time: 't',
  watermark: { delay: '1 hour' },
})
const deadly = pipeline(
  'deadly',
  { checkpoint },
  (of === 'heap' ? days.pipe(mapRows(hungry, columns)) : days).pipe(
    tumbling('1 hour'),
    groupBy('k'),
    aggregate({ n: count() }),
    to(files(output, { format: 'parquet' })),
  ),
)
function hungry<R extends { readonly k: bigint | null }>(row: R): R {
  if (row.k === -1n) for (const kept: unknown[] = []; ; ) kept.push(Array.from({ length: 10_000 }, () => kept.length))
  return row
}

await backfillWith(
  {
    ...components,
    async openInput(root) {
      const store = createDirectoryStore(root)
      return {
        ...store,
        async link(version, file) {
          if (of === 'kill' && version.key.includes('deadly')) process.kill(process.pid, 'SIGKILL')
          return (await store.link?.(version, file)) ?? 'unsupported'
        },
      }
    },
  },
  deadly,
  { objectsPerEpoch: 4, threads: 1 },
)
