import { join } from 'node:path'
import { jsonValue } from '../../connectors/json/values.ts'
import { parseColumnType } from '../core/types.ts'
import { errorMessage, isMillraceError, MillraceError } from '../core/errors.ts'
import type { Executor, WrittenFile } from '../core/ports.ts'
import { rowHidden } from '../plan/bind.ts'
import type { Relation } from '../plan/relation.ts'
import type { PartialRows } from '../plan/step.ts'
import { id, text } from '../plan/sql.ts'
import { type Flow, type StatefulNode, statefulNodes } from '../plan/stages.ts'
import type { SessionExecutor } from './duckdb/executor.ts'
import { isBadObject, type RowSource, type StampedPart } from './marked-object.ts'
import { type FunctionRun, runSteps } from './function-steps.ts'
import type { StampedObject } from './ledger.ts'
import {
  type Held,
  isReached,
  ownPartials,
  type OwnPartials,
  partialsSql,
  type PartialsTable,
  partialsTable,
  type StateTable,
  segmentChannel,
  stateTables,
  aliveSql,
} from './state.ts'

/** Rows for a channel or an output, in a local file that waits to be staged. */
export interface ChannelFile {
  readonly channel: string
  readonly written: WrittenFile
  readonly aliveToUs?: bigint
}
export interface OutputFile {
  readonly flow: Flow
  readonly written: WrittenFile
}

/** What stage 2 made of an epoch's rows: nothing of it depends on state, so it may run ahead of commits. */
export interface Partials {
  /** Partial rows by state table's key, absent where there are none. */
  readonly partials: ReadonlyMap<string, PartialsTable>
  /** Late (row, window) pairs by sequence number, over all nodes. */
  readonly late: ReadonlyMap<number, number>
  readonly channels: readonly ChannelFile[]
  /** Of flows without state. */
  readonly outputs: readonly OutputFile[]
  readonly tables: readonly string[]
}

/** What the watermark's move made final. */
export interface Applied {
  /** By state table's key: the epoch's own partial rows, for the state to adopt. */
  readonly own: ReadonlyMap<string, OwnPartials>
  readonly channels: readonly ChannelFile[]
  readonly outputs: readonly OutputFile[]
  readonly tables: readonly string[]
}

export interface EpochContext {
  readonly flows: readonly Flow[]
  readonly executor: SessionExecutor
  /** Folder for files that DuckDB writes. */
  readonly stage: string
  readonly newId: () => string
}

/** A name for a table of this epoch, used once. */
function workTable({ newId }: EpochContext): string {
  return `work_${newId().replaceAll('-', '')}`
}

/** At most this many branches of UNION ALL stand in one statement. */
const branchesMax = 200

/** Stage 2: first partials and late rows of an epoch's stamped objects. */
export async function computePartials(
  context: EpochContext,
  objects: readonly StampedObject[],
  source: Relation['columns'],
): Promise<Partials> {
  const { flows, executor } = context
  const read = objects.filter(({ marked }) => marked.good)
  const partials = new Map<string, PartialsTable>()
  const late = new Map<number, number>()
  const channels: ChannelFile[] = []
  const outputs: OutputFile[] = []
  const tables: string[] = []
  const table = async (sql: string): Promise<string> => {
    const name = workTable(context)
    tables.push(name)
    await executor.run(`CREATE TABLE ${name} AS ${sql}`)
    return name
  }
  const write = (relation: string, order: readonly string[], format?: 'parquet' | 'json') =>
    executor.write(relation, join(context.stage, context.newId()), order, format)

  const functions: FunctionRun = {
    executor,
    table,
    keyOf: seq => read.find(object => object.seq === seq)?.marked.version.key,
    given: new Map(),
  }

  try {
    const aside = read.flatMap(({ marked, seq }) => (marked.setAside ? [marked.setAside(seq)] : []))
    if (aside.length > 0)
      channels.push({
        channel: 'quarantine',
        written: await write(`SELECT * FROM (${aside.join(' UNION ALL ')})`, ['_seq', '_row', 'column']),
      })

    if (read.length > 0) {
      const nodes = statefulNodes(flows)
      const stateless = flows.filter(flow => !flow.stateful)
      const consumers = nodes.flatMap(({ step }) => step.tables).filter(({ neededBy }) => neededBy === undefined)
      const scan = await epochScan(read, source, consumers.length + stateless.length > 1, table)
      for (const node of nodes) {
        const rows = await runSteps({ ...functions, isBeforeWindow: true }, scan, node.before)
        const flags = node.step.tables.flatMap(({ neededBy }) => neededBy ?? [])
        for (const state of stateTables([node])) {
          const { name, neededBy, partial } = state.table
          if (neededBy !== undefined && !partials.get(node.id)?.flags.has(neededBy)) continue
          const made = await table(partial(rows))
          partials.set(state.key, await partialsTable(executor, node, made, name === '' ? flags : []))
        }
        const suspects = read.filter(
          ({ marked, watermarkUs }) =>
            watermarkUs !== null && marked.minTimeUs !== null && node.step.mayBeLate(marked.minTimeUs, watermarkUs),
        )
        if (suspects.length > 0) await collectLate(node, suspects)
      }
      for (const flow of stateless) {
        const result = await runSteps(functions, scan, flow.after)
        const format = formatOf(flow)
        const ordered = `SELECT ${outputItems(result, format)} FROM (${result.sql}) ORDER BY ${rowOrder(result).join(', ')}`
        outputs.push({ flow, written: await write(ordered, [], format) })
      }
    }
    return { partials, late, channels, outputs, tables }
  } catch (error) {
    await dropTables(executor, tables)
    throw error
  }

  /** Late rows are looked for only in objects whose earliest row can be late. Functions have run already. */
  async function collectLate(node: StatefulNode, suspects: readonly StampedObject[]): Promise<void> {
    const scan = await epochScan(suspects, source, false, table)
    const rows = await runSteps(functions, scan, node.before)
    const found = await table(node.step.late(rows))
    const counts = await executor.rows(`SELECT _seq, count(*) AS n FROM ${found} GROUP BY _seq`)
    if (counts.length === 0) return
    for (const { _seq, n } of counts) late.set(Number(_seq), (late.get(Number(_seq)) ?? 0) + Number(n))
    const names = suspects.map(({ marked, seq }) => `(${seq}, ${text(marked.version.key)})`).join(', ')
    const relation = `SELECT o.object AS _object, l.*, 'the window had closed: its end is at or below the watermark before the object' AS _reason FROM ${found} AS l JOIN (VALUES ${names}) AS o(seq, object) ON o.seq = l._seq`
    channels.push({ channel: `late-${node.id}`, written: await write(relation, [...rowOrder(rows), '_window_end']) })
  }
}

