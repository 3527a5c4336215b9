import type { Executor, ListingWatch, ObjectStore } from '../../core/ports.ts'
import { admittedObject, tablePages, type KnownOutcome, listNew, type ListedNow } from './admit.ts'
import type { Intake } from './intake.ts'
import type { OpenSource } from './source.ts'

export interface Reconciler {
  /**
   * Lists the source and offers what the ledger does not hold, in the order of S7: what no notification named (P2).
   *
   * @param history given: only history is offered, and none of it is read
   */
  run(history?: History): Promise<ListedNow & { readonly found: number }>
  /** Whether another listing would show nothing new, where the place tells that for less. */
  readonly isUnchanged: (() => Promise<boolean>) | undefined
}

/** What lay there at the first start, where that is not to be read. */
export interface History {
  readonly known: KnownOutcome
  /** When the last of it was modified, in ms since 1970 by the store's clock; null where no listing has told yet. */
  readonly toMs: number | null
  /** Told the end, and whether a listing has just found it, before anything is offered. */
  begin(toMs: number, isNew: boolean): Promise<void>
}

/**
 * What a listing names and nobody can read is tried by the first listing after it was found gone; then after a pause,
 * which doubles, in ms of the monotonic clock. A store may name what it no longer has for as long as it likes.
 */
const gonePauseMs = { first: 60_000, most: 3_600_000 } as const

/**
 * The listing and the ledger lie in DuckDB tables, so a million keys cost no memory here.
 *
 * @param signal ends a listing on its way, with an error
 */
export function createReconciler(
  source: Pick<OpenSource, 'fetch' | 'kindOf' | 'place'>,
  intake: Intake,
  executor: Executor,
  signal: AbortSignal,
): Reconciler {
  const { store, clock } = source.fetch
  const watch = store.watch?.(clock.nowMs)
  const listedSource = watch ? { ...source, fetch: { ...source.fetch, store: listedBy(store, watch) } } : source
  const table = `found_${source.place}`
  const tables: Tables = { executor, table, nowMs: clock.nowMs, hasSeen: false, hasMissed: false }
  return {
    isUnchanged: watch && (() => watch.isUnchanged()),
    async run(history) {
      const listed = await listNew({
        sources: [listedSource],
        executor,
        table,
        from: undefined,
        to: undefined,
        signal,
      })
      if (store.showsUnfinished && !history) await keepSettled(tables)
      await keepDue(tables)
      const toMs = history && (history.toMs ?? (await lastModifiedMs(executor, table)))
      if (toMs !== undefined) await history?.begin(toMs, history.toMs === null)
      let found = 0
      for await (const page of tablePages(executor, table)) {
        signal.throwIfAborted()
        const versions = page.map(admittedObject)
        const offers =
          history && toMs !== undefined
            ? versions
                .filter(version => version.lastModifiedMs <= toMs)
                .map(version => ({ version, known: history.known }))
            : versions.map(version => ({ version }))
        found += offers.length - (await intake.offer([{ offers }]))
      }
      await executor.run(`DROP TABLE ${table}`)
      return { ...listed, found }
    },
  }
}

/** The store with its watch beside each listing. */
function listedBy(store: ObjectStore, watch: ListingWatch): ObjectStore {
  return { ...store, list: (prefix, after, signal, onLink) => store.list(prefix, after, signal, onLink, watch) }
}

/** Of all that was found. An empty place has no history. */
async function lastModifiedMs(executor: Executor, table: string): Promise<number> {
  const [last] = await executor.rows('SELECT max(last_modified_ms) AS ms FROM ' + table)
  return Number(last?.ms ?? Number.MIN_SAFE_INTEGER)
}

/** What is kept between listings. */
interface Tables {
  readonly executor: Executor
  /** What the listing found that the ledger does not hold. The names of the others begin with it. */
  readonly table: string
  nowMs(): number
  /**
   * The table of what is unsettled has what the last listing showed first. A file that is still being written looks
   * different in the next one.
   */
  hasSeen: boolean
  /** The table of what was missed has what listings have named although it was gone. */
  hasMissed: boolean
}

/** Leaves what the listing before this one showed as it is now. */
async function keepSettled(tables: Tables): Promise<void> {
  const { executor, table } = tables
  if (!tables.hasSeen) await executor.run(`CREATE TABLE ${table}_unsettled (key VARCHAR, e_tag VARCHAR)`)
  tables.hasSeen = true
  await executor.run(
    `CREATE TABLE ${table}_kept AS SELECT row_number() OVER (ORDER BY n) AS n, a.* EXCLUDE (n) FROM ${table} AS a ` +
      `WHERE EXISTS (SELECT 1 FROM ${table}_unsettled AS u WHERE u.key = a.key AND u.e_tag = a.e_tag)`,
  )
  await executor.run(`CREATE OR REPLACE TABLE ${table}_unsettled AS SELECT key, e_tag FROM ${table}`)
  await admitKept(tables)
}

/** Leaves out what was gone, and is not to be looked for yet. What is listed no more is forgotten. */
async function keepDue(tables: Tables): Promise<void> {
  const { executor, table } = tables
  const [gone] = await executor.rows(`SELECT count(*) AS n FROM ${table} WHERE was_gone`)
  if (!tables.hasMissed && Number(gone?.n) === 0) return
  if (!tables.hasMissed)
    await executor.run(`CREATE TABLE ${table}_missed (key VARCHAR, e_tag VARCHAR, tries BIGINT, due_ms DOUBLE)`)
  tables.hasMissed = true
  const nowMs = tables.nowMs()
  await executor.run(
    `CREATE TABLE ${table}_tried AS SELECT a.*, coalesce(m.tries, 0) AS tries, m.due_ms, ` +
      `coalesce(m.due_ms <= ${nowMs}, TRUE) AS is_due ` +
      `FROM ${table} AS a LEFT JOIN ${table}_missed AS m ON a.was_gone AND m.key = a.key AND m.e_tag = a.e_tag`,
  )
  await executor.run(
    `CREATE TABLE ${table}_kept AS SELECT row_number() OVER (ORDER BY n) AS n, * EXCLUDE (n, tries, due_ms, is_due) ` +
      `FROM ${table}_tried WHERE is_due`,
  )
  const { first, most } = gonePauseMs
  await executor.run(
    `CREATE OR REPLACE TABLE ${table}_missed AS SELECT key, e_tag, tries + is_due::INTEGER AS tries, ` +
      `CASE WHEN is_due THEN ${nowMs} + least(${first} * 2.0 ** tries, ${most}) ELSE due_ms END AS due_ms FROM ` +
      `${table}_tried WHERE was_gone`,
  )
  await executor.run(`DROP TABLE ${table}_tried`)
  await admitKept(tables)
}

async function admitKept({ executor, table }: Tables): Promise<void> {
  await executor.run(`DROP TABLE ${table}`)
  await executor.run(`ALTER TABLE ${table}_kept RENAME TO ${table}`)
}
