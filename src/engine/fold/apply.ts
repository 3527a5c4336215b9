import { errorMessage, isMillraceError, MillraceError } from '../../core/errors.ts'
import { advanceClock, type Clock, type Clocks, latest } from '../../plan/clock.ts'
import { type Emitted, orderOf, type Relation } from '../../plan/relation.ts'
import {
  type Branch,
  clockShape,
  isBehind,
  isFirst,
  isOfSources,
  leavesOf,
  type Flow,
  type Stage,
} from '../../plan/stages.ts'
import type { EpochView } from '../../plan/step.ts'
import { branchRows } from './branches.ts'
import { emittedParts, islandParts } from './emitted-parts.ts'
import { writeChanges } from './changes.ts'
import { checkClosingCrowd, checkNewCrowd } from './crowd.ts'
import { type FunctionRun, runSteps } from './function-steps.ts'
import { islandsOf, noteIslands } from '../state/islands.ts'
import { lookupIn, type LookupsMet } from './lookups-met.ts'
import { placed } from './placed.ts'
import { clocked, foldRows, keptRows, noObjects, type Partials } from './partials.ts'
import {
  aliveSql,
  channelView,
  flushValue,
  type Held,
  isReached,
  ownPartials,
  type OwnPartials,
  type PartialsTable,
  partialsTable,
  segmentChannel,
  stateTable,
  stateTables,
} from '../state/state.ts'
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

/** The clocks of an epoch: those that its entries were stamped with, or a flush that is still to be decided. */
export type EpochTime =
  | { readonly is: 'stamped'; readonly clocks: ReadonlyMap<string, Clock>; readonly lookups: LookupsMet }
  | ({ readonly is: 'flush' } & Flush)

/** One ledger entry, whose value each stage finds in its own state (S6). */
export interface Flush {
  readonly lookups: LookupsMet
  readonly seq: number
  readonly before: Clocks
  /** The watermark of each source. */
  readonly sourcesUs: Clocks
  /** By source: its high mark. What begins above the highest of those that feed a stage stays open. */
  readonly limitsUs: Clocks
}

/** What an epoch gave. */
export interface Applied {
  /** By state table's key: the epoch's own partial rows, those of stages behind other stages included. */
  readonly partials: ReadonlyMap<string, PartialsTable>
  /** By state table's key: what of them the state adopts. */
  readonly own: ReadonlyMap<string, OwnPartials>
  /** By stage: where a flush moved its clock. */
  readonly flushed: ReadonlyMap<string, bigint>
  /** By stage whose islands may have changed: where the first open one begins, null where none is open. */
  readonly openFromUs: ReadonlyMap<string, bigint | null>
  /** Late rows of stages behind other stages, by sequence number. */
  readonly late: ReadonlyMap<number, number>
  readonly channels: readonly ChannelRows[]
  readonly outputs: readonly OutputFile[]
  readonly held: readonly HeldTable[]
  readonly tables: readonly string[]
}

/** One epoch while its stages are applied, one after the other. */
interface Applying {
  readonly context: EpochContext
  readonly epoch: number
  readonly time: EpochTime
  readonly work: Work
  readonly ahead: Partials
  /** By state table's key. */
  readonly held: ReadonlyMap<string, Held>
  readonly partials: Map<string, PartialsTable>
  readonly own: Map<string, OwnPartials>
  readonly clocks: Map<string, Clock>
  readonly flushed: Map<string, bigint>
  readonly openFromUs: Map<string, bigint | null>
  /** By stage: how far the limit of a flush reaches behind it. */
  readonly limits: Map<string, bigint>
  /** By stage: what it gave, in the ledger's order, for the stages behind it. */
  readonly given: Map<string, Relation>
}

/**
 * Apply: stage after stage, folds what the stage before it gave, writes what stays as segments, and emits what is
 * final, out of state and of what is new.
 *
 * @param held by state table's key
 * @param epoch that is to be committed
 */
export async function applyEpoch(
  context: EpochContext,
  ahead: Partials,
  time: EpochTime,
  held: ReadonlyMap<string, Held>,
  epoch: number,
): Promise<Applied> {
  const work = createWork(context)
  const applying: Applying = {
    context,
    epoch,
    time,
    work,
    ahead,
    held,
    partials: new Map(ahead.partials),
    own: new Map(),
    clocks: new Map(),
    flushed: new Map(),
    openFromUs: new Map(),
    limits: new Map(),
    given: new Map(),
  }
  try {
    for (const stage of context.stages) {
      const rows = await inputRows(applying, stage)
      await learn(applying, stage)
      const clock = await clockOf(applying, stage)
      applying.clocks.set(stage.id, clock)
      await moveIslands(applying, stage, clock)
      await writeSegments(applying, stage, clock)
      await emit(applying, stage, clock, rows)
    }
    await writeMixed(applying)
    const { partials, own, flushed, openFromUs } = applying
    return { ...work, partials, own, flushed, openFromUs }
  } catch (error) {
    await dropTables(context.executor, work.tables)
    throw emissionError(error)
  }
}

