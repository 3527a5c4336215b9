import { errorMessage, MillraceError } from '../../core/errors.ts'
import { parseColumnType } from '../../core/types.ts'
import type { ClockEntry } from '../../plan/clock.ts'
import {
  inputAlias,
  inputColumn,
  microsecondsOf,
  noTimeUs,
  orderOf,
  type Relation,
  rowHidden,
  timeColumn,
  watermarkColumn,
} from '../../plan/relation.ts'
import { type BadRow, firstBadRow } from '../read/bad-row.ts'
import type { SourceSettings } from '../../plan/source-settings.ts'
import { id, text } from '../../plan/sql.ts'
import { besideRows, type Stage } from '../../plan/stages.ts'
import { type FunctionRun, runSteps } from './function-steps.ts'
import type { StampedObject } from '../state/ledger.ts'
import { isBadObject, type RowSource, type StampedPart } from '../read/marked-object.ts'
import type { Stamped } from './stamp.ts'
import { type PartialsTable, partialsTable, stateTables } from '../state/state.ts'
import {
  type ChannelRows,
  createWork,
  dropTables,
  type EpochContext,
  type HeldTable,
  type OutputFile,
  type Work,
  writeLate,
  writeOutput,
} from './work.ts'

/** What stage 2 made of an epoch's rows: nothing of it depends on state, so it may run ahead of commits. */
export interface Partials {
  /** Partial rows by state table's key, absent where there are none. */
  readonly partials: ReadonlyMap<string, PartialsTable>
  /** The epoch's rows, by the id of a stage that passes them on. */
  readonly rows: ReadonlyMap<string, Relation>
  /** Late rows by sequence number, over all stages. */
  readonly late: ReadonlyMap<number, number>
  readonly channels: readonly ChannelRows[]
  /** Of flows without state. */
  readonly outputs: readonly OutputFile[]
  readonly held: readonly HeldTable[]
  readonly tables: readonly string[]
  /** Of the rows that are set aside. */
  readonly firstBad: BadRow | undefined
}

export const noPartials: Partials = {
  partials: new Map(),
  rows: new Map(),
  late: new Map(),
  channels: [],
  outputs: [],
  held: [],
  tables: [],
  firstBad: undefined,
}

/** The settings of each source, by its name. */
export type SourcesSettings = ReadonlyMap<string, SourceSettings>

/** At most this many branches of UNION ALL stand in one statement. */
const branchesMax = 200

/** Stage 2: partial rows, late rows and stateless output of an epoch's stamped objects. */
export async function computePartials(
  context: EpochContext,
  stamped: Pick<Stamped, 'objects' | 'clocks'>,
  sources: SourcesSettings,
): Promise<Partials> {
  const work = createWork(context)
  const read = stamped.objects.filter(({ marked }) => marked.good)
  const partials = new Map<string, PartialsTable>()
  const rowsOf = new Map<string, Relation>()
  const functions: FunctionRun = {
    executor: context.executor,
    table: work.table,
    keyOf: seq => read.find(object => object.seq === seq)?.marked.version.key,
    given: new Map(),
  }
  try {
    const firstBad = await writeSetAside(context, work, read)
    for (const source of sources.values()) await computeSource(source)
    return { ...work, partials, rows: rowsOf, firstBad }
  } catch (error) {
    await dropTables(context.executor, work.tables)
    throw error
  }

  async function computeSource(source: SourceSettings): Promise<void> {
    const own = read.filter(({ marked }) => marked.source === source.name)
    if (own.length === 0) return
    const isOwn = ({ from }: Pick<Stage, 'from'>) => from.is === 'source' && from.source === source.name
    const first = context.stages.filter(isOwn)
    const stateless = context.flows.filter(isOwn)
    const reads = first.reduce((sum, stage) => sum + readsOf(stage), stateless.length)
    const scan = await epochScan(own, source, reads > 1, work)
    for (const stage of first) {
      const clocked = withClock(scan, stamped, stage)
      const rows = await runSteps({ ...functions, isBeforeWindow: true }, clocked, stage.before)
      const kept = areKept(stage) ? await keptRows(rows, work, stage) : rows
      if (stage.step.gives === 'passing') rowsOf.set(stage.id, kept)
      await foldRows(context, work, stage, kept, partials)
      await seekLate(stage, kept, own, source)
    }
    for (const flow of stateless) {
      const result = await runSteps(functions, scan, flow.after)
      await writeOutput(work, flow, result, orderOf(result))
    }
  }

  /** Late rows are looked for only in objects whose earliest row can be late. Functions have run already. */
  async function seekLate(
    stage: Stage,
    kept: Relation,
    own: readonly StampedObject[],
    source: SourceSettings,
  ): Promise<void> {
    const before = beforeOf(stamped, stage)
    const suspects = own.filter(({ marked, seq }) => {
      const watermarkUs = before(seq)
      return watermarkUs !== null && marked.minTimeUs !== null && stage.step.late.mayBe(marked.minTimeUs, watermarkUs)
    })
    if (suspects.length === 0) return
    const rows = areKept(stage)
      ? kept
      : await runSteps(
          functions,
          withClock(await epochScan(suspects, source, false, work), stamped, stage),
          stage.before,
        )
    const names = suspects.map(({ marked, seq }) => `(${seq}, ${text(marked.version.key)})`).join(', ')
    await writeLate(context, work, stage, rows, orderOf(rows), `SELECT * FROM (VALUES ${names}) AS o(seq, object)`)
  }
}

