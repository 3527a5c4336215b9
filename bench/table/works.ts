import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { makeMonths } from '../months.ts'
import { plainQuery } from '../plain-query.ts'

/** How much there is to do, so that the same table has a small form. */
export interface Size {
  readonly months: number
  readonly rowsPerMonth: number
  readonly jsonFiles: number
  /** Epochs of one object. */
  readonly epochs: number
}

/** Something that millrace does, beside what does the same, or the least that could, without it. */
export interface Work {
  readonly name: string
  /** Writes what both sides read. @param folder is empty */
  make(folder: string, size: Size): Promise<void>
  /** What the other side is, in words. */
  readonly beside: string
  /** The other side: statements of DuckDB, or another pipeline. */
  other(folder: string, size: Size): { readonly sql: readonly string[] } | { readonly pipeline: string }
  /** The text of a pipeline's file. */
  pipeline(folder: string): string
  /** Arguments of `millrace backfill` beyond the pipeline. */
  readonly options?: readonly string[]
}

interface Described {
  readonly format: 'parquet' | 'json'
  readonly columns: string
  readonly time: string
  readonly delay: string
  readonly flows: readonly string[]
}

/** A pipeline that reads `in`, with an output for each flow. */
function pipelineText(folder: string, { format, columns, time, delay, flows }: Described): string {
  const at = (name: string) => JSON.stringify(join(folder, name))
  const written = flows.map(
    (steps, index) => `rows.pipe(${steps}, to(files(${at(`output-${index}`)}, { format: 'parquet' })))`,
  )
  return `import { aggregate, avg, count, files, groupBy, json, max, parquet, pipeline, source, sum, to, tumbling } from 'millrace'
const rows = source('rows', { objects: ${at('in')}, format: ${format}(), columns: ${columns}, time: '${time}', watermark: { delay: '${delay}' } })
export default pipeline('bench', { checkpoint: ${at('checkpoint')} }, ${written.join(', ')})
`
}

const copied = (folder: string, query: string) =>
  `COPY (${query} GROUP BY ALL ORDER BY ALL) TO '${folder}/plain.parquet' (FORMAT parquet, COMPRESSION zstd)`

const taxi = (name: string, options: readonly string[]): Work => ({
  name,
  options,
  beside: 'the same query of DuckDB',
  make: (folder, { months, rowsPerMonth }) => makeMonths(join(folder, 'in'), months, rowsPerMonth),
  other: folder => ({
    sql: [
      copied(
        folder,
        `SELECT date_trunc('hour', tpep_pickup_datetime) AS window_start, PULocationID, count(*) AS trips,
         sum(total_amount) AS revenue, avg(tip_amount) AS tip, max(trip_distance) AS farthest
         FROM read_parquet('${folder}/in/*.parquet')`,
      ),
    ],
  }),
  pipeline: folder =>
    pipelineText(folder, {
      format: 'parquet',
      columns:
        "{ tpep_pickup_datetime: 'TIMESTAMP NOT NULL', PULocationID: 'BIGINT', total_amount: 'DOUBLE', tip_amount: 'DOUBLE', trip_distance: 'DOUBLE' }",
      time: 'tpep_pickup_datetime',
      delay: '1 day',
      flows: [
        "tumbling('1 hour'), groupBy('PULocationID'), aggregate({ trips: count(), revenue: sum('total_amount'), tip: avg('tip_amount'), farthest: max('trip_distance') })",
      ],
    }),
})

/** Sums by day and key. @param amount SQL of a value of row `i` */
const sums = (name: string, amount: string): Work => ({
  name,
  beside: 'the same query of DuckDB',
  async make(folder, { months, rowsPerMonth }) {
    await mkdir(join(folder, 'in'))
    for (let month = 0; month < months; month++) {
      const start = `2022-${String(month + 1).padStart(2, '0')}`
      const first = month * rowsPerMonth
      await plainQuery(
        `COPY (SELECT TIMESTAMP '${start}-01' + to_seconds(hash(i) % 2419200) AS t, CAST(hash(i + 1) % 670 AS BIGINT) AS k,
         ${amount} AS amount, CAST((hash(i + 5) % 1000) / 100 AS DOUBLE) AS tip
         FROM range(${first}, ${first + rowsPerMonth}) AS r(i)) TO '${folder}/in/${start}.parquet' (FORMAT parquet, COMPRESSION zstd)`,
      )
    }
  },
  other: folder => ({
    sql: [
      copied(
        folder,
        `SELECT date_trunc('day', t) AS d, k, sum(amount) AS amount, sum(tip) AS tip FROM read_parquet('${folder}/in/*.parquet')`,
      ),
    ],
  }),
  pipeline: folder =>
    pipelineText(folder, {
      format: 'parquet',
      columns: "{ t: 'TIMESTAMP NOT NULL', k: 'BIGINT', amount: 'DOUBLE', tip: 'DOUBLE' }",
      time: 't',
      delay: '1 day',
      flows: ["tumbling('1 day'), groupBy('k'), aggregate({ amount: sum('amount'), tip: sum('tip') })"],
    }),
})

