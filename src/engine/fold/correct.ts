import type { Clock } from '../../plan/clock.ts'
import { id } from '../../plan/sql.ts'
import { columnsOf, type Branch, type Stage } from '../../plan/stages.ts'
import { ordinalColumn, plainTypes, type Relation, resultColumn, timeColumn } from '../../plan/relation.ts'
import type { Channel, Corrections } from '../../plan/step.ts'
import { fateSql, type LateNamed } from '../state/late-named.ts'
import type { Held, OwnPartials, PartialsTable } from '../state/state.ts'
import { type Applied, emissionError, writeSegments } from './apply.ts'
import { changedInput, type Differing, resultsOf, unitOf, writeDifferences } from './changes.ts'
import { foldRows } from './partials.ts'
import { createWork, dropTables, type EpochContext, lateChannel, type Work } from './work.ts'

/** An entry of the ledger that applies late rows, in an epoch of its own. */
export interface ApplyEntry {
  readonly seq: number
  readonly named: LateNamed
  /** What earlier entries name. */
  readonly earlier: readonly LateNamed[]
  /** By stage, as the entry was stamped: no clock moves. */
  readonly clocks: ReadonlyMap<string, Clock>
  /** Hands over the rows of a channel, as they are committed. */
  eachPart(channel: string, use: (rows: string) => Promise<void>): Promise<void>
}

/** What an epoch of late rows gave. */
export interface Corrected extends Applied {
  /** Late rows that were taken, each counted for every window that it is late for. */
  readonly taken: number
}

/**
 * Applies late rows to windows that have closed (S16): they become partial rows as others, and what they change of
 * results goes to the flows and to the stages behind. The epoch has no other entry, so what is committed is what the
 * results were.
 *
 * @param held by state table's key
 * @param epoch that is to be committed
 */
export async function correctEpoch(
  context: EpochContext,
  entry: ApplyEntry,
  held: ReadonlyMap<string, Held>,
  epoch: number,
): Promise<Corrected> {
  const work = createWork(context)
  const partials = new Map<string, PartialsTable>()
  const own = new Map<string, OwnPartials>()
  const differing = new Map<Stage, Differing>()
  let taken = 0
  try {
    for (const stage of context.stages) {
      const clock = entry.clocks.get(stage.id)
      const { corrections } = stage.step
      if (!corrections || !clock) continue
      const late = await takenRows(context, work, entry, stage, corrections)
      taken += late?.count ?? 0
      const made = freshRows(stage, corrections, late?.rows, differing, clock, entry.seq)
      if (!made) continue
      await foldRows(context, work, stage, 0, partials, made)
      await writeSegments({ context, work, partials, own }, stage, clock)
      const flows = context.flows.filter(({ rows: { from } }) => from.is === 'stage' && from.stage === stage)
      const found = await resultsOf(work, stage, { held, partials }, unitOf(flows), {
        touched: corrections.touched,
        results: (unit, of, touched) => corrections.results(unit, of, touched, clock.toUs),
      })
      if (!found) continue
      differing.set(stage, found)
      await writeDifferences(work, found, flows, epoch)
    }
    return { ...work, partials, own, taken, flushed: new Map(), openFromUs: new Map() }
  } catch (error) {
    await dropTables(context.executor, work.tables)
    throw emissionError(error)
  }
}

/** What a channel makes of late rows and of results before it that have changed; undefined where there are neither. */
function freshRows(
  { inputs }: Stage,
  corrections: Corrections,
  late: Relation | undefined,
  differing: ReadonlyMap<Stage, Differing>,
  { toUs }: Clock,
  seq: number,
): ((channel: Channel) => string) | undefined {
  const { from, steps } = inputs[0] as Branch
  const before = from.is === 'stage' ? differing.get(from.stage) : undefined
  const changed = before && corrections.changed?.(changedInput(before, steps, seq), toUs)
  if (!late && changed === undefined) return undefined
  return channel =>
    [...(late ? [corrections.taken(channel, late)] : []), ...(changed === undefined ? [] : [changed])].join(
      ' UNION ALL ',
    )
}

/** The late rows of a stage that the entry takes, with what they had when they came; undefined where there are none. */
async function takenRows(
  { executor }: EpochContext,
  work: Work,
  { named, earlier, clocks, eachPart }: ApplyEntry,
  stage: Stage,
  { retentionUs }: Corrections,
): Promise<{ readonly rows: Relation; readonly count: number } | undefined> {
  const watermarkUs = clocks.get(stage.id)?.fromUs ?? null
  if (watermarkUs === null) return undefined
  const fate = fateSql({ named, earlier, retentionUs, watermarkUs })
  const columns = columnsOf(stage.inputs[0] as Branch)
  const items = Object.entries(plainTypes(columns)).map(([name, type]) => `CAST(${id(name)} AS ${type}) AS ${id(name)}`)
  const tables: string[] = []
  let hidden: readonly string[] = []
  await eachPart(lateChannel(stage), async part => {
    const found = await executor.describe(`SELECT * FROM ${part}`)
    const more = [ordinalColumn, resultColumn].filter(name => Object.hasOwn(found, name))
    hidden = ['_seq', '_row', ...more, timeColumn, '_window_end']
    tables.push(await work.table(`SELECT ${[...hidden, ...items].join(', ')} FROM ${part} WHERE (${fate}) = 'taken'`))
  })
  const sql = tables.map(table => `SELECT * FROM ${table}`).join(' UNION ALL BY NAME ')
  if (sql === '') return undefined
  const [counted] = await executor.rows(`SELECT count(*) AS n FROM (${sql})`)
  const count = Number(counted?.n)
  return count === 0 ? undefined : { rows: { sql, columns, hidden }, count }
}