/** The epoch's rows of a stage where it needs them: those of a stage behind another one are folded and judged here. */
async function inputRows(applying: Applying, stage: Stage): Promise<Relation | undefined> {
  const { context, work, ahead, time, partials } = applying
  if (isFirst(stage)) return ahead.rows.get(stage.id)
  const entries =
    time.is === 'flush'
      ? [{ seq: time.seq, beforeUs: time.before[stage.id] ?? null, afterUs: null }]
      : (time.clocks.get(stage.id)?.entries ?? [])
  let first: Relation | undefined
  for (const [index, branch] of stage.inputs.entries()) {
    const given = await givenRows(applying, branch)
    if (!given) continue
    const rows = await keptRows(clocked(given, entries), work, stage)
    await foldRows(context, work, stage, index, partials, channel => channel.partial(rows))
    await writeLate(context, work, stage, index, rows, isOfSources(branch) ? ahead.objects : noObjects)
    if (index === 0) first = rows
  }
  return first
}

/** What stages gave a branch, and sources where it has those as well. */
function givenRows(applying: Applying, branch: Branch): Promise<Relation | undefined> {
  const { work, ahead, given } = applying
  return branchRows(functionRun(applying), branch, {
    leaf(leaf) {
      if (leaf.is === 'stage') return given.get(leaf.stage.id)
      return leaf.is === 'late' ? lateRows(work, leaf) : undefined
    },
    made: ahead.parts,
  })
}

/** Where functions run behind a stage, and lookups are met. */
function functionRun({ context: { executor }, work: { table }, time }: Applying): FunctionRun {
  return { executor, table, lookup: lookupIn(time.lookups) }
}

/** What only state and the epoch's rows together tell. */
async function learn({ context, work, held, partials }: Applying, stage: Stage): Promise<void> {
  if (!hasNewRows(stage, partials)) return
  await checkNewCrowd(context.executor, stage, held, partials)
  for (const channel of stage.step.learnt ?? []) {
    const table = await work.table(channel.learn(channelView(stage, partials)))
    partials.set(stateTable(stage, channel).key, await partialsTable(context.executor, channel, table, []))
  }
}

function hasNewRows(stage: Stage, partials: ReadonlyMap<string, PartialsTable>): boolean {
  return stateTables([stage]).some(({ key }) => (partials.get(key)?.rows ?? 0) > 0)
}

/** The stage's clock over the epoch. A flush moves it to the end of what the stage holds back below the limit. */
async function clockOf({ context, time, clocks, flushed, limits, partials }: Applying, stage: Stage): Promise<Clock> {
  if (time.is === 'stamped') {
    const clock = time.clocks.get(stage.id)
    if (!clock) throw new Error(`unreachable: stage ${stage.id} was not stamped`)
    return clock
  }
  const { seq, sourcesUs } = time
  const beforeUs = time.before[stage.id] ?? null
  const limitUs = stage.inputs
    .flatMap(leavesOf)
    .map(leaf => ('stage' in leaf ? limits.get(leaf.stage.id) : time.limitsUs[leaf.source]) ?? null)
    .reduce(latest)
  if (limitUs !== null) limits.set(stage.id, limitUs)
  const value = limitUs === null ? null : await flushValue(context.executor, stage, partials, limitUs)
  if (value !== null && (beforeUs === null || value > beforeUs)) flushed.set(stage.id, value)
  const upstream = Object.fromEntries([...clocks].map(([id, { toUs }]) => [id, toUs]))
  const afterUs = advanceClock(clockShape(stage), beforeUs, sourcesUs, upstream, value)
  return { fromUs: beforeUs, toUs: afterUs, entries: [{ seq, beforeUs, afterUs }] }
}

/** What the epoch's rows and its watermark make of the islands that rows live with. */
async function moveIslands(applying: Applying, stage: Stage, { toUs }: Clock): Promise<void> {
  const { context, epoch, held, partials, openFromUs } = applying
  const own = partials.get(stage.id)
  if (!islandsOf(stage) || (own === undefined && !isReached(held.get(stage.id)?.emitsFromUs, toUs))) return
  const rows = own && { sql: `SELECT * FROM ${own.name}`, isMerged: true }
  openFromUs.set(stage.id, await noteIslands(context.executor, stage, epoch, rows, toUs))
}

