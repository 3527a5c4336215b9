import type { Executor } from '../../core/ports.ts'
import { type Clocks, latest } from '../../plan/clock.ts'
import { id } from '../../plan/sql.ts'
import type { Stage } from '../../plan/stages.ts'
import type { ChannelView, StateChannel } from '../../plan/step.ts'
import { createIslands, islandsOf, openIslands } from './islands.ts'

/** A channel of a stage: names its state table and its segments. */
export interface StateTable {
  readonly stage: Stage
  readonly channel: StateChannel
  /** `<stage>` or `<stage>-<channel>`. */
  readonly key: string
}

export function stateTables(stages: readonly Stage[]): readonly StateTable[] {
  return stages.flatMap(stage => {
    const { channels, learnt = [] } = stage.step
    return [...channels, ...learnt].map(channel => stateTable(stage, channel))
  })
}

export function stateTable(stage: Stage, channel: StateChannel): StateTable {
  return { stage, channel, key: channel.name === '' ? stage.id : `${stage.id}-${channel.name}` }
}

/** Committed partial rows lie in a DuckDB table that spills. Segments in the checkpoint are the truth. */
export const stateName = ({ key }: StateTable): string => id(`state_${key}`)
export const segmentChannel = ({ key }: StateTable): string => `segment-${key}`

export const columnList = ({ channel }: StateTable): string => Object.keys(channel.columns).map(id).join(', ')

export async function createStateTable(executor: Executor, state: StateTable): Promise<void> {
  if (state.channel.life.is === 'merged' && state.channel.name === '') await createIslands(executor, state.stage)
  const columns = Object.entries(state.channel.columns).map(([name, type]) => `${id(name)} ${type}`)
  await executor.run(`CREATE TABLE ${stateName(state)} (${columns.join(', ')})`)
}

/** Every partial row so far: committed state and, where given, an epoch's own table. */
export function partialsSql(state: StateTable, own?: string): string {
  const columns = columnList(state)
  const committed = `SELECT ${columns} FROM ${stateName(state)}`
  return own === undefined ? committed : `${committed} UNION ALL SELECT ${columns} FROM ${own}`
}

/** What a stage sees of its channels. @param own this epoch's partial rows, by the state's key */
export function channelView(stage: Stage, own: ReadonlyMap<string, PartialsTable>): ChannelView {
  return {
    committed: channel => partialsSql(stateTable(stage, channel)),
    own(channel) {
      const state = stateTable(stage, channel)
      const table = own.get(state.key)
      return table ? `SELECT ${columnList(state)} FROM ${table.name}` : `${partialsSql(state)} WHERE FALSE`
    },
  }
}

/** The open windows of a state's rows; undefined for side tables and for a stage without windows. */
export function openWindowsOf(state: StateTable, clocks: Clocks): string | undefined {
  const { stage, channel } = state
  return channel.name === '' ? stage.step.openWindows?.(partialsSql(state), clocks[stage.id] ?? null) : undefined
}

/**
 * The partial rows of a relation that outlive this watermark. Those of an epoch are its segment.
 *
 * @param epoch whose islands are meant where rows live with those; absent: of the last one
 */
export function aliveSql(state: StateTable, rows: string, watermarkUs: bigint | null, epoch?: number): string {
  const { life, closesAt } = state.channel
  const columns = columnList(state)
  if (watermarkUs === null) return `SELECT ${columns} FROM (${rows})`
  if (life.is === 'merged')
    return life.alive(`SELECT ${columns} FROM (${rows})`, openIslands(state.stage, epoch), watermarkUs)
  return `SELECT ${columns} FROM (${rows}) WHERE ${closesAt} > ${watermarkUs}`
}

/**
 * For readers that bind no plan, by state table: the watermark from which its rows are dead, where they tell that by
 * themselves.
 */
export function closesAtBy(states: readonly StateTable[]): Readonly<Record<string, string>> {
  const local = states.filter(({ channel }) => channel.life.is === 'row')
  return Object.fromEntries(local.map(({ key, channel }) => [key, channel.closesAt]))
}

/**
 * The same of the others: a query over `partials`, the table's rows. Of the main one the islands that live; of a finer
 * grain all rows, as only the main one tells which of them do.
 */
export function livingBy(states: readonly StateTable[], clocks: Clocks): Readonly<Record<string, string>> {
  return Object.fromEntries(
    states.flatMap(({ key, stage, channel: { name, life, closesAt } }) => {
      if (life.is === 'row') return []
      const watermarkUs = clocks[stage.id] ?? null
      if (name !== '' || watermarkUs === null) return [[key, 'SELECT * FROM partials']]
      return [[key, `SELECT * FROM (${life.islands('SELECT * FROM partials')}) WHERE ${closesAt} > ${watermarkUs}`]]
    }),
  )
}