/** How often a stage reads the epoch's rows: once for each channel that always has rows, or once into a table. */
function readsOf(stage: Stage): number {
  const { step } = stage
  return areKept(stage) ? 1 : step.channels.filter(({ neededBy }) => neededBy === undefined).length
}

/** Folds rows to the partial rows of a stage's channels, each in a table. */
export async function foldRows(
  { executor }: EpochContext,
  work: Work,
  stage: Stage,
  rows: Relation,
  partials: Map<string, PartialsTable>,
): Promise<void> {
  const flags = stage.step.channels.flatMap(({ neededBy }) => neededBy ?? [])
  for (const { key, channel } of stateTables([stage])) {
    const { name, neededBy, partial } = channel
    if (neededBy !== undefined && !partials.get(stage.id)?.flags.has(neededBy)) continue
    const made = await work.table(partial(rows))
    partials.set(key, await partialsTable(executor, channel, made, name === '' ? flags : []))
  }
}

/** Whether the stage reads its rows more than once, whatever its channels are. */
function areKept({ step }: Stage): boolean {
  return step.gives === 'passing' || step.beside !== undefined
}

/** The rows in a table, with what stands beside them. */
export async function keptRows(rows: Relation, work: Work, { step }: Stage): Promise<Relation> {
  const kept = { ...rows, sql: `SELECT * FROM ${await work.table(rows.sql)}` }
  return besideRows(step, kept, step.beside && (await work.table(step.beside.table(kept))))
}

/** @returns the first of them */
async function writeSetAside(
  { executor }: EpochContext,
  work: Work,
  read: readonly StampedObject[],
): Promise<BadRow | undefined> {
  const aside = read.flatMap(({ marked, seq }) => (marked.setAside ? [marked.setAside(seq)] : []))
  if (aside.length === 0) return undefined
  const table = await work.table(aside.join(' UNION ALL '))
  const [count] = await executor.rows(`SELECT count(*) AS n FROM ${table}`)
  const kept = await work.keep(`SELECT * FROM ${table}`, ['_seq', '_row', 'column'], Number(count?.n))
  work.channels.push({ channel: 'quarantine', kept })
  return await firstBadRow(executor, `FROM ${table}`)
}

/** The stage's watermark before an entry of the epoch. */
function beforeOf({ clocks }: Pick<Stamped, 'clocks'>, stage: Stage): (seq: number) => bigint | null {
  const entries = new Map(clocks.get(stage.id)?.entries.map(entry => [entry.seq, entry]))
  return seq => entries.get(seq)?.beforeUs ?? null
}