async function makeJson(folder: string, files: number, rowsPerFile: number, stepMs: number): Promise<void> {
  await mkdir(join(folder, 'in'))
  for (let file = 0; file < files; file++) {
    const lines = Array.from({ length: rowsPerFile }, (_, row) => {
      const n = file * rowsPerFile + row
      const t = new Date(Date.UTC(2024, 0, 1) + n * stepMs).toISOString()
      return `{"id":"trip-${n}","t":"${t}","zone":${n % 265},"amount":${(((n * 7_919) % 10_000) / 100).toFixed(2)}}\n`
    })
    await writeFile(join(folder, 'in', `rows-${String(file).padStart(6, '0')}.jsonl`), lines.join(''))
  }
}

const jsonColumns = "{ t: 'TIMESTAMP NOT NULL', zone: 'BIGINT', amount: 'DECIMAL(18,2)' }"
const jsonSteps = (window: string, key: string) =>
  `tumbling('${window}'), groupBy('${key}'), aggregate({ trips: count(), revenue: sum('amount') })`
const jsonRead = (files: string) =>
  `read_json('${files}', format = 'newline_delimited', columns = {t: 'TIMESTAMP', zone: 'BIGINT', amount: 'DECIMAL(18,2)'})`
const jsonPipeline = (folder: string, flows: readonly string[]) =>
  pipelineText(folder, { format: 'json', columns: jsonColumns, time: 't', delay: '1 minute', flows })

const manyFiles: Work = {
  name: 'JSON files of 500 rows',
  beside: 'the same query of DuckDB',
  make: (folder, { jsonFiles }) => makeJson(folder, jsonFiles, 500, 250),
  other: folder => ({
    sql: [
      copied(
        folder,
        `SELECT date_trunc('hour', t) AS window_start, zone, count(*) AS trips, sum(amount) AS revenue FROM ${jsonRead(`${folder}/in/*.jsonl`)}`,
      ),
    ],
  }),
  pipeline: folder => jsonPipeline(folder, [jsonSteps('1 hour', 'zone')]),
}

const smallEpochs: Work = {
  name: 'epochs of one object of 100 JSON rows',
  beside: 'a query of DuckDB for each object, into a table',
  make: (folder, { epochs }) => makeJson(folder, epochs, 100, 100),
  other: (folder, { epochs }) => ({
    sql: [
      'CREATE TABLE sums (window_start TIMESTAMP, zone BIGINT, trips BIGINT, revenue DECIMAL(38,2))',
      ...Array.from(
        { length: epochs },
        (_, file) =>
          `INSERT INTO sums SELECT date_trunc('minute', t), zone, count(*), sum(amount)
           FROM ${jsonRead(`${folder}/in/rows-${String(file).padStart(6, '0')}.jsonl`)} GROUP BY ALL`,
      ),
    ],
  }),
  pipeline: folder => jsonPipeline(folder, [jsonSteps('1 minute', 'zone')]),
  options: ['--objects-per-epoch', '1'],
}

/** The same, and a second flow over the source. */
const furtherFlow: Work = {
  ...smallEpochs,
  name: 'two flows instead of one, epochs of 10 objects of 100 JSON rows',
  beside: 'one of the flows',
  other: folder => ({ pipeline: jsonPipeline(folder, [jsonSteps('1 minute', 'zone')]) }),
  pipeline: folder => jsonPipeline(folder, [jsonSteps('1 minute', 'zone'), jsonSteps('1 hour', 'zone')]),
  options: ['--objects-per-epoch', '10'],
}

const flowOverRows: Work = {
  ...furtherFlow,
  name: 'two flows instead of one, JSON files of 500 rows',
  make: manyFiles.make,
  options: [],
}

const start: Work = {
  name: 'a start, and one row to read',
  beside: 'a query of DuckDB over the row',
  make: folder => makeJson(folder, 1, 1, 1),
  other: folder => ({ sql: [copied(folder, `SELECT zone, count(*) FROM ${jsonRead(`${folder}/in/*.jsonl`)}`)] }),
  pipeline: folder => jsonPipeline(folder, [jsonSteps('1 minute', 'zone')]),
}

const money = 'CAST((hash(i + 3) % 10000) / 100 AS DOUBLE)'

export const works: readonly Work[] = [
  taxi('taxi rows to Parquet, by hour and zone', []),
  taxi('the same, one object an epoch', ['--objects-per-epoch', '1']),
  sums('two sums of DOUBLE, by day and key', money),
  sums(
    'the same, with 0.1 % of values at 1e12 and 1e-9',
    `CASE hash(i + 11) % 2000 WHEN 0 THEN 1e12 WHEN 1 THEN 1e-9 ELSE ${money} END`,
  ),
  manyFiles,
  smallEpochs,
  furtherFlow,
  flowOverRows,
  start,
]