/** What is known of partial rows without looking at them again. */
export interface Held {
  readonly rows: number
  /** With those that were deleted since the table was written anew: DuckDB frees them by row groups of 122,880. */
  readonly storedRows: number
  /** How many there were when each group of a window had one row: after the last merge in the process. */
  readonly mergedRows: number
  /** No watermark below this makes a window of theirs final; null without rows. */
  readonly emitsFromUs: bigint | null
  /** The watermark from which none of them is alive; null without rows. */
  readonly closesToUs: bigint | null
}

/** A table of an epoch's partial rows, and what it says of itself: asked once, where it is made. */
export interface PartialsTable {
  readonly name: string
  readonly rows: number
  /**
   * The first watermark that makes a window final, and those from which some row and no row is closed; null without
   * rows.
   */
  readonly emitsFromUs: bigint | null
  readonly closesFromUs: bigint | null
  readonly closesToUs: bigint | null
  /** Flags that are set in some row. */
  readonly flags: ReadonlySet<string>
}

/** @param flags BOOLEAN columns of the table. */
export async function partialsTable(
  executor: Executor,
  channel: StateChannel,
  name: string,
  flags: readonly string[],
): Promise<PartialsTable> {
  const set = flags.map((flag, index) => `, bool_or(${id(flag)}) AS f${index}`).join('')
  const [row] = await executor.rows(
    `SELECT count(*) AS n, min(${channel.emitsFrom}) AS emits_from, min(${channel.closesAt}) AS closes_from, ` +
      `max(${channel.closesAt}) AS closes_to${set} FROM ${name}`,
  )
  return {
    name,
    rows: Number(row?.n),
    emitsFromUs: (row?.emits_from ?? null) as bigint | null,
    closesFromUs: (row?.closes_from ?? null) as bigint | null,
    closesToUs: (row?.closes_to ?? null) as bigint | null,
    flags: new Set(flags.filter((_, index) => row?.[`f${index}`] === true)),
  }
}

/** An epoch's partial rows under its watermark. */
export interface OwnPartials {
  /** The first watermark that makes a window final. */
  readonly emitsFromUs: bigint | null
  /** Those that outlive the watermark: the segment. */
  readonly survivors: Pick<Held, 'rows' | 'emitsFromUs'>
  /** What `deadToUs` must reach for none of the survivors to be alive. */
  readonly aliveToUs: bigint | null
}

/** Later than any time. */
const neverUs = 2n ** 63n - 1n

/**
 * Segments that `aliveToUs` puts at or below this hold nothing alive (P11): the watermark; where rows live with
 * islands, the time at which the first open one begins, of which a row may be that ends after it. Null where that is
 * not known to have moved.
 *
 * @param openFromUs by stage: where the first open island begins, null where none is open
 */
export function deadToUs(
  { stage }: StateTable,
  clocks: Clocks,
  openFromUs: ReadonlyMap<string, bigint | null>,
): bigint | null {
  if (!islandsOf(stage)) return clocks[stage.id] ?? null
  const first = openFromUs.get(stage.id)
  return first === undefined ? null : (first ?? neverUs)
}

export async function heldRows(
  executor: Executor,
  state: StateTable,
  before?: Pick<Held, 'mergedRows' | 'storedRows'>,
): Promise<Held> {
  const [row] = await executor.rows(
    `SELECT count(*) AS n, min(${state.channel.emitsFrom}) AS first, max(${state.channel.closesAt}) AS last FROM ` +
      `${stateName(state)}`,
  )
  const rows = Number(row?.n)
  return {
    rows,
    storedRows: before?.storedRows ?? rows,
    mergedRows: before?.mergedRows ?? 0,
    emitsFromUs: (row?.first ?? null) as bigint | null,
    closesToUs: (row?.last ?? null) as bigint | null,
  }
}

export async function ownPartials(
  executor: Executor,
  state: StateTable,
  own: PartialsTable,
  watermarkUs: bigint | null,
): Promise<OwnPartials> {
  const { channel } = state
  const { name, rows, emitsFromUs, closesFromUs, closesToUs } = own
  if (channel.life.is === 'merged') {
    const { lastUs } = channel.life
    const alive = aliveSql(state, `SELECT * FROM ${name}`, watermarkUs)
    const [row] = await executor.rows(
      `SELECT count(*) AS n, min(${channel.emitsFrom}) AS first, max(${lastUs}) + 1 AS last FROM (${alive})`,
    )
    const survivors = { rows: Number(row?.n), emitsFromUs: (row?.first ?? null) as bigint | null }
    return { emitsFromUs, survivors, aliveToUs: (row?.last ?? null) as bigint | null }
  }
  const survivors = async (): Promise<OwnPartials['survivors']> => {
    if (watermarkUs === null || closesFromUs === null || closesFromUs > watermarkUs) return { rows, emitsFromUs }
    if (closesToUs === null || closesToUs <= watermarkUs) return { rows: 0, emitsFromUs: null }
    const [row] = await executor.rows(
      `SELECT count(*) AS n, min(${channel.emitsFrom}) AS first FROM ${name} WHERE ${channel.closesAt} > ` +
        `${watermarkUs}`,
    )
    return { rows: Number(row?.n), emitsFromUs: (row?.first ?? null) as bigint | null }
  }
  return { emitsFromUs, survivors: await survivors(), aliveToUs: closesToUs }
}