/** What orders rows before a window totally: those that one row became stand in the order of the function. */
const rowOrder = ({ hidden }: Relation): readonly string[] => hidden.filter(name => name !== '_watermark')

/** The epoch's rows. Shared by several consumers, they are read once into a table. */
async function epochScan(
  objects: readonly StampedObject[],
  columns: Relation['columns'],
  isShared: boolean,
  table: (sql: string) => Promise<string>,
): Promise<Relation> {
  const stamped = new Map<RowSource, StampedPart[]>()
  for (const { marked, seq, watermarkUs } of objects) {
    if (!marked.good) continue
    const { source, part } = marked.good
    const own = stamped.get(source)
    if (own) own.push({ part, seq, watermarkUs })
    else stamped.set(source, [{ part, seq, watermarkUs }])
  }
  const scans = [...stamped].map(([source, own]) => source.scan(own))
  const groups: string[] = []
  for (let start = 0; start < scans.length; start += branchesMax)
    groups.push(scans.slice(start, start + branchesMax).join(' UNION ALL '))
  if (!isShared && groups.length === 1) return { sql: groups[0] as string, columns, hidden: rowHidden }
  const parts: string[] = []
  for (const group of groups) parts.push(await table(group))
  return { sql: parts.map(name => `SELECT * FROM ${name}`).join(' UNION ALL '), columns, hidden: rowHidden }
}

/**
 * Apply: emits windows that end in (from, to] out of state and the epoch's partials, and writes what stays as segments.
 *
 * @param held by state table's key
 */
export async function applyEpoch(
  context: EpochContext,
  partials: Partials,
  fromUs: bigint | null,
  toUs: bigint | null,
  held: ReadonlyMap<string, Held>,
): Promise<Applied> {
  const { flows, executor } = context
  const channels: ChannelFile[] = []
  const outputs: OutputFile[] = []
  const tables: string[] = []
  const own = new Map<string, OwnPartials>()
  try {
    for (const state of stateTables(statefulNodes(flows))) {
      const table = partials.partials.get(state.key)
      if (table === undefined) continue
      const found = await ownPartials(executor, state, table, toUs)
      own.set(state.key, found)
      if (found.survivors.rows === 0) continue
      const file = join(context.stage, context.newId())
      const written = await executor.write(
        aliveSql(state, `SELECT * FROM ${table.name}`, toUs),
        file,
        state.table.order,
      )
      channels.push({ channel: segmentChannel(state), written, aliveToUs: found.aliveToUs as bigint })
    }
    for (const flow of flows) {
      if (!flow.stateful || toUs === null || toUs === fromUs || !isEmitting(flow.stateful)) continue
      const rows = emittable(flow.stateful)
      const emitted = flow.stateful.step.emit(table => rows.get(table.name) ?? [], fromUs, toUs)
      const table = async (sql: string) => {
        const name = workTable(context)
        tables.push(name)
        await executor.run(`CREATE TABLE ${name} AS ${sql}`)
        return name
      }
      const result = await runSteps({ executor, table }, emitted, flow.after)
      const order = result.hidden.map(name => `${id(name)} ASC NULLS LAST`).join(', ')
      const format = formatOf(flow)
      const ordered = `SELECT ${outputItems(result, format)} FROM (${result.sql}) ORDER BY ${order}`
      outputs.push({
        flow,
        written: await executor.write(ordered, join(context.stage, context.newId()), [], format),
      })
    }
    return { own, channels, outputs, tables }
  } catch (error) {
    await dropTables(executor, tables)
    if (isMillraceError(error)) throw error
    const [sentence = ''] = errorMessage(error)
      .replace(/^[A-Za-z ]+ Error: /, '')
      .split('\n')
    throw new MillraceError(
      'fatal',
      'emit',
      `${sentence.replace(/\.$/, '')}. The results of this epoch could not be computed; nothing of it was committed.`,
      error,
    )
  }

  function isEmitting(node: StatefulNode): boolean {
    const reached = ({ key }: StateTable) =>
      isReached(held.get(key)?.emitsFromUs, toUs) || isReached(own.get(key)?.emitsFromUs, toUs)
    return stateTables([node]).some(reached)
  }

  /** Partial rows by table name; a side table without any is left out, which spares a join. */
  function emittable(node: StatefulNode): ReadonlyMap<string, readonly PartialRows[]> {
    const rows = new Map<string, readonly PartialRows[]>()
    for (const state of stateTables([node])) {
      const earlier = held.get(state.key)
      const closesToUs = isReached(earlier?.emitsFromUs, toUs) ? (earlier?.closesToUs ?? null) : null
      const parts = emittedParts(state, closesToUs, partials.partials.get(state.key))
      if (parts.length > 0) rows.set(state.table.name, parts)
    }
    return rows
  }
}

