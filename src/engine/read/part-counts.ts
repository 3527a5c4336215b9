import type { ObjectVersion } from '../../core/object-version.ts'
import type { SqlRow } from '../../core/ports.ts'
import type { KeyPeriod } from '../../plan/key-period.ts'
import type { SourceSettings } from '../../plan/source-settings.ts'
import type { FetchContext } from './marked-object.ts'
import type { NeverSeen } from './never-seen.ts'

/** What the rows of one object say. */
export interface PartCounts {
  readonly rows: number
  readonly bad: number
  readonly timeless: number
  /** Good rows of which something did not fit. */
  readonly rescued: number
  readonly outside: number
  readonly minTimeUs: bigint | null
  readonly highMarkUs: bigint | null
  /** The `_row` of the table where the object begins. */
  readonly firstRow: bigint
  /** Of the columns that are sought. */
  readonly withValues: readonly string[]
}

const noRows: PartCounts = {
  rows: 0,
  bad: 0,
  timeless: 0,
  rescued: 0,
  outside: 0,
  minTimeUs: null,
  highMarkUs: null,
  firstRow: 0n,
  withValues: [],
}

/** Rows that are not good, and lie aside unless the run stops for them. */
export const asideOf = ({ bad, timeless }: PartCounts): number => bad + timeless

/** A column of which it is asked whether some good row has a value. */
export interface SoughtColumn {
  readonly name: string
  /** SQL over the flagged rows. */
  readonly isSeen: string
}

/**
 * What each object's rows say, one entry an object.
 *
 * @param flagged SQL of their rows: `_part`, `_row`, the flags of `row-tests.ts`, and what `sought` asks for
 */
export async function countParts(
  { executor, settings, signal }: Pick<FetchContext, 'executor' | 'settings' | 'signal'>,
  versions: readonly ObjectVersion[],
  flagged: string,
  period: KeyPeriod | undefined,
  sought: readonly SoughtColumn[],
): Promise<readonly PartCounts[]> {
  const bounds = versions.map(version => markBounds(settings, version, period))
  const found = await executor.rows(countsSql(settings, bounds, flagged, sought), signal)
  return countsOf(found, versions.length, sought)
}

/** @param bounds of each object's times that may move its high mark */
export function countsSql(
  settings: SourceSettings,
  bounds: readonly (MarkBounds | undefined)[],
  flagged: string,
  sought: readonly SoughtColumn[],
): string {
  const isOne = bounds.length === 1
  const { rows, inside } = withInside(flagged, bounds)
  const judged = `SELECT *, _t AS t, NOT _bad AND NOT _timeless AS ok, ${inside} AS inside FROM ${rows}`
  const items = [
    isOne ? '0 AS part' : '_part AS part',
    'count(*) AS rows',
    'min(_row) AS first',
    'max(_row) AS last',
    'count(*) FILTER (_bad) AS bad',
    'count(*) FILTER (NOT _bad AND _timeless) AS timeless',
    'count(*) FILTER (ok AND _rescued) AS rescued',
    'min(t) FILTER (ok) AS min_time',
    `${highMarkSql(settings)} AS high_mark`,
    'count(*) FILTER (ok AND NOT inside) AS outside',
    ...sought.map(({ isSeen }, index) => `coalesce(bool_or(ok AND ${isSeen}), FALSE) AS seen${index}`),
  ]
  return `SELECT ${items.join(', ')} FROM (${judged})${isOne ? '' : ' GROUP BY _part'}`
}

/**
 * The rows, joined with the bounds of their objects where these differ, and SQL over them: whether the time is inside.
 */
function withInside(
  flagged: string,
  bounds: readonly (MarkBounds | undefined)[],
): { readonly rows: string; readonly inside: string } {
  if (bounds.every(own => own === undefined)) return { rows: flagged, inside: 'TRUE' }
  const bound = (us: bigint | null | undefined) => `CAST(${us ?? 'NULL'} AS BIGINT)`
  const isInside = (from: string, to: string) => `coalesce(_t >= ${from}, TRUE) AND coalesce(_t < ${to}, TRUE)`
  if (bounds.length === 1) return { rows: flagged, inside: isInside(bound(bounds[0]?.fromUs), bound(bounds[0]?.toUs)) }
  const lists = bounds.map((own, part) => `(${part}, ${bound(own?.fromUs)}, ${bound(own?.toUs)})`)
  return {
    rows: `${flagged} JOIN (VALUES ${lists.join(', ')}) AS _(_part, _from, _to) USING (_part)`,
    inside: isInside('_from', '_to'),
  }
}

/** By object. One without rows has none in the answer. */
function countsOf(found: readonly SqlRow[], objects: number, sought: readonly SoughtColumn[]): readonly PartCounts[] {
  const counts: PartCounts[] = Array.from({ length: objects }, () => noRows)
  let next = 0n
  for (const row of found.toSorted((a, b) => Number(a.part) - Number(b.part))) {
    const [count, first] = [BigInt(row.rows as bigint), BigInt((row.first ?? 0n) as bigint)]
    // Files are read one after the other, so that their rows lie together in the order of the files.
    if (objects > 1 && (first !== next || BigInt(row.last as bigint) - first + 1n !== count))
      throw new Error('unreachable: the rows of one file do not lie together')
    next += count
    counts[Number(row.part)] = {
      rows: Number(count),
      bad: Number(row.bad),
      timeless: Number(row.timeless),
      rescued: Number(row.rescued),
      outside: Number(row.outside),
      minTimeUs: (row.min_time ?? null) as bigint | null,
      highMarkUs: (row.high_mark ?? null) as bigint | null,
      firstRow: first,
      withValues: sought.flatMap(({ name }, index) => (row[`seen${index}`] === true ? [name] : [])),
    }
  }
  return counts
}

/** What these rows had is not missed any more. */
export function tellSeen(neverSeen: NeverSeen | undefined, counts: readonly PartCounts[]): void {
  if (!neverSeen) return
  for (const { rows, withValues } of counts) {
    neverSeen.rows += rows
    for (const name of withValues) neverSeen.columns.delete(name)
  }
}

/** SQL over `t`, `ok` and `inside`: the object's high mark (S3). */
function highMarkSql({ mark, bounds }: SourceSettings): string {
  const latest = 'max(t) FILTER (ok AND inside)'
  if (!mark) return latest
  // 1 - 0.9 is a little less than 0.1: ten rows are enough.
  const rowsMin = Math.ceil((1 - 1e-9) / (1 - mark.quantile))
  return (
    `CASE WHEN count(*) FILTER (ok AND inside) >= ${rowsMin} ` +
    `THEN quantile_disc(t, ${mark.quantile}) FILTER (ok AND inside) ELSE ${bounds ? latest : 'NULL'} END`
  )
}

export interface MarkBounds {
  readonly fromUs: bigint | null
  readonly toUs: bigint | null
}

/** The times that may move the high mark (S3), from the first on and before the second; undefined for all. */
function markBounds(
  settings: SourceSettings,
  version: ObjectVersion,
  period: KeyPeriod | undefined,
): MarkBounds | undefined {
  if (settings.bounds === undefined) return undefined
  if (settings.bounds.is === 'last-modified')
    return {
      fromUs: null,
      toUs: BigInt(Math.trunc(version.lastModifiedMs)) * 1000n + BigInt(settings.bounds.skewUs) + 1n,
    }
  const span = period?.(version.key)
  // A key that names no period has no row inside the bounds, so no mark.
  return span === undefined ? { fromUs: 0n, toUs: 0n } : { fromUs: span.startUs, toUs: span.endUs }
}