/** Whether a watermark makes a window of these rows final. */
export function isReached(emitsFromUs: bigint | null | undefined, watermarkUs: bigint | null): boolean {
  return emitsFromUs !== null && emitsFromUs !== undefined && watermarkUs !== null && emitsFromUs <= watermarkUs
}

/**
 * After the commit: the state adopts the epoch's survivors and drops what the watermark has closed (P11). What opens
 * and closes within the epoch never comes here.
 */
export async function adopt(
  executor: Executor,
  state: StateTable,
  held: Held,
  own: { readonly table: PartialsTable; readonly survivors: OwnPartials['survivors'] } | undefined,
  watermarkUs: bigint | null,
): Promise<Held> {
  const name = stateName(state)
  let left = held
  if (state.channel.life.is === 'merged') {
    const isChanged = isReached(held.emitsFromUs, watermarkUs) || (own !== undefined && own.survivors.rows > 0)
    return isChanged ? gather(executor, state, watermarkUs, own?.table.name) : held
  }
  if (isReached(held.emitsFromUs, watermarkUs)) {
    await executor.run(`DELETE FROM ${name} WHERE ${state.channel.closesAt} <= ${watermarkUs}`)
    left = await heldRows(executor, state, held)
  }
  if (own === undefined || own.survivors.rows === 0) return left
  await executor.run(
    `INSERT INTO ${name} (${columnList(state)}) ${aliveSql(state, `SELECT * FROM ${own.table.name}`, watermarkUs)}`,
  )
  const first = [left.emitsFromUs, own.survivors.emitsFromUs].filter(us => us !== null)
  // A survivor closes last: what is closed closed before.
  const last = [left.closesToUs, own.table.closesToUs].filter(us => us !== null)
  left = {
    rows: left.rows + own.survivors.rows,
    storedRows: left.storedRows + own.survivors.rows,
    mergedRows: left.mergedRows,
    emitsFromUs: first.reduce((a, b) => (a < b ? a : b)),
    closesToUs: last.reduce((a, b) => (a > b ? a : b)),
  }
  const hasDoubled = left.rows > mergeRowsMin && left.rows > 2 * left.mergedRows
  const isMostlyDead = left.storedRows > deadRowsMin && left.storedRows > 2 * left.rows
  return hasDoubled || isMostlyDead ? mergeState(executor, state) : left
}

/**
 * Rows that live with islands, merged with an epoch's own, and without those whose island is dead. In one statement:
 * others may read the table meanwhile.
 */
export async function gather(
  executor: Executor,
  state: StateTable,
  watermarkUs: bigint | null,
  own?: string,
): Promise<Held> {
  const alive = aliveSql(state, partialsSql(state, own), watermarkUs)
  await executor.run(`CREATE OR REPLACE TABLE ${stateName(state)} AS ${state.channel.merge(alive)}`)
  const held = await heldRows(executor, state)
  return { ...held, mergedRows: held.rows }
}

/** Below this many rows a state table is not worth a merge of its own. */
const mergeRowsMin = 100_000
/** Nor below this many is it for the memory of those that were deleted. */
const deadRowsMin = 20_000

/**
 * One row for each group of a window again. It happens when the rows have doubled, or when half of them are deleted, so
 * a row is rewritten once on average, and state and emission cost what its groups cost, however many epochs they came
 * from.
 */
async function mergeState(executor: Executor, state: StateTable): Promise<Held> {
  const name = stateName(state)
  const merged = id(`merged_${state.key}`)
  await executor.run(`CREATE TABLE ${merged} AS ${state.channel.merge(partialsSql(state))}`)
  await executor.run(`DROP TABLE ${name}`)
  await executor.run(`ALTER TABLE ${merged} RENAME TO ${name}`)
  const held = await heldRows(executor, state)
  return { ...held, mergedRows: held.rows }
}

/**
 * Where a flush moves the clock of a stage: the largest watermark that makes a result final which begins at or below
 * the limit (S6); null where the stage holds nothing back.
 *
 * @param own this epoch's partial rows, by the state's key
 */
export async function flushValue(
  executor: Executor,
  stage: Stage,
  own: ReadonlyMap<string, PartialsTable>,
  limitUs: bigint,
): Promise<bigint | null> {
  let largest: bigint | null = null
  for (const state of stateTables([stage])) {
    const { flushAt, life, pending } = state.channel
    if (flushAt === undefined) continue
    const all = partialsSql(state, own.get(state.key)?.name)
    const rows = life.is === 'merged' ? life.islands(all) : (pending?.(all, channelView(stage, own)) ?? all)
    const [row] = await executor.rows(`SELECT max(${flushAt(limitUs)}) AS f FROM (${rows})`)
    largest = latest(largest, (row?.f ?? null) as bigint | null)
  }
  return largest
}