/**
 * Committed rows, if any of them are emitted, with an epoch's own that may share a window with them, and its others: those
 * are one row for each window and group, as their partial gave them.
 *
 * @param closesToUs where the last of the committed rows closes; null where none is emitted
 */
function emittedParts(
  state: StateTable,
  closesToUs: bigint | null,
  own: PartialsTable | undefined,
): readonly PartialRows[] {
  const from = own && `SELECT * FROM ${own.name}`
  if (closesToUs === null) return from === undefined ? [] : [{ sql: from, isMerged: true }]
  const { closesAt } = state.node.step
  const isBelow = own !== undefined && own.closesFromUs !== null && own.closesFromUs <= closesToUs
  const isAbove = own !== undefined && own.closesToUs !== null && own.closesToUs > closesToUs
  const below = isBelow ? `(${from} WHERE ${closesAt} <= ${closesToUs})` : undefined
  return [
    { sql: partialsSql(state, below), isMerged: false },
    ...(isAbove ? [{ sql: `${from} WHERE ${closesAt} > ${closesToUs}`, isMerged: true }] : []),
  ]
}

export async function dropTables(executor: Executor, tables: readonly string[]): Promise<void> {
  for (const name of tables) await executor.run(`DROP TABLE IF EXISTS ${name}`)
}

/** Rows that are handed over wait as Parquet, which keeps their types. */
function formatOf({ terminal }: Flow): 'parquet' | 'json' {
  return terminal.is === 'rows' ? 'parquet' : terminal.format
}

/** What a flow's files hold: its columns; in JSON, which has no NaN and no infinities, those as text. */
function outputItems({ columns }: Relation, format: 'parquet' | 'json'): string {
  const item = (name: string, type: string) =>
    format === 'json' ? `${jsonValue(id(name), parseColumnType(type, name))} AS ${id(name)}` : id(name)
  return Object.entries(columns)
    .map(([name, type]) => item(name, type))
    .join(', ')
}

/**
 * Why stage 2 failed: the objects that cannot be read after all (a corrupt page that stage 1 had no reason to read),
 * or an expression's error, which names the object.
 */
export async function diagnose(
  context: EpochContext,
  objects: readonly StampedObject[],
  source: Relation['columns'],
  error: unknown,
): Promise<ReadonlyMap<StampedObject, unknown>> {
  const bad = new Map<StampedObject, unknown>()
  for (const object of objects) {
    try {
      await object.marked.probe?.()
    } catch (cause) {
      if (!isBadObject(cause)) throw cause
      bad.set(object, cause)
    }
  }
  if (bad.size > 0) return bad
  const keyed = (message: string) =>
    message.replace(/_seq (\d+)/, (all, seq) => {
      const found = objects.find(object => object.seq === Number(seq))
      return found ? `object '${found.marked.version.key}'` : all
    })
  if (!isBadObject(error)) throw error
  for (const object of objects.filter(({ marked }) => marked.good)) {
    try {
      const made = await computePartials(context, [object], source)
      await dropTables(context.executor, made.tables)
    } catch (cause) {
      throw new MillraceError(
        'fatal',
        'expression',
        `object '${object.marked.version.key}': ${keyed(errorMessage(cause))} Nothing of its epoch was counted. Guard the expression (try_cast, CASE, where) or correct the object.`,
        cause,
      )
    }
  }
  throw error
}