/** The epoch's partial rows that outlive its watermark are its segments. */
export async function writeSegments(
  {
    context,
    work,
    partials,
    own,
  }: Pick<Applying, 'work' | 'partials' | 'own'> & {
    readonly context: Pick<EpochContext, 'executor'>
  },
  stage: Stage,
  { toUs }: Clock,
): Promise<void> {
  for (const state of stateTables([stage])) {
    const table = partials.get(state.key)
    if (table === undefined) continue
    const found = await ownPartials(context.executor, state, table, toUs)
    own.set(state.key, found)
    if (found.survivors.rows === 0) continue
    const alive = aliveSql(state, `SELECT * FROM ${table.name}`, toUs)
    const kept = await work.keep(alive, state.channel.order, found.survivors.rows)
    work.channels.push({ channel: segmentChannel(state), kept, aliveToUs: found.aliveToUs as bigint })
  }
}

/** What the stage gives goes to the flows that end behind it, and to the stages behind it. */
async function emit(applying: Applying, stage: Stage, clock: Clock, rows: Relation | undefined): Promise<void> {
  const { context, work, limits } = applying
  const behind = context.flows.filter(({ rows: branch }) => isBehind(branch, stage))
  const direct = behind.filter(({ rows: { from } }) => from.is === 'stage')
  const changing = direct.filter(({ terminal }) => terminal.emit === 'update')
  await writeChanges(work, stage, clock, applying, changing, applying.epoch)
  const view = viewOf(applying, stage, clock, rows)
  if (!view) return
  await checkClosingCrowd(context.executor, stage, view)
  const flows = direct.filter(flow => !changing.includes(flow))
  const isReadOn =
    behind.length > direct.length || context.stages.some(({ inputs }) => inputs.some(input => isBehind(input, stage)))
  let result = stage.step.emit(view)
  if (isReadOn || flows.length > 1) result = { ...result, sql: `SELECT * FROM ${await work.table(result.sql)}` }
  for (const flow of flows) {
    const output = await runSteps(functionRun(applying), placedFor(flow, result, clock), flow.rows.steps)
    await writeOutput(work, flow, output, orderOf(output))
  }
  if (!isReadOn) return
  applying.given.set(stage.id, placed(result, clock, stage.step.corrections !== undefined))
  const limitUs = limits.get(stage.id)
  if (limitUs === undefined) return
  const [row] = await context.executor.rows(
    `SELECT max(${result.timeUs}) AS t FROM (${result.sql}) WHERE ${result.startUs} <= ${limitUs}`,
  )
  limits.set(stage.id, latest(limitUs, (row?.t ?? null) as bigint | null) as bigint)
}

/** A lookup is met by the place of a row in the ledger. */
function placedFor({ rows: { steps } }: Flow, result: Emitted, clock: Clock): Relation {
  return steps.some(({ node }) => node.step.is === 'lookup') ? placed(result, clock, false) : result
}

/** The output of flows in which rows meet what stages give, and of late rows of such stages. */
async function writeMixed(applying: Applying): Promise<void> {
  const { context, work } = applying
  for (const flow of context.flows) {
    if (flow.rows.from.is === 'stage' || isOfSources(flow.rows)) continue
    const output = await givenRows(applying, flow.rows)
    if (output) await writeOutput(work, flow, output, orderOf(output))
  }
}

/** What the stage sees of the epoch; undefined where nothing can come of it. */
function viewOf(
  { held, own, partials }: Applying,
  stage: Stage,
  { fromUs, toUs }: Clock,
  rows: Relation | undefined,
): EpochView | undefined {
  const states = stateTables([stage])
  const isClosing =
    toUs !== null &&
    toUs !== fromUs &&
    states.some(({ key }) => isReached(held.get(key)?.emitsFromUs, toUs) || isReached(own.get(key)?.emitsFromUs, toUs))
  const { gives } = stage.step
  const isGiving = (gives !== 'passing' && isClosing) || (gives !== 'closing' && hasNewRows(stage, partials))
  if (!isGiving) return undefined
  return {
    ...channelView(stage, partials),
    rows: rows ?? { sql: 'SELECT 1 WHERE FALSE', columns: {}, hidden: [] },
    partials(channel) {
      const state = stateTable(stage, channel)
      const earlier = held.get(state.key)
      const { life } = state.channel
      const [main = state] = states
      // By the main table for all: a finer one may have no rows where that has some.
      if (life.is === 'merged') return islandParts(state, main, life, held.get(main.key), partials.get(state.key))
      const closesToUs = isReached(earlier?.emitsFromUs, toUs) ? (earlier?.closesToUs ?? null) : null
      return emittedParts(state, closesToUs, partials.get(state.key))
    },
    fromUs,
    toUs,
  }
}

export function emissionError(error: unknown): unknown {
  if (isMillraceError(error)) return error
  const [sentence = ''] = errorMessage(error)
    .replace(/^[A-Za-z ]+ Error: /, '')
    .split('\n')
  return new MillraceError(
    'fatal',
    'emit',
    `${sentence.replace(/\.$/, '')}. The results of this epoch could not be computed; nothing of it was committed.`,
    error,
  )
}
