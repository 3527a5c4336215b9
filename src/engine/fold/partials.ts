import { errorMessage, MillraceError } from '../../core/errors.ts'
import type { ClockEntry } from '../../plan/clock.ts'
import { inputAlias, inputColumn, orderOf, type Relation, rowHidden, watermarkColumn } from '../../plan/relation.ts'
import { timedRows } from '../read/good-rows.ts'
import type { SourceSettings } from '../../plan/source-settings.ts'
import { id, text } from '../../plan/sql.ts'
import type { Channel, Stateful } from '../../plan/step.ts'
import { besideRows, type Branch, isFirst, isOfSources, type Leaf, leavesOf, type Stage } from '../../plan/stages.ts'
import { branchRows, partsOfSources } from './branches.ts'
import type { FunctionRun } from './function-steps.ts'
import { lookupIn, writeVersions } from './lookups-met.ts'
import type { StampedObject } from '../state/ledger.ts'
import { isBadObject, type RowSource, type StampedPart } from '../read/marked-object.ts'
import { quarantinedRows, writeSetAside, type SetAsideRows } from './set-aside.ts'
import type { Stamped } from './stamp.ts'
import { type PartialsTable, partialsTable, stateTable } from '../state/state.ts'
import {
  type ChannelRows,
  createWork,
  dropTables,
  type EpochContext,
  type HeldTable,
  lateRows,
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
  /** The rows of branches that meet, behind them, what a stage gives. */
  readonly parts: ReadonlyMap<Branch, Relation>
  /** SQL: the objects of the epoch, seq and object. */
  readonly objects: string
  /** Late rows by sequence number, over all stages. */
  readonly late: ReadonlyMap<number, number>
  /** The same by why they are. */
  readonly lateReasons: ReadonlyMap<string, number>
  readonly channels: readonly ChannelRows[]
  /** Of flows without state. */
  readonly outputs: readonly OutputFile[]
  readonly held: readonly HeldTable[]
  readonly tables: readonly string[]
  readonly aside: SetAsideRows | undefined
}

/** No object to name: rows that a stage gives come from a window, not from an object. */
export const noObjects = 'SELECT CAST(NULL AS BIGINT) AS seq, CAST(NULL AS VARCHAR) AS object WHERE FALSE'

export const noPartials: Partials = {
  partials: new Map(),
  rows: new Map(),
  parts: new Map(),
  objects: noObjects,
  late: new Map(),
  lateReasons: new Map(),
  channels: [],
  outputs: [],
  held: [],
  tables: [],
  aside: undefined,
}

/** The settings of each source, by its name. */
export type SourcesSettings = ReadonlyMap<string, SourceSettings>

/** At most this many branches of UNION ALL stand in one statement. */
const branchesMax = 200

/** What stamping has made of an epoch's entries. */
type Stampings = Omit<Stamped, 'after'>

/** Stage 2: partial rows, late rows and stateless output of an epoch's stamped objects. */
export async function computePartials(
  context: EpochContext,
  stamped: Stampings,
  sources: SourcesSettings,
): Promise<Partials> {
  const work = createWork(context)
  const read = stamped.objects.filter(({ marked }) => marked.good)
  const functions: FunctionRun = {
    executor: context.executor,
    table: work.table,
    keyOf: seq => read.find(object => object.seq === seq)?.marked.version.key,
    given: new Map(),
    lookup: lookupIn(stamped.lookups),
  }
  const made = { partials: new Map(), rows: new Map(), parts: new Map() }
  const folding = { context, work, stamped, sources, read, functions, ...made }
  try {
    await writeVersions(context.executor, work, stamped.marks)
    const aside = await writeSetAside(context, work, read)
    await foldEpoch({ ...folding, aside: aside?.table })
    return { ...work, ...made, objects: objectsSql(read), aside }
  } catch (error) {
    await dropTables(context.executor, work.tables)
    throw error
  }
}

/** An epoch's rows while stage 2 works on them. */
interface Folding {
  readonly context: EpochContext
  readonly work: Work
  readonly stamped: Pick<Stamped, 'objects' | 'clocks'>
  readonly sources: SourcesSettings
  /** The objects that have rows. */
  readonly read: readonly StampedObject[]
  readonly functions: FunctionRun
  readonly partials: Map<string, PartialsTable>
  readonly rows: Map<string, Relation>
  readonly parts: Map<Branch, Relation>
  /** Of the rows that are set aside. */
  readonly aside: string | undefined
}

