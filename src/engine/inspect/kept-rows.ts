import { ordinalColumn, ordinalsMax, type Relation } from '../../plan/relation.ts'
import type { Stage } from '../../plan/stages.ts'
import type { Channel } from '../../plan/step.ts'
import { channelView, partialsSql, stateTable } from '../state/state.ts'
import { firstPlace } from './first-place.ts'
import { inTable, type RowWalk } from './row-walk.ts'

/**
 * What a step makes of the row that keeps rows for a while, as joins, `deltas` and `dedupe` of the last row do: as far
 * as state has it still.
 */
export async function meetKeptRows(walk: RowWalk, stage: Stage, kept: Relation, index: number): Promise<undefined> {
  const { op, step } = stage
  const channel = step.channels.find(({ input = 0 }) => input === index)
  if (!channel || !(await inTable(walk, { ...kept, sql: channel.partial(kept) }))) {
    walk.tell({ is: 'not-told', op, why: 'A column that it compares is NULL there, which equals nothing.' })
    return
  }
  if (step.ports) {
    const side = step.ports[index] ?? ''
    walk.tell({ is: 'not-told', op, why: `It is a row of its ${side} side. Which rows it has met there is not kept.` })
    return
  }
  await seekInState(walk, stage, channel, kept)
}

/** Rows that lie in state until the watermark gives them. */
async function seekInState(walk: RowWalk, stage: Stage, channel: Channel, kept: Relation): Promise<void> {
  const { executor, position } = walk.found
  const { op } = stage
  const all = partialsSql(stateTable(stage, channel))
  const isOwn = await isOwnSql(walk, kept)
  const has = async (rows: string) => (await executor.rows(`SELECT 1 FROM (${rows}) WHERE ${isOwn} LIMIT 1`)).length > 0
  const clockUs = position.clocks[stage.id] ?? null
  if (channel.pending === undefined) {
    const waiting = clockUs === null ? all : `SELECT * FROM (${all}) WHERE ${channel.emitsFrom} > ${clockUs}`
    if (await has(waiting)) walk.tell({ is: 'waits', op })
    else walk.tell({ is: 'not-told', op, why: 'It was given, when the watermark had passed it.' })
    return
  }
  if (!(await has(all))) {
    walk.tell({ is: 'not-told', op, why: 'It was given, or dropped for a later row of its key: neither is kept.' })
    return
  }
  const pending = (rows: string) => channel.pending?.(rows, channelView(stage, new Map())) ?? rows
  if (await has(pending(all))) {
    walk.tell({ is: 'waits', op })
    return
  }
  // What drops a row is the next one of its key: the first without which it would stay.
  const order = channel.order.join(', ')
  const numbered = `SELECT *, row_number() OVER (ORDER BY ${order}) AS _n FROM (${all})`
  const by = await firstPlace(
    executor,
    numbered,
    async n => !(await has(pending(`SELECT * EXCLUDE (_n) FROM (${numbered}) WHERE _n <= ${n} OR ${isOwn}`))),
  )
  const [row] = await executor.rows(`SELECT _from_seq, _from_row FROM (${numbered}) WHERE _n = ${by}`)
  const seq = Number(row?._from_seq)
  const [entry] = await executor.rows(`SELECT key FROM ledger WHERE seq = ${seq}`)
  const number = kept.hidden.includes(ordinalColumn) ? Number(row?._from_row) / ordinalsMax : Number(row?._from_row)
  walk.tell({ is: 'same-key', op, by: { key: String(entry?.key), row: Math.floor(number), isLater: true } })
}

/** SQL over rows of state: those that this one became. */
async function isOwnSql({ found, seq }: RowWalk, kept: Relation): Promise<string> {
  const number = kept.hidden.includes(ordinalColumn)
    ? `CAST(_row AS HUGEINT) * ${ordinalsMax} + ${ordinalColumn}`
    : '_row'
  const rows = await found.executor.rows(`SELECT DISTINCT CAST(${number} AS VARCHAR) AS n FROM (${kept.sql})`)
  return `_from_seq = ${seq} AND _from_row IN (${rows.map(({ n }) => String(n)).join(', ')})`
}
