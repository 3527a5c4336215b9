import type { Json } from '../../core/json.ts'
import type { ObjectVersion } from '../../core/object-version.ts'
import type { Executor, SqlRow } from '../../core/ports.ts'
import { type TextRows, textRowsOf } from '../../core/text-rows.ts'
import { text } from '../../plan/sql.ts'
import type { WatermarkState } from '../../plan/watermark.ts'
import { goneReasons, type MarkedObject } from '../read/marked-object.ts'
import { type LateNamed, lateNamedFrom, lateNamedJson } from './late-named.ts'
import { storedTable } from './lookup-versions.ts'

/** The ledger's columns: what its Parquet parts hold and what `inspect` shows (S1). */
export const ledgerColumns = {
  seq: 'BIGINT',
  epoch: 'BIGINT',
  source: 'VARCHAR',
  is: 'VARCHAR',
  bucket: 'VARCHAR',
  key: 'VARCHAR',
  e_tag: 'VARCHAR',
  version_id: 'VARCHAR',
  size_bytes: 'BIGINT',
  last_modified_ms: 'BIGINT',
  outcome: 'VARCHAR',
  reason: 'VARCHAR',
  rows: 'BIGINT',
  late: 'BIGINT',
  quarantined_rows: 'BIGINT',
  outside_bounds: 'BIGINT',
  high_mark_us: 'BIGINT',
  watermark_us: 'BIGINT',
  /** Of a flush that closes some stages only, or each at another watermark: JSON, the watermark by stage. */
  flushed: 'VARCHAR',
  /** Of late rows that are applied: JSON, which of them, and how many that were. Since format 7. */
  applied: 'VARCHAR',
} as const

export type LedgerRow = { readonly [K in keyof typeof ledgerColumns]: string | number | bigint | null }

/** An object with its place in the ledger and the watermark before it. */
export interface StampedObject {
  readonly marked: MarkedObject
  readonly seq: number
  readonly watermarkUs: bigint | null
}

/** A tick, a flush, a version of a lookup or late rows that are applied, with its place in the ledger. */
export type StampedMark = AdmittedMark & { readonly seq: number }

export function objectRow({ marked, seq }: StampedObject, epoch: number, late: number): LedgerRow {
  const { source, version } = marked
  return {
    seq,
    epoch,
    source,
    is: 'object',
    bucket: version.bucket,
    key: version.key,
    e_tag: version.eTag,
    version_id: version.versionId ?? null,
    size_bytes: version.sizeBytes,
    last_modified_ms: Math.trunc(version.lastModifiedMs),
    outcome: marked.outcome,
    reason: marked.reason,
    rows: marked.rows,
    late,
    quarantined_rows: marked.quarantinedRows,
    outside_bounds: marked.outsideBounds,
    high_mark_us: marked.highMarkUs,
    watermark_us: null,
    flushed: null,
    applied: null,
  }
}

/**
 * @param sources of the pipeline: a flush names the one that there is, or none of several
 * @param late rows that are late at it; of late rows that are applied, those that are taken
 */
export function markRow(mark: StampedMark, epoch: number, sources: readonly string[], late: number): LedgerRow {
  const [source = null, ...others] = mark.is === 'flush' || mark.is === 'apply' ? sources : [mark.source]
  const nothing = Object.fromEntries(Object.keys(ledgerColumns).map(name => [name, null])) as unknown as LedgerRow
  const { is, seq } = mark
  if (mark.is === 'apply')
    return { ...nothing, seq, epoch, is, applied: JSON.stringify({ ...lateNamedJson(mark), rows: late }) }
  if (mark.is === 'lookup') return { ...nothing, ...versionRow(mark), seq, epoch, source, is }
  return {
    ...nothing,
    seq,
    epoch,
    source: others.length > 0 ? null : source,
    is,
    late: late === 0 ? null : late,
    watermark_us: mark.watermarkUs,
    flushed: mark.is === 'flush' ? flushText(mark) : null,
  }
}

/** How many late rows an entry has applied. Those of earlier releases do not say it. */
export function appliedRows({ applied }: LedgerRow): number {
  if (typeof applied !== 'string') return 0
  const { rows = 0 } = JSON.parse(applied) as { readonly rows?: number }
  return rows
}

function versionRow({ version }: AdmittedVersion): Partial<LedgerRow> {
  const { bucket, key, digest, lastModifiedMs } = version
  return { bucket, key, e_tag: digest, last_modified_ms: Math.trunc(lastModifiedMs) }
}

