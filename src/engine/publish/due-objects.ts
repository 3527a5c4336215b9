import type { Clock } from '../../core/clock.ts'
import type { Executor, SqlRow } from '../../core/ports.ts'
import type { TextRows } from '../../core/text-rows.ts'
import type { AfterSettings } from '../../plan/after.ts'
import { text } from '../../plan/sql.ts'
import type { OpenSource } from '../intake/source.ts'
import type { ChannelReader } from '../state/channels.ts'
import { type DoneAfter, loadDoneAfter } from '../state/done-after.ts'

/** Objects of one round of requests, and of one write of HEAD that records what became of them. */
const pageMax = 500
/** What failed is tried again after a pause, which doubles. */
const pauseMs = { first: 60_000, most: 3_600_000 } as const

/** Which objects `after` is to be done with, from the ledger and from tables of what was done and what failed. */
export interface DueObjects {
  /** Whether the ledger has any up to this entry that was committed after the epoch. */
  isAny(afterEpoch: number, dueSeq: number): Promise<boolean>
  /** Old places of objects that have moved, what failed and is due again, then what is new, in the ledger's order. */
  page(throughEpoch: number, dueSeq: number): Promise<readonly SqlRow[]>
  /** @param text the same, as the table of what was done has it */
  done(done: readonly DoneAfter[], text: TextRows): Promise<void>
  failed(seqs: readonly number[]): Promise<void>
  /** Every object of the page is done with, or has failed. */
  pass(page: readonly SqlRow[]): void
}

export async function loadDueObjects(
  source: Pick<OpenSource, 'fetch' | 'after' | 'place'>,
  reader: ChannelReader,
  executor: Executor,
  clock: Pick<Clock, 'nowMs'>,
): Promise<DueObjects> {
  const tables: Tables = {
    done: `done_after_${source.place}`,
    toClear: `to_clear_${source.place}`,
    failed: `failed_after_${source.place}`,
  }
  const isOwn = `source = ${text(source.fetch.settings.name)}`
  const counted = (dueSeq: number) => countedSql(source.after, isOwn, dueSeq)
  // What was done with objects of other sources is in the same channel.
  await loadDoneAfter(reader, executor, tables.done)
  await executor.run(
    `CREATE TABLE ${tables.toClear} AS SELECT seq FROM ${tables.done} ` +
      `WHERE seq IN (SELECT seq FROM ledger WHERE ${isOwn}) ` +
      `GROUP BY seq HAVING bool_or("is" = 'moved') AND NOT bool_or("is" = 'cleared')`,
  )
  await executor.run(`CREATE TABLE ${tables.failed} (seq BIGINT, tries BIGINT, due_ms DOUBLE)`)
  /** Objects before it are done with, or are in the table of what failed. */
  let cursor = 0
  return {
    async isAny(afterEpoch, dueSeq) {
      const rows = await executor.rows(
        `SELECT 1 FROM ledger WHERE ${counted(dueSeq)} AND epoch > ${afterEpoch} LIMIT 1`,
      )
      return rows.length > 0
    },
    page: (throughEpoch, dueSeq) =>
      executor.rows(pageSql(source.after, tables, counted(dueSeq), { cursor, throughEpoch, nowMs: clock.nowMs() })),
    async done(done, text) {
      await executor.append(tables.done, text)
      await executor.run(`DELETE FROM ${tables.failed} WHERE seq IN (${seqsOf(done)})`)
      await executor.run(`DELETE FROM ${tables.toClear} WHERE seq IN (${seqsOf(done)})`)
      const moved = done.filter(({ is }) => is === 'moved')
      if (moved.length > 0) await executor.run(`INSERT INTO ${tables.toClear} SELECT unnest([${seqsOf(moved)}])`)
    },
    async failed(seqs) {
      await executor.run(postponedSql(tables.failed, seqs, clock.nowMs()))
    },
    pass(page) {
      for (const row of page) if (row.is_clear !== true) cursor = Math.max(cursor, Number(row.seq))
    },
  }
}

/** The names of its tables. */
interface Tables {
  readonly done: string
  readonly toClear: string
  readonly failed: string
}

const seqsOf = (rows: readonly DoneAfter[]) => rows.map(({ seq }) => seq).join(', ')

/** Never what was set aside (I5). What has rows set aside is not deleted: they would be lost with it (law 5). */
function countedSql(after: AfterSettings, isOwn: string, dueSeq: number): string {
  const whole = after.is === 'delete' ? ' AND quarantined_rows = 0' : ''
  return `"is" = 'object' AND outcome = 'read' AND ${isOwn} AND seq <= ${dueSeq}${whole}`
}

interface PageOf {
  readonly cursor: number
  readonly throughEpoch: number
  readonly nowMs: number
}

function pageSql(
  after: AfterSettings,
  tables: Tables,
  counted: string,
  { cursor, throughEpoch, nowMs }: PageOf,
): string {
  const isBut = after.is === 'tag' ? '' : ` AND d."is" <> 'tagged'`
  const waits = `seq NOT IN (SELECT seq FROM ${tables.failed} WHERE due_ms > ${nowMs})`
  const toClear = `seq IN (SELECT seq FROM ${tables.toClear}) AND ${waits}`
  const failed =
    `${counted} AND seq <= ${cursor} AND seq IN (SELECT seq FROM ${tables.failed}) ` +
    `AND seq NOT IN (SELECT seq FROM ${tables.toClear}) AND ${waits}`
  const fresh =
    `${counted} AND seq > ${cursor} AND epoch <= ${throughEpoch} ` +
    `AND seq NOT IN (SELECT d.seq FROM ${tables.done} AS d WHERE d.seq > ${cursor}${isBut})`
  const some = (isClear: boolean, which: string) => `SELECT ${isClear} AS is_clear, * FROM ledger WHERE ${which}`
  const branches = [some(true, toClear), some(false, failed), some(false, fresh)]
  return `${branches.join(' UNION ALL ')} ORDER BY is_clear DESC, seq LIMIT ${pageMax}`
}

/** The table of what failed with these, whose pauses double. */
function postponedSql(table: string, failed: readonly number[], nowMs: number): string {
  const seqs = failed.join(', ')
  const { first, most } = pauseMs
  const dueMs = `${nowMs} + least(${first} * 2.0 ** least(coalesce(o.tries, 0), 20), ${most})`
  return (
    `CREATE OR REPLACE TABLE ${table} AS SELECT * FROM ${table} WHERE seq NOT IN (${seqs}) UNION ALL ` +
    `SELECT f.seq, coalesce(o.tries, 0) + 1, ${dueMs} ` +
    `FROM (SELECT unnest([${seqs}]) AS seq) AS f LEFT JOIN ${table} AS o ON o.seq = f.seq`
  )
}