async function foldEpoch(folding: Folding): Promise<void> {
  const { context, work, parts } = folding
  const first = context.stages.filter(isFirst)
  const stateless = context.flows.filter(({ rows }) => isOfSources(rows))
  const isLater = (stage: Stage) => !isFirst(stage)
  const later = context.stages.filter(isLater).flatMap(({ inputs }) => inputs.flatMap(partsOfSources))
  const mixed = context.flows.filter(({ rows }) => !isOfSources(rows)).flatMap(({ rows }) => partsOfSources(rows))
  const once = [...stateless.map(({ rows }) => rows), ...later, ...mixed].flatMap(leavesOf)
  const scans = await scansOf(folding, folding.read, [...first.flatMap(readsOf), ...once])
  for (const stage of first) await foldStage(folding, stage, scans)
  for (const flow of stateless) {
    const result = await rowsOf(folding, flow.rows, scans, false)
    if (result) await writeOutput(work, flow, result, orderOf(result))
  }
  const keep = async (branch: Branch, isBeforeWindow: boolean) => {
    const rows = await rowsOf(folding, branch, scans, isBeforeWindow)
    if (rows) parts.set(branch, { ...rows, sql: `SELECT * FROM ${await work.table(rows.sql)}` })
  }
  for (const branch of later) await keep(branch, true)
  for (const branch of mixed) await keep(branch, false)
}

/** The rows of each source that has any here. */
type Scans = ReadonlyMap<string, Relation>

/** @param reads the leaves that are read, as often as they are; absent: each once */
async function scansOf(
  { sources, work }: Folding,
  objects: readonly StampedObject[],
  reads: readonly Leaf[] = [],
): Promise<Scans> {
  const scans = new Map<string, Relation>()
  for (const source of sources.values()) {
    const own = objects.filter(({ marked }) => marked.source === source.name)
    const count = reads.filter(leaf => leaf.is === 'source' && leaf.source === source.name).length
    if (own.length > 0) scans.set(source.name, await epochScan(own, source, count > 1, work))
  }
  return scans
}

/** A branch's rows of these that were read; undefined where its sources have none. */
function rowsOf(
  folding: Folding,
  branch: Branch,
  scans: Scans,
  isBeforeWindow: boolean,
): Promise<Relation | undefined> {
  const leaf = (from: Leaf) => (from.is === 'source' ? scans.get(from.source) : asideRows(folding, from))
  return branchRows({ ...folding.functions, isBeforeWindow }, branch, { leaf })
}

/** What a stage or a source has set aside here. */
function asideRows({ work, stamped, aside }: Folding, from: Leaf): Relation | undefined {
  if (from.is === 'late') return lateRows(work, from)
  return from.is === 'quarantine' ? quarantinedRows(stamped.objects, aside, from) : undefined
}

/** The same under the clock of the stage that they go to. */
async function stageRows(folding: Folding, stage: Stage, branch: Branch, scans: Scans): Promise<Relation | undefined> {
  const rows = await rowsOf(folding, branch, scans, true)
  return rows && withClock(rows, folding.stamped, stage, branch)
}

async function foldStage(folding: Folding, stage: Stage, scans: Scans): Promise<void> {
  const { context, work, partials } = folding
  for (const [index, branch] of stage.inputs.entries()) {
    const rows = await stageRows(folding, stage, branch, scans)
    if (!rows) continue
    const kept = areKept(stage) ? await keptRows(rows, work, stage) : rows
    if (passesRows(stage.step)) folding.rows.set(stage.id, kept)
    await foldRows(context, work, stage, index, partials, channel => channel.partial(kept))
    await seekLate(folding, stage, index, kept)
  }
}

/**
 * Late rows are looked for only in objects whose earliest row can be late. Functions have run already.
 *
 * @param index of the stage's input
 */
async function seekLate(folding: Folding, stage: Stage, index: number, kept: Relation): Promise<void> {
  const { context, work, stamped, read } = folding
  const branch = stage.inputs[index] as Branch
  const before = beforeOf(stamped, stage)
  const suspects = read.filter(isOf(branch)).filter(({ marked, seq }) => {
    const watermarkUs = before(seq)
    return watermarkUs !== null && marked.minTimeUs !== null && stage.step.late.mayBe(marked.minTimeUs, watermarkUs)
  })
  if (suspects.length === 0) return
  const rows = areKept(stage) ? kept : await stageRows(folding, stage, branch, await scansOf(folding, suspects))
  await writeLate(context, work, stage, index, rows as Relation, objectsSql(suspects))
}

/** Whether an object's rows are among those of a branch. */
function isOf(branch: Branch): (object: StampedObject) => boolean {
  const leaves = leavesOf(branch)
  return ({ marked }) => leaves.some(leaf => leaf.is === 'source' && leaf.source === marked.source)
}