function flushText({ stages }: FlushValue): string | null {
  if (stages === undefined) return null
  return JSON.stringify(Object.fromEntries(Object.entries(stages).map(([id, us]) => [id, us.toString()])))
}

/** An entry that is no object as a row of the ledger has it. */
export function markOf(row: SqlRow): AdmittedMark {
  if (row.is === 'apply')
    return { is: 'apply', ...lateNamedFrom(JSON.parse(String(row.applied)) as Json), sizeBytes: 0 }
  const watermarkUs = row.watermark_us as bigint | null
  if (row.is === 'lookup') return versionMark(row)
  if (row.is === 'tick')
    return { is: 'tick', source: String(row.source), watermarkUs: watermarkUs as bigint, sizeBytes: 0 }
  const { flushed } = row
  if (typeof flushed !== 'string') return { is: 'flush', watermarkUs, sizeBytes: 0 }
  const stages = JSON.parse(flushed) as Record<string, string>
  return {
    is: 'flush',
    watermarkUs,
    stages: Object.fromEntries(Object.entries(stages).map(([id, us]) => [id, BigInt(us)])),
    sizeBytes: 0,
  }
}

/** Its table is the one that a replay makes of the version before it comes to this. */
function versionMark(row: SqlRow): AdmittedVersion {
  const source = String(row.source)
  const version = {
    digest: String(row.e_tag),
    bucket: String(row.bucket),
    key: String(row.key),
    lastModifiedMs: Number(row.last_modified_ms),
    table: storedTable(source, Number(row.seq)),
  }
  return { is: 'lookup', source, version, sizeBytes: 0 }
}

/** The rows in the order of their numbers. */
export function ledgerText(rows: readonly LedgerRow[]): TextRows {
  return textRowsOf(
    ledgerColumns,
    rows.toSorted((a, b) => Number(a.seq) - Number(b.seq)),
  )
}

export async function createLedgerTable(executor: Executor, name: string): Promise<void> {
  await executor.run(
    `CREATE TABLE ${name} (${Object.entries(ledgerColumns)
      .map(([name, type]) => `"${name}" ${type}`)
      .join(', ')})`,
  )
}

/** P1 as SQL: the same object version of the same source, by versionIds where both sides have one, else by eTags. */
export function sameVersionSql(a: string, b: string): string {
  return (
    `${sameKeySql(a, b)} AND ` +
    `CASE WHEN ${a}.version_id IS NOT NULL AND ${b}.version_id IS NOT NULL THEN ${a}.version_id = ` +
    `${b}.version_id ELSE ${a}.e_tag = ${b}.e_tag END`
  )
}

/** As SQL: the same key, as one source has it. Two sources may read one place, and each counts what it reads. */
export function sameKeySql(a: string, b: string): string {
  return `${a}.source = ${b}.source AND ${a}.bucket = ${b}.bucket AND ${a}.key = ${b}.key`
}

/** Rows of the ledger's files as this release reads them: releases of format 1 wrote what was gone as quarantined. */
export function ledgerRowsSql(rows: string): string {
  return (
    `SELECT * REPLACE (CASE WHEN outcome IN ('quarantined', 'skipped') AND reason IN ` +
    `(${[...goneReasons].map(text).join(', ')}) ` +
    `THEN 'gone' ELSE outcome END AS outcome) FROM ${rows}`
  )
}

/**
 * Entries of a ledger, and the earlier ones of the same version (P1): `seq`, `earlier_seq` and `earlier`, the outcome
 * of that. Nothing comes after a version that was read. In three joins, as one by key alone compares all versions of a
 * key with each other.
 */
function earlierSql(ledger: string): string {
  const pairs = (on: string) =>
    `SELECT a.seq, b.seq AS earlier_seq, b.outcome AS earlier FROM ${ledger} AS a JOIN ${ledger} AS b ` +
    `ON ${sameKeySql('a', 'b')} AND ${on} WHERE b.outcome <> 'read' AND b.seq < a.seq`
  return [
    'a.version_id = b.version_id',
    'a.e_tag = b.e_tag AND a.version_id IS NULL',
    'a.e_tag = b.e_tag AND a.version_id IS NOT NULL AND b.version_id IS NULL',
  ]
    .map(pairs)
    .join(' UNION ALL ')
}

