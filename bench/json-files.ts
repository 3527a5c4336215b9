/**
 * Many small files of JSON lines: `millrace backfill`, as it is built for npm, beside DuckDB running the one plain query
 * over the same files with the same types. CPU time (user and system) of whole processes, all sides in turns; builds to
 * compare with come before the own one.
 *
 *     .ci/build && node bench/json-files.ts [OTHER_DIST ...]      MILLRACE_FILES=3000 MILLRACE_ROUNDS=3
 */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { buildsToCompare, costOf, median } from './cost-of.ts'

const files = Number(process.env.MILLRACE_FILES ?? 3_000)
const rounds = Number(process.env.MILLRACE_ROUNDS ?? 3)
const rowsPerFile = 500
const builds = buildsToCompare()
const folder = await mkdtemp(join(tmpdir(), 'millrace-json-'))
const at = (name: string) => join(folder, name)
const pipeline = at('pipeline.ts')
await writeFile(
  pipeline,
  `import { aggregate, count, files, groupBy, json, pipeline, source, sum, to, tumbling } from 'millrace'
const events = source('events', { objects: ${JSON.stringify(at('in'))}, format: json(), time: 't', watermark: { delay: '1 hour' },
  columns: { t: 'TIMESTAMP NOT NULL', zone: 'BIGINT', amount: 'DECIMAL(18,2)', paid: 'BOOLEAN' } })
export default pipeline('json-bench', { checkpoint: ${JSON.stringify(at('checkpoint'))} }, events.pipe(tumbling('1 hour'), groupBy('zone', 'paid'),
  aggregate({ trips: count(), revenue: sum('amount') }), to(files(${JSON.stringify(at('output'))}, { format: 'parquet' }))))
`,
)
const plain = at('plain.mjs')
await writeFile(
  plain,
  `import { DuckDBInstance } from ${JSON.stringify(import.meta.resolve('@duckdb/node-api'))}
const connection = await (await DuckDBInstance.create(':memory:')).connect()
await connection.run(\`COPY (SELECT date_trunc('hour', t) AS window_start, zone, paid, count(*) AS trips, sum(amount) AS revenue
  FROM read_json('${at('in')}/*.json', format = 'newline_delimited',
    columns = {t: 'TIMESTAMP', zone: 'BIGINT', amount: 'DECIMAL(18,2)', paid: 'BOOLEAN'})
  GROUP BY ALL ORDER BY ALL) TO '${at('plain.parquet')}' (FORMAT parquet, COMPRESSION zstd)\`)
`,
)

async function makeFiles(): Promise<void> {
  await mkdir(at('in'))
  for (let file = 0; file < files; file++) {
    const lines = Array.from({ length: rowsPerFile }, (_, row) => {
      const n = file * rowsPerFile + row
      const t = new Date(Date.UTC(2024, 0, 1) + n * 250).toISOString()
      const amount = ((n * 7919) % 10_000) / 100
      return `{"id":"trip-${n}","t":"${t}","zone":${n % 265},"amount":${amount.toFixed(2)},"paid":${n % 3 > 0}}\n`
    })
    await writeFile(join(at('in'), `rows-${String(file).padStart(5, '0')}.json`), lines.join(''))
  }
}

try {
  await makeFiles()
  const costs = new Map<string, number[]>(['plain', ...builds].map(side => [side, []]))
  for (let round = 0; round < rounds; round++)
    for (const [side, all] of costs) {
      for (const place of ['checkpoint', 'output']) await rm(at(place), { recursive: true, force: true })
      const args = side === 'plain' ? [plain] : [join(side, 'src/cli/bin.js'), 'backfill', pipeline]
      all.push((await costOf(args)).cpu)
    }
  const base = median(costs.get('plain') ?? [])
  console.log(`${files} files of ${rowsPerFile} rows, CPU time, median of ${rounds}`)
  for (const [side, all] of costs)
    console.log(`${side}: ${median(all).toFixed(2)} s, ${(median(all) / base).toFixed(2)} times`)
} finally {
  await rm(folder, { recursive: true, force: true })
}