function objectsSql(objects: readonly StampedObject[]): string {
  if (objects.length === 0) return noObjects
  const names = objects.map(({ marked, seq }) => `(${seq}, ${text(marked.version.key)})`).join(', ')
  return `SELECT * FROM (VALUES ${names}) AS o(seq, object)`
}

/** What a stage reads, as often as it does: once for each channel that always has rows, or once into a table. */
function readsOf(stage: Stage): readonly Leaf[] {
  return stage.inputs.flatMap((branch, index) => {
    const channels = channelsOf(stage, index).filter(({ neededBy }) => neededBy === undefined)
    return Array.from({ length: areKept(stage) ? 1 : channels.length }, () => leavesOf(branch)).flat()
  })
}

/** The channels that are made of one of a stage's inputs. */
function channelsOf({ step }: Stage, index: number): readonly Channel[] {
  return step.channels.filter(({ input = 0 }) => input === index)
}

/**
 * Folds rows to the partial rows of a stage's channels, each in a table.
 *
 * @param index of the input
 * @param partialOf SQL: what a channel makes of them
 */
export async function foldRows(
  { executor }: Pick<EpochContext, 'executor'>,
  work: Work,
  stage: Stage,
  index: number,
  partials: Map<string, PartialsTable>,
  partialOf: (channel: Channel) => string,
): Promise<void> {
  const flags = stage.step.channels.flatMap(({ neededBy }) => neededBy ?? [])
  for (const channel of channelsOf(stage, index)) {
    const { name, neededBy } = channel
    if (neededBy !== undefined && !partials.get(stage.id)?.flags.has(neededBy)) continue
    const made = await work.table(partialOf(channel))
    partials.set(stateTable(stage, channel).key, await partialsTable(executor, channel, made, name === '' ? flags : []))
  }
}

/** Whether a step gives the rows of its only input. */
function passesRows({ gives, ports }: Stateful): boolean {
  return gives === 'passing' && ports === undefined
}

/** Whether the stage reads its rows more than once, whatever its channels are. */
function areKept({ step }: Stage): boolean {
  return passesRows(step) || step.beside !== undefined
}

/** The rows in a table, with what stands beside them. */
export async function keptRows(rows: Relation, work: Pick<Work, 'table'>, { step }: Stage): Promise<Relation> {
  const kept = { ...rows, sql: `SELECT * FROM ${await work.table(rows.sql)}` }
  return besideRows(step, kept, step.beside && (await work.table(step.beside.table(kept))))
}

/** The stage's watermark before an entry of the epoch. */
function beforeOf({ clocks }: Pick<Stamped, 'clocks'>, stage: Stage): (seq: number) => bigint | null {
  const entries = new Map(clocks.get(stage.id)?.entries.map(entry => [entry.seq, entry]))
  return seq => entries.get(seq)?.beforeUs ?? null
}

/**
 * A branch's rows under the stage's clock, which is another one than the source's after a flush of some stages only,
 * and where sources meet.
 */
function withClock(
  rows: Relation,
  stamped: Pick<Stamped, 'objects' | 'clocks'>,
  stage: Stage,
  branch: Branch,
): Relation {
  const before = beforeOf(stamped, stage)
  const isSame = stamped.objects.filter(isOf(branch)).every(({ seq, watermarkUs }) => before(seq) === watermarkUs)
  return isSame ? rows : clocked(rows, stamped.clocks.get(stage.id)?.entries ?? [])
}

/** Rows with the watermark of their entry on this clock as `_watermark`. */
export function clocked(rows: Relation, entries: readonly ClockEntry[]): Relation {
  const values = entries.map(({ seq, beforeUs }) => `(${seq}, CAST(${beforeUs ?? 'NULL'} AS BIGINT))`)
  const clock =
    values.length === 0 ? 'SELECT 0 AS seq, CAST(NULL AS BIGINT) AS before WHERE FALSE' : `VALUES ${values.join(', ')}`
  return clockedBy(rows, clock)
}

/** The same. @param clock SQL: entries, as number and watermark before it */
export function clockedBy(rows: Relation, clock: string): Relation {
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
  settings: SourceSettings,
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
  const timed = (rows: string) => timedRows(rows, settings).sql
  const { columns } = settings
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
  stamped: Stampings,
  sources: SourcesSettings,
  error: unknown,
): Promise<ReadonlyMap<StampedObject, unknown>> {
  const { objects, clocks, lookups } = stamped
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
      const made = await computePartials(context, { objects: [object], marks: [], clocks, lookups }, sources)
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
