import type { Clock } from '../../core/clock.ts'
import type { Executor, SqlRow } from '../../core/ports.ts'
import type { TextRows } from '../../core/text-rows.ts'
import type { AfterSettings } from '../../plan/after.ts'
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
  after: AfterSettings,
  reader: ChannelReader,
  executor: Executor,
  clock: Pick<Clock, 'nowMs'>,
): Promise<DueObjects> {
  await loadDoneAfter(reader, executor, 'done_after')
  await executor.run(
    `CREATE TABLE to_clear AS SELECT seq FROM done_after GROUP BY seq HAVING bool_or("is" = 'moved') AND NOT ` +
      `bool_or("is" = 'cleared')`,
  )
  await executor.run('CREATE TABLE failed_after (seq BIGINT, tries BIGINT, due_ms DOUBLE)')
  /** Objects before it are done with, or are in table `failed_after`. */
  let cursor = 0
  return {
    async isAny(afterEpoch, dueSeq) {
      const rows = await executor.rows(
        `SELECT 1 FROM ledger WHERE ${counted(after, dueSeq)} AND epoch > ${afterEpoch} LIMIT 1`,
      )
      return rows.length > 0
    },
    page: (throughEpoch, dueSeq) =>
      executor.rows(pageSql(after, { cursor, throughEpoch, dueSeq, nowMs: clock.nowMs() })),
    async done(done, text) {
      await executor.append('done_after', text)
      await executor.run(`DELETE FROM failed_after WHERE seq IN (${seqsOf(done)})`)
      await executor.run(`DELETE FROM to_clear WHERE seq IN (${seqsOf(done)})`)
      const moved = done.filter(({ is }) => is === 'moved')
      if (moved.length > 0) await executor.run(`INSERT INTO to_clear SELECT unnest([${seqsOf(moved)}])`)
    },
    async failed(seqs) {
      await executor.run(postponedSql(seqs, clock.nowMs()))
    },
    pass(page) {
      for (const row of page) if (row.is_clear !== true) cursor = Math.max(cursor, Number(row.seq))
    },
  }
}

const seqsOf = (rows: readonly DoneAfter[]) => rows.map(({ seq }) => seq).join(', ')

/** Never what was set aside (I5). What has rows set aside is not deleted: they would be lost with it (law 5). */
function counted(after: AfterSettings, dueSeq: number): string {
  const whole = after.is === 'delete' ? ' AND quarantined_rows = 0' : ''
  return `"is" = 'object' AND outcome = 'read' AND seq <= ${dueSeq}${whole}`
}

interface PageOf {
  readonly cursor: number
  readonly throughEpoch: number
  readonly dueSeq: number
  readonly nowMs: number
}

function pageSql(after: AfterSettings, { cursor, throughEpoch, dueSeq, nowMs }: PageOf): string {
  const isBut = after.is === 'tag' ? '' : ` AND d."is" <> 'tagged'`
  const waits = `seq NOT IN (SELECT seq FROM failed_after WHERE due_ms > ${nowMs})`
  const toClear = `seq IN (SELECT seq FROM to_clear) AND ${waits}`
  const failed =
    `${counted(after, dueSeq)} AND seq <= ${cursor} AND seq IN (SELECT seq FROM failed_after) ` +
    `AND seq NOT IN (SELECT seq FROM to_clear) AND ${waits}`
  const fresh =
    `${counted(after, dueSeq)} AND seq > ${cursor} AND epoch <= ${throughEpoch} ` +
    `AND seq NOT IN (SELECT d.seq FROM done_after AS d WHERE d.seq > ${cursor}${isBut})`
  const some = (isClear: boolean, which: string) => `SELECT ${isClear} AS is_clear, * FROM ledger WHERE ${which}`
  const branches = [some(true, toClear), some(false, failed), some(false, fresh)]
  return `${branches.join(' UNION ALL ')} ORDER BY is_clear DESC, seq LIMIT ${pageMax}`
}

/** Table `failed_after` with these, whose pauses double. */
function postponedSql(failed: readonly number[], nowMs: number): string {
  const seqs = failed.join(', ')
  const { first, most } = pauseMs
  const dueMs = `${nowMs} + least(${first} * 2.0 ** least(coalesce(o.tries, 0), 20), ${most})`
  return (
    `CREATE OR REPLACE TABLE failed_after AS SELECT * FROM failed_after WHERE seq NOT IN (${seqs}) UNION ALL ` +
    `SELECT f.seq, coalesce(o.tries, 0) + 1, ${dueMs} ` +
    `FROM (SELECT unnest([${seqs}]) AS seq) AS f LEFT JOIN failed_after AS o ON o.seq = f.seq`
  )
}