/**
 * Rows of a ledger with `earlier`: the last outcome that it has of the same version before, NULL where there is none.
 */
export function withEarlierSql(ledger: string): string {
  return (
    `SELECT l.*, p.earlier FROM ${ledger} AS l LEFT JOIN (SELECT seq, arg_max(earlier, earlier_seq) AS earlier ` +
    `FROM (${earlierSql(ledger)}) GROUP BY seq) AS p ON p.seq = l.seq`
  )
}

/**
 * Object versions that are set aside as a ledger stands, by their last entries: no row of them was counted (I5). With
 * `overwrites`: another version of its key was read.
 */
export function setAsideSql(ledger: string): string {
  return (
    `SELECT a.*, EXISTS (SELECT 1 FROM ${ledger} AS r WHERE r.outcome = 'read' AND ${sameKeySql('r', 'a')}) ` +
    'AS overwrites ' +
    `FROM ${ledger} AS a WHERE a.outcome <> 'read' AND a.seq NOT IN (SELECT earlier_seq FROM (${earlierSql(ledger)}))`
  )
}

/**
 * Whether objects have come since the last flush: then the end of a listing flushes, else it has nothing to do. Late
 * rows that are applied change closed windows alone.
 */
export async function isFlushDue(executor: Executor): Promise<boolean> {
  const [last] = await executor.rows(`SELECT "is" FROM ledger WHERE "is" <> 'apply' ORDER BY seq DESC LIMIT 1`)
  return last !== undefined && last.is !== 'flush'
}

/** A watermark state as the manifest keeps it. */
export function watermarkJson(state: WatermarkState): { watermarkUs: string | null; highMarkUs: string | null } {
  return { watermarkUs: state.watermarkUs?.toString() ?? null, highMarkUs: state.highMarkUs?.toString() ?? null }
}

export function watermarkFrom(json: { watermarkUs: string | null; highMarkUs: string | null }): WatermarkState {
  const parse = (value: string | null) => (value === null ? null : BigInt(value))
  return { watermarkUs: parse(json.watermarkUs), highMarkUs: parse(json.highMarkUs) }
}

/** What `apply-late` has named before an entry of the ledger. */
export async function appliedBefore(executor: Executor, seq: number): Promise<readonly LateNamed[]> {
  const rows = await executor.rows(`SELECT applied FROM ledger WHERE "is" = 'apply' AND seq < ${seq}`)
  return rows.map(({ applied }) => lateNamedFrom(JSON.parse(String(applied)) as Json))
}

/** An entry that is no object: of the ledger that is replayed, of what was asked for, or of a lookup. */
export type AdmittedMark =
  | ((
      | { readonly is: 'tick'; readonly source: string; readonly watermarkUs: bigint }
      | ({ readonly is: 'flush' } & FlushValue)
      | ({ readonly is: 'apply' } & LateNamed)
    ) & { readonly sizeBytes: 0 })
  | AdmittedVersion

/** A version of a lookup (S25): rows of later entries meet it. */
export interface AdmittedVersion {
  readonly is: 'lookup'
  /** The name of the lookup. */
  readonly source: string
  readonly version: VersionFacts
  readonly sizeBytes: 0
}

/** What the ledger says of a version, and where its rows are. */
export interface VersionFacts {
  /** Of the objects that it was read from, in their versions. */
  readonly digest: string
  readonly bucket: string
  /** Where it is one object. */
  readonly key: string
  readonly lastModifiedMs: number
  /** The table of this session that has its rows. */
  readonly table: string
}

/** A version that was read in this run. */
export interface ReadVersion extends VersionFacts {
  readonly objects: number
  readonly rows: number
}

/** What a flush says: one watermark for all stages, or one for each of some (S6). */
export interface FlushValue {
  /** Null where `stages` says it. */
  readonly watermarkUs: bigint | null
  /** By stage. */
  readonly stages?: Readonly<Record<string, bigint>>
}

/** The object version of a row of the listing or of a ledger. */
export function versionOf(row: SqlRow): ObjectVersion {
  return {
    bucket: String(row.bucket),
    key: String(row.key),
    ...(typeof row.version_id === 'string' ? { versionId: row.version_id } : {}),
    eTag: String(row.e_tag),
    sizeBytes: Number(row.size_bytes),
    lastModifiedMs: Number(row.last_modified_ms),
  }
}
