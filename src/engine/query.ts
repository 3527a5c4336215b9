import { randomUUID } from 'node:crypto'
import { join } from 'node:path'
import { loadFile } from '../../checkpoints/files.ts'
import { systemClock } from '../core/clock.ts'
import { errorMessage, MillraceError } from '../core/errors.ts'
import type { Executor, Row } from '../core/ports.ts'
import { id, text } from '../plan/sql.ts'
import { type ChannelReader, eachPart, outputRefs } from './channels.ts'
import { components } from './components.ts'
import { openSession } from './duckdb/session.ts'
import type { EngineRecords } from './recover.ts'
import { ledgerColumns } from './ledger.ts'
import { outputsOf, readCheckpoint } from './read-checkpoint.ts'

/** What a query of a checkpoint may name. */
export interface QueryResult {
  readonly rows: readonly Row[]
  /** The tables that the checkpoint has. */
  readonly tables: readonly string[]
}

/**
 * Runs one SELECT over a checkpoint's own records: `ledger`, `epochs`, `outputs` (files), `quarantine` (bad rows),
 * `late`, `state` (partial rows; the main table) and `output` (rows of published files). Where there are several,
 * `late_<step>`, `state_<step>` and `output_<flow>`. The checkpoint is only read, in a session that can reach nothing else.
 *
 * @throws MillraceError `user` for SQL that DuckDB refuses, with the tables there are.
 */
export async function query(address: string, sql: string): Promise<QueryResult> {
  const session = await openSession({})
  try {
    const executor = await session.executor(new AbortController().signal)
    const { checkpoint, head } = await readCheckpoint(components, address, 'checkpoint', session.stage)
    const reader: ChannelReader = { checkpoint, manifest: head.manifest, stage: session.stage, newId: randomUUID }
    const tables: string[] = []
    const { closesAt = {} } = head.manifest.engine.settings as Partial<EngineRecords>
    const watermark = newestWatermark(head.manifest.engine.watermarks as Record<string, { watermarkUs: string | null }>)
    for (const channel of Object.keys(head.manifest.channels)) {
      const name = channel.replace('segment-', 'state_').replaceAll('-', '_')
      if (!(await loadTable(reader, executor, channel, name))) continue
      tables.push(name)
      // A segment keeps rows of closed windows until all of it is dead.
      const dead = closesAt[channel.replace('segment-', '')]
      if (channel.startsWith('segment-') && dead !== undefined && watermark !== null)
        await executor.run(`DELETE FROM ${id(name)} WHERE ${dead} <= ${watermark}`)
    }
    // Output can be large: it is brought here only when it is asked for.
    const flows = Object.entries(outputsOf(head.manifest))
    for (const [flow, store] of flows) {
      const name = `output_${flow.replaceAll('-', '_')}`
      if (/\boutput(_\w+)?\b/i.test(sql) && !(await loadOutput(reader, executor, store, flow, name))) continue
      tables.push(name)
    }
    for (const kind of ['late', 'state', 'output']) {
      // A state's side tables have a further '_<number>'.
      const [only, another] = tables.filter(name => new RegExp(`^${kind}_(flow_)?[^_]+$`).test(name))
      if (only === undefined || another !== undefined) continue
      if (kind !== 'output' || /\boutput\b/i.test(sql))
        await executor.run(`CREATE VIEW ${id(kind)} AS SELECT * FROM ${id(only)}`)
      tables.push(kind)
    }
    // What has no row yet can be asked for all the same.
    for (const [name, columns] of Object.entries(emptyTables))
      if (!tables.includes(name)) {
        if (name !== 'output' || !flows.some(([flow]) => tables.includes(`output_${flow.replaceAll('-', '_')}`)))
          await executor.run(`CREATE TABLE ${id(name)} (${columns})`)
        tables.push(name)
      }
    await executor.run(epochsSql)
    tables.push('epochs')
    try {
      // As a subquery, so that it can only be one query.
      return { rows: await executor.rows(`SELECT * FROM (${sql.trim().replace(/;$/, '')}\n)`), tables }
    } catch (error) {
      const [sentence] = errorMessage(error).split('\n')
      throw new MillraceError(
        'user',
        'sql',
        `Expected one SELECT. DuckDB: ${sentence} Tables here: ${tables.toSorted().join(', ')}.`,
        error,
      )
    }
  } finally {
    await session.close()
  }
}

const emptyTables: Readonly<Record<string, string>> = {
  ledger: Object.entries(ledgerColumns)
    .map(([name, type]) => `${id(name)} ${type}`)
    .join(', '),
  late: '_object VARCHAR, _seq BIGINT, _row BIGINT, _watermark BIGINT, _window_start BIGINT, _window_end BIGINT, _reason VARCHAR',
  quarantine:
    '_seq BIGINT, _row BIGINT, object VARCHAR, e_tag VARCHAR, "column" VARCHAR, expected VARCHAR, found VARCHAR',
  outputs: 'epoch BIGINT, output VARCHAR, key VARCHAR, rows BIGINT, bytes BIGINT, sha256 VARCHAR',
  state: '_start BIGINT',
  output: 'window_start TIMESTAMP, window_end TIMESTAMP',
}

function newestWatermark(marks: Readonly<Record<string, { readonly watermarkUs: string | null }>>): bigint | null {
  const [first] = Object.values(marks)
  return typeof first?.watermarkUs === 'string' ? BigInt(first.watermarkUs) : null
}

const epochsSql =
  `CREATE VIEW epochs AS SELECT epoch, count(*) FILTER ("is" = 'object') AS objects, sum(rows) AS rows, sum(late) AS late, ` +
  `count(*) FILTER (outcome = 'quarantined') AS quarantined, min(seq) AS first_seq, max(seq) AS last_seq, bool_or("is" = 'flush') AS flushed ` +
  `FROM ledger GROUP BY epoch ORDER BY epoch`

/** Rows of a channel as a table; false where it has no file. */
export async function loadTable(
  reader: ChannelReader,
  executor: Executor,
  channel: string,
  name: string,
): Promise<boolean> {
  let isMade = false
  await eachPart(reader, channel, async rows => {
    await executor.run(
      isMade ? `INSERT INTO ${id(name)} SELECT * FROM ${rows}` : `CREATE TABLE ${id(name)} AS SELECT * FROM ${rows}`,
    )
    isMade = true
  })
  return isMade
}

async function loadOutput(
  reader: ChannelReader,
  executor: Executor,
  address: string,
  flow: string,
  name: string,
): Promise<boolean> {
  const store = await components.openInput(address, 'output')
  const refs = await outputRefs(reader, executor, flow)
  if (refs.length === 0) return false
  const files: string[] = []
  for (const ref of refs) {
    const file = join(reader.stage, reader.newId())
    await loadFile(store, ref, file, systemClock.sleep)
    files.push(text(file))
  }
  const isJson = refs.some(ref => ref.name.endsWith('.jsonl'))
  const list = `[${files.join(', ')}]`
  await executor.run(
    `CREATE VIEW ${id(name)} AS SELECT * FROM ${isJson ? `read_json(${list}, format = 'newline_delimited')` : `read_parquet(${list})`}`,
  )
  return true
}
