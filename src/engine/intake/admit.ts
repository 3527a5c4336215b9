import { Subject } from 'rxjs'
import { miniBatch } from '../../../operators/mini-batch.ts'
import { configError, MillraceError } from '../../core/errors.ts'
import type { Json } from '../../core/json.ts'
import type { ObjectVersion, Wanted } from '../../core/object-version.ts'
import type { Executor, ObjectStore, SqlRow } from '../../core/ports.ts'
import { wholeCell } from '../../core/text-rows.ts'
import { instantUs } from '../../plan/key-period.ts'
import type { MiniBatchOptions } from '../../plan/mini-batch-options.ts'
import { keyTime } from '../../plan/object-facts.ts'
import type { SourceSettings } from '../../plan/source-settings.ts'
import type { ReadAgain, Outcome } from '../read/outcome.ts'
import {
  type Counted,
  countKey,
  type Counts,
  type Ignored,
  type IgnoredKeys,
  type Unread,
} from '../report/ignored-keys.ts'
import type { WithoutPeriod } from '../report/without-period.ts'
import { type AdmittedMark, versionOf, sameKeySql, sameVersionSql } from '../state/ledger.ts'
import { type KindOf, kindOfLink } from './key-kind.ts'

/** An object version that the ledger does not hold yet. */
export interface AdmittedObject extends Wanted {
  readonly is: 'object'
  /** The name of its source. */
  readonly source: string
  /** Another version of this key was counted before. */
  readonly overwrites: boolean
  /** The last outcome that the ledger has of this version, where it has one: now it counts as what becomes of it. */
  readonly earlier?: Outcome
  /** It is read again before anything new is taken: as a suspect, in a mini-batch of its own, or as `retry` asked. */
  readonly again?: ReadAgain
  /** In a replay: what the other ledger says of it (S1). */
  readonly known?: KnownOutcome
}

export interface KnownOutcome {
  readonly outcome: Outcome
  readonly reason: string | null
  readonly highMarkUs: bigint | null
}

export type Admitted = AdmittedObject | AdmittedMark

/** Where mini-batches come from: a listing, a replayed ledger, or what is announced. */
export interface MiniBatches {
  /** The next mini-batch, in ledger order; undefined at the end. Never asked twice at once. */
  next(): Promise<readonly Admitted[] | undefined>
}

/** What a listing found. */
export interface Listed {
  /** That the ledger does not hold. */
  readonly objects: number
  readonly bytes: number
  /** Files that are no objects of the source. */
  readonly ignored: IgnoredKeys
  /** Files that are, those left out and those that the ledger holds included. */
  readonly matched: number
  /** Left out by --from and --to. */
  readonly leftOut: number
  /** Of sources whose `bounds` is a key pattern that does not fit all that matched: those that it does not fit. */
  readonly withoutPeriod: readonly WithoutPeriod[]
}

/** What one listing found of places that are listed again. */
export interface ListedNow extends Listed {
  /** Of `objects` those of whose key no version was read. */
  readonly newKeys: number
}

export interface Listing extends Listed, MiniBatches {}

/** A source as it is listed. */
export interface ListedSource {
  readonly kindOf: KindOf
  readonly fetch: { readonly store: ObjectStore; readonly settings: SourceSettings }
}

export interface ListContext {
  readonly sources: Iterable<ListedSource>
  readonly executor: Executor
  /** What it finds is left in this table. */
  readonly table: string
  readonly from: string | undefined
  readonly to: string | undefined
  readonly signal: AbortSignal
  /** Keys that meet the ledger together, by which their joins take memory. Default 100,000. */
  readonly keysAtOnce?: number
}

const insertMax = 10_000
const keysAtOnceDefault = 100_000

const listingColumns = {
  source: 'VARCHAR',
  period: 'BIGINT',
  bucket: 'VARCHAR',
  key: 'VARCHAR',
  version_id: 'VARCHAR',
  e_tag: 'VARCHAR',
  size_bytes: 'BIGINT',
  last_modified_ms: 'BIGINT',
} as const
const pageMax = 1_000

/**
 * --from and --to in microseconds. @throws MillraceError `user` for dates that are none, or a source whose keys name no
 * time.
 */
export function periodBounds(
  settings: SourceSettings,
  from: string | undefined,
  to: string | undefined,
): { readonly fromUs: bigint | undefined; readonly toUs: bigint | undefined } {
  const fromUs = from === undefined ? undefined : instantUs(from, '--from')
  const toUs = to === undefined ? undefined : instantUs(to, '--to')
  if ((fromUs !== undefined || toUs !== undefined) && keyTime(settings) === undefined) throw noKeyTime(settings)
  if (fromUs !== undefined && toUs !== undefined && fromUs >= toUs)
    throw configError('--to', to, `a date after --from, ${from}`)
  return { fromUs, toUs }
}

