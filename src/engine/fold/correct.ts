import type { Clock } from '../../plan/clock.ts'
import { id } from '../../plan/sql.ts'
import { columnsOf, type Branch, type Stage } from '../../plan/stages.ts'
import { ordinalColumn, plainTypes, type Relation, timeColumn } from '../../plan/relation.ts'
import type { Corrections } from '../../plan/step.ts'
import { type ChannelReader, eachPart } from '../state/channels.ts'
import { fateSql, type LateNamed } from '../state/late-named.ts'
import { appliedBefore } from '../state/ledger.ts'
import type { Held, OwnPartials, PartialsTable } from '../state/state.ts'
import { type Applied, emissionError, writeSegments } from './apply.ts'
import { type Results, writeDifferences } from './changes.ts'
import { foldRows } from './partials.ts'
import { createWork, dropTables, type EpochContext, lateChannel, type Work } from './work.ts'

/** An entry of the ledger that applies late rows, in an epoch of its own. */
export interface ApplyEntry {
  readonly seq: number
  readonly named: LateNamed
  /** By stage, as the entry was stamped: no clock moves. */
  readonly clocks: ReadonlyMap<string, Clock>
}

/** What an epoch of late rows gave. */
export interface Corrected extends Applied {
  /** Late rows that were taken, each counted for every window that it is late for. */
  readonly taken: number
}

/**
 * Applies late rows to windows that have closed (S16): they become partial rows as others, and what they change of
 * results goes to the flows. The epoch has no other entry, so what is committed is what the results were.
 *
 * @param reader of the checkpoint as it is committed
 * @param held by state table's key
 * @param epoch that is to be committed
 */
export async function correctEpoch(
  context: EpochContext,
  reader: ChannelReader,
  entry: ApplyEntry,
  held: ReadonlyMap<string, Held>,
  epoch: number,
): Promise<Corrected> {
  const work = createWork(context)
  const partials = new Map<string, PartialsTable>()
  const own = new Map<string, OwnPartials>()
  let taken = 0
  try {
    for (const stage of context.stages) {
      const { corrections } = stage.step
      const clock = entry.clocks.get(stage.id)
      if (!corrections || !clock) continue
      const late = await takenRows(context, reader, work, entry, stage, corrections)
      if (!late) continue
      taken += late.count
      await foldRows(context, work, stage, 0, late.rows, partials, channel => corrections.taken(channel, late.rows))
      await writeSegments({ context, work, partials, own }, stage, clock)
      const results: Results = {
        touched: corrections.touched,
        results: (unit, of, touched) => corrections.results(unit, of, touched, clock.toUs),
      }
      const flows = context.flows.filter(({ rows: { from } }) => from.is === 'stage' && from.stage === stage)
      await writeDifferences(work, stage, results, { held, partials }, flows, epoch)
    }
    return { ...work, partials, own, taken, flushed: new Map(), openFromUs: new Map() }
  } catch (error) {
    await dropTables(context.executor, work.tables)
    throw emissionError(error)
  }
}

/** The late rows of a stage that the entry takes, with what they had when they came; undefined where there are none. */
async function takenRows(
  { executor }: EpochContext,
  reader: ChannelReader,
  work: Work,
  { seq, named, clocks }: ApplyEntry,
  stage: Stage,
  { retentionUs }: Corrections,
): Promise<{ readonly rows: Relation; readonly count: number } | undefined> {
  const watermarkUs = clocks.get(stage.id)?.fromUs ?? null
  if (watermarkUs === null) return undefined
  const earlier = await appliedBefore(executor, seq)
  const fate = fateSql({ named, earlier, retentionUs, watermarkUs })
  const columns = columnsOf(stage.inputs[0] as Branch)
  const items = Object.entries(plainTypes(columns)).map(([name, type]) => `CAST(${id(name)} AS ${type}) AS ${id(name)}`)
  const tables: string[] = []
  let hidden: readonly string[] = []
  await eachPart(reader, executor, lateChannel(stage), async part => {
    const found = await executor.describe(`SELECT * FROM ${part}`)
    hidden = [
      '_seq',
      '_row',
      ...(Object.hasOwn(found, ordinalColumn) ? [ordinalColumn] : []),
      timeColumn,
      '_window_end',
    ]
    tables.push(await work.table(`SELECT ${[...hidden, ...items].join(', ')} FROM ${part} WHERE (${fate}) = 'taken'`))
  })
  const sql = tables.map(table => `SELECT * FROM ${table}`).join(' UNION ALL BY NAME ')
  if (sql === '') return undefined
  const [counted] = await executor.rows(`SELECT count(*) AS n FROM (${sql})`)
  const count = Number(counted?.n)
  return count === 0 ? undefined : { rows: { sql, columns, hidden }, count }
}