/**
 * The source's rows under the stage's clock, which is another one than the source's after a flush of some stages only.
 */
function withClock(scan: Relation, stamped: Pick<Stamped, 'objects' | 'clocks'>, stage: Stage): Relation {
  const before = beforeOf(stamped, stage)
  if (stamped.objects.every(({ seq, watermarkUs }) => before(seq) === watermarkUs)) return scan
  return clocked(scan, stamped.clocks.get(stage.id)?.entries ?? [])
}

/** Rows with the watermark of their entry on this clock as `_watermark`. */
export function clocked(rows: Relation, entries: readonly ClockEntry[]): Relation {
  const values = entries.map(({ seq, beforeUs }) => `(${seq}, CAST(${beforeUs ?? 'NULL'} AS BIGINT))`)
  const clock =
    values.length === 0 ? 'SELECT 0 AS seq, CAST(NULL AS BIGINT) AS before WHERE FALSE' : `VALUES ${values.join(', ')}`
  const hidden = [...rows.hidden.filter(name => name !== watermarkColumn), watermarkColumn]
  const items = [
    ...hidden.map(name => (name === watermarkColumn ? `c.before AS ${name}` : inputColumn(name))),
    ...Object.keys(rows.columns).map(inputColumn),
  ]
  return {
    sql:
      `SELECT ${items.join(', ')} FROM (${rows.sql}) AS ${id(inputAlias)} ` +
      `JOIN (${clock}) AS c(seq, before) ON c.seq = ${inputColumn('_seq')}`,
    columns: rows.columns,
    hidden,
  }
}

/** The epoch's rows, with their event time if any. Shared by several consumers, they are read once into a table. */
async function epochScan(
  objects: readonly StampedObject[],
  { columns, time }: SourceSettings,
  isShared: boolean,
  work: Work,
): Promise<Relation> {
  const stamped = new Map<RowSource, StampedPart[]>()
  for (const { marked, seq, watermarkUs } of objects) {
    if (!marked.good) continue
    const { source, part } = marked.good
    const own = stamped.get(source)
    if (own) own.push({ part, seq, watermarkUs })
    else stamped.set(source, [{ part, seq, watermarkUs }])
  }
  const timeUs =
    time === undefined ? noTimeUs : microsecondsOf(id(time), parseColumnType(columns[time] ?? '', time).name)
  const timed = (rows: string) => `SELECT *, ${timeUs} AS ${timeColumn} FROM (${rows})`
  const scans = [...stamped].map(([source, own]) => source.scan(own))
  const groups: string[] = []
  for (let start = 0; start < scans.length; start += branchesMax)
    groups.push(timed(scans.slice(start, start + branchesMax).join(' UNION ALL ')))
  if (!isShared && groups.length === 1) return { sql: groups[0] as string, columns, hidden: rowHidden }
  const parts: string[] = []
  for (const group of groups) parts.push(await work.table(group))
  return { sql: parts.map(name => `SELECT * FROM ${name}`).join(' UNION ALL '), columns, hidden: rowHidden }
}

/**
 * Why stage 2 failed: the objects that cannot be read after all (a corrupt page that stage 1 had no reason to read),
 * or an expression's error, which names the object.
 */
export async function diagnose(
  context: EpochContext,
  stamped: Pick<Stamped, 'objects' | 'clocks'>,
  sources: SourcesSettings,
  error: unknown,
): Promise<ReadonlyMap<StampedObject, unknown>> {
  const { objects, clocks } = stamped
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
      const made = await computePartials(context, { objects: [object], clocks }, sources)
      await dropTables(context.executor, made.tables)
    } catch (cause) {
      throw new MillraceError(
        'fatal',
        'expression',
        `object '${object.marked.version.key}': ${keyed(errorMessage(cause)).replace(/[.\s]*$/, '.')} ` +
          'Nothing of its epoch was counted. Guard the expression (try_cast, CASE, where) or correct the object.',
        cause,
      )
    }
  }
  throw error
}