function noKeyTime({ name, time, bounds, columns }: SourceSettings): MillraceError {
  const column = 'one column FROM KEY that is a DATE or a TIMESTAMP'
  return time === undefined
    ? configError(`source ${name}: columns`, Object.keys(columns), `${column}, which --from and --to need`)
    : configError(
        `source ${name}: watermark.bounds`,
        bounds,
        `a key pattern such as 'trips_{yyyy}-{MM}', which --from and --to need; or ${column}`,
      )
}

/** Lists the sources once and hands out what the ledger does not hold, in the order of S7. */
export async function admit(context: ListContext, miniBatch: MiniBatchOptions): Promise<Listing> {
  const listed = await listNew(context)
  return { ...listed, next: pulled(context.executor, miniBatch, admittedObject, context.table) }
}

/** A row of what a listing found. */
export function admittedObject(row: SqlRow): AdmittedObject {
  return {
    ...versionOf(row),
    is: 'object',
    source: String(row.source),
    overwrites: row.overwrites === true,
    ...(row.was_gone === true ? { earlier: 'gone' } : {}),
  }
}

/**
 * Fills a table with what the sources hold and the ledger does not, numbered in the order of S7: the period that the
 * key names, then the key's UTF-8 bytes, then the name of the source. The listing lies in DuckDB, so its length costs
 * no memory.
 */
export async function listNew(context: ListContext): Promise<ListedNow> {
  const { sources, executor, table, keysAtOnce = keysAtOnceDefault } = context
  const listing = `${table}_listing`
  const ignored: Counts<Ignored> = {}
  const found: Found[] = []
  const rows = await openListingRows(executor, listing, keysAtOnce)
  for (const source of sources) found.push(await fillListing(context, source, rows, ignored))
  await rows.meet()
  await executor.run(
    `CREATE TABLE ${table} AS SELECT row_number() OVER (ORDER BY period ASC NULLS LAST, key, source) AS n, * ` +
      `FROM ${listing}_new`,
  )
  await executor.run(`DROP TABLE ${listing}_new`)
  const [totals] = await executor.rows(
    `SELECT count(*) AS objects, count(*) FILTER (NOT overwrites) AS new_keys, ` +
      `CAST(coalesce(sum(size_bytes), 0) AS BIGINT) AS bytes FROM ${table}`,
  )
  return {
    objects: Number(totals?.objects),
    newKeys: Number(totals?.new_keys),
    bytes: Number(totals?.bytes),
    ignored,
    matched: found.reduce((sum, { matched }) => sum + matched, 0),
    leftOut: found.reduce((sum, { leftOut }) => sum + leftOut, 0),
    withoutPeriod: found.flatMap(({ settings: { name, bounds }, unfit, matched }) =>
      unfit && bounds?.is === 'key' ? [{ source: name, pattern: bounds.pattern, of: matched, ...unfit }] : [],
    ),
  }
}

interface Found extends Pick<Listed, 'matched' | 'leftOut'> {
  readonly settings: SourceSettings
  readonly unfit: Counted | undefined
}

/** Lists a source into the table, a bounded number of objects at a time. */
async function fillListing(
  { signal, from, to }: ListContext,
  { kindOf, fetch: { store, settings } }: ListedSource,
  rows: ListingRows,
  ignored: Counts<Ignored>,
): Promise<Found> {
  const time = keyTime(settings)
  const bounds = periodBounds(settings, from, to)
  let matched = 0
  let leftOut = 0
  let unfit: Counted | undefined
  const ignore = (kind: Unread, key: string) => {
    if (kind !== 'foreign-key') countKey(ignored, kind, key)
  }
  for await (const version of store.list('', undefined, signal, key => ignore(kindOfLink(kindOf, key), key))) {
    if (signal.aborted) throw new MillraceError('fatal', 'aborted', 'The run was stopped while it listed its input.')
    const kind = kindOf(version.key)
    if (kind !== 'object') {
      ignore(kind, version.key)
      continue
    }
    matched++
    const startUs = time?.period(version.key)?.startUs
    if (time?.of === 'bounds' && startUs === undefined)
      unfit = { count: (unfit?.count ?? 0) + 1, first: unfit?.first ?? version.key }
    if (isOut(startUs, bounds)) {
      leftOut++
      continue
    }
    const full = rows.add(listingRow(settings.name, version, startUs))
    if (full) await full
  }
  return { settings, matched, leftOut, unfit }
}

/** Whether --from and --to leave out an object of this period. */
function isOut(startUs: bigint | undefined, { fromUs, toUs }: ReturnType<typeof periodBounds>): boolean {
  if (fromUs === undefined && toUs === undefined) return false
  return startUs === undefined || (fromUs !== undefined && startUs < fromUs) || (toUs !== undefined && startUs >= toUs)
}

