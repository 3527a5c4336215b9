/**
 * What an epoch costs by itself: one object of 100 JSON rows each, over a directory with fsync, and the same rows in a
 * few large epochs beside it. Median of the epochs after the first fifty.
 *
 *     node bench/epochs.ts [EPOCHS]
 */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { performance } from 'node:perf_hooks'
import { aggregate, backfill, count, files, groupBy, json, pipeline, source, sum, to, tumbling } from '../src/index.ts'

const [epochs = 400] = process.argv.slice(2).map(Number)
const rowsPerObject = 100
const folder = await mkdtemp(join(tmpdir(), 'millrace-bench-'))
const input = join(folder, 'input')

async function run(name: string, objectsPerEpoch: number): Promise<number[]> {
  const events = source('events', {
    objects: input,
    format: json(),
    columns: { at: 'TIMESTAMP NOT NULL', device: 'BIGINT', value: 'DOUBLE' },
    time: 'at',
    watermark: { delay: '1 minute' },
  })
  const place = join(folder, name)
  const perMinute = pipeline(
    'epochs',
    { checkpoint: join(place, 'checkpoint') },
    events.pipe(
      tumbling('1 minute'),
      groupBy('device'),
      aggregate({ n: count(), total: sum('value') }),
      to(files(join(place, 'output'), { format: 'parquet' })),
    ),
  )
  const times: number[] = []
  let last = performance.now()
  await backfill(perMinute, { objectsPerEpoch }, () => {
    const now = performance.now()
    times.push(now - last)
    last = now
  })
  return times
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1] ?? Number.NaN
}

try {
  await mkdir(input)
  for (let object = 0; object < epochs; object++) {
    const lines = Array.from({ length: rowsPerObject }, (_, row) =>
      JSON.stringify({
        at: new Date(Date.UTC(2024, 0, 1) + object * 10_000 + row * 100).toISOString(),
        device: row % 10,
        value: row / 8,
      }),
    )
    await writeFile(join(input, `events-${String(object).padStart(6, '0')}.jsonl`), `${lines.join('\n')}\n`)
  }
  const single = (await run('single', 1)).slice(50)
  const whole = await run('whole', 100)
  const sumOf = (values: readonly number[]) => values.reduce((a, b) => a + b, 0)
  console.log(`${epochs} objects of ${rowsPerObject} JSON rows`)
  console.log(
    `an epoch of one object   ${median(single).toFixed(1)} ms, ` +
      `90 % within ${single.toSorted((a, b) => a - b)[Math.floor(single.length * 0.9)]?.toFixed(1)} ms`,
  )
  console.log(`an object in epochs of 100   ${(sumOf(whole) / epochs).toFixed(1)} ms`)
} finally {
  await rm(folder, { recursive: true, force: true })
}