/** Listed keys on their way into a table of those that the ledger does not hold. */
interface ListingRows {
  /** A promise where that many are together that they have to go on first. */
  add(row: readonly Json[]): Promise<void> | undefined
  /** What is left meets the ledger: `<listing>_new` has all that are new then. */
  meet(): Promise<void>
}

/** @param most keys that meet the ledger together */
async function openListingRows(executor: Executor, listing: string, most: number): Promise<ListingRows> {
  const columns = Object.entries(listingColumns).map(([name, type]) => `${name} ${type}`)
  let rows: (readonly Json[])[] = []
  let inserted = 0
  let isMade = false
  const begin = () => executor.run(`CREATE OR REPLACE TABLE ${listing} (${columns.join(', ')})`)
  const insert = async (): Promise<void> => {
    if (rows.length > 0) await executor.append(listing, { columns: listingColumns, rows })
    inserted += rows.length
    rows = []
  }
  const judge = async (): Promise<void> => {
    await executor.run(`${isMade ? `INSERT INTO ${listing}_new` : `CREATE TABLE ${listing}_new AS`} ${newSql(listing)}`)
    isMade = true
    inserted = 0
  }
  const next = async (): Promise<void> => {
    await insert()
    if (inserted < most) return
    await judge()
    await begin()
  }
  await begin()
  return {
    add(row) {
      rows.push(row)
      return rows.length < Math.min(insertMax, most) ? undefined : next()
    },
    async meet() {
      await insert()
      if (inserted > 0 || !isMade) await judge()
      await executor.run(`DROP TABLE ${listing}`)
    },
  }
}

/** In the order of `listingColumns`. */
function listingRow(source: string, version: ObjectVersion, startUs: bigint | undefined): readonly Json[] {
  return [
    source,
    startUs === undefined ? null : wholeCell(startUs),
    version.bucket,
    version.key,
    version.versionId ?? null,
    version.eTag,
    version.sizeBytes,
    Math.trunc(version.lastModifiedMs),
  ]
}

/** What was read is not admitted again, nor is any other version whose last outcome is not that it was gone (P13). */
function newSql(listing: string): string {
  const same = sameVersionSql('e', 'l')
  const gone =
    `SELECT l.source, l.bucket, l.key, max(e.seq) AS gone_seq FROM ${listing} AS l JOIN ledger AS e ON ${same} ` +
    `WHERE e.outcome = 'gone' GROUP BY ALL`
  const listed =
    `SELECT l.*, coalesce(gone_seq, 0) AS gone_seq FROM ${listing} AS l ` + 'LEFT JOIN gone USING (source, bucket, key)'
  const overwrites = `EXISTS (SELECT 1 FROM ledger AS e WHERE ${sameKeySql('e', 'l')} AND e.outcome = 'read')`
  const isKnown =
    `EXISTS (SELECT 1 FROM ledger AS e WHERE ${same} AND (e.outcome = 'read' OR (e.outcome <> 'gone' AND e.seq > ` +
    'l.gone_seq)))'
  return (
    `WITH gone AS (${gone}), listed AS (${listed}) ` +
    'SELECT l.* EXCLUDE (gone_seq), gone_seq > 0 AS was_gone, ' +
    `${overwrites} AS overwrites FROM listed AS l WHERE NOT ${isKnown}`
  )
}

/**
 * Windows the rows of a table into mini-batches, by their number `n` from 1. Pulled a page at a time, as RxJS
 * itself knows no back-pressure.
 */
export function pulled(
  executor: Executor,
  options: MiniBatchOptions,
  toAdmitted: (row: SqlRow) => Admitted,
  table: string,
): () => Promise<readonly Admitted[] | undefined> {
  const ready: (readonly Admitted[])[] = []
  const begin = () => {
    const head = new Subject<Admitted>()
    head.pipe(miniBatch(options)).subscribe(batch => ready.push(batch))
    return head
  }
  let head = begin()
  const take = (entry: Admitted) => {
    if (entry.is !== 'apply') {
      head.next(entry)
      return
    }
    // Late rows are applied in an epoch of their own, whose results are compared with those before it.
    head.complete()
    ready.push([entry])
    head = begin()
  }
  const pages = tablePages(executor, table)
  return async () => {
    while (ready.length === 0) {
      const { value: page, done } = await pages.next()
      if (done) {
        head.complete()
        break
      }
      for (const row of page) take(toAdmitted(row))
    }
    return ready.shift()
  }
}

/** The rows of a table in order of their `n`, a bounded number at a time. */
export async function* tablePages(executor: Executor, table: string): AsyncGenerator<readonly SqlRow[], undefined> {
  for (let read = 0; ; read += pageMax) {
    const page = await executor.rows(`SELECT * FROM ${table} WHERE n > ${read} AND n <= ${read + pageMax} ORDER BY n`)
    if (page.length > 0) yield page
    if (page.length < pageMax) return undefined
  }
}
