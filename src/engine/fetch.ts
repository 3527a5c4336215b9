import { rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { errorMessage, isMillraceError, MillraceError } from '../core/errors.ts'
import type { ObjectVersion } from '../core/object-version.ts'
import type { Executor, ObjectStore, Row } from '../core/ports.ts'
import { type ParsedType, parseColumnType } from '../core/types.ts'
import { checkedCast } from '../plan/checked-cast.ts'
import type { Format } from '../plan/format.ts'
import { keyPeriod } from '../plan/key-period.ts'
import { rowHidden } from '../plan/bind.ts'
import type { SourcePolicies, SourceSettings } from '../plan/source-settings.ts'
import { id, text } from '../plan/sql.ts'
import { spoolObject } from './spool.ts'

/** An object after stage 1 (S17): what became of it, its high mark, and how its good rows are read. */
export interface MarkedObject {
  readonly is: 'object'
  readonly version: ObjectVersion
  readonly outcome: 'read' | 'quarantined' | 'skipped'
  /** Why it was not read. */
  readonly reason: string | null
  readonly rows: number
  readonly quarantinedRows: number
  readonly outsideBounds: number
  readonly highMarkUs: bigint | null
  readonly minTimeUs: bigint | null
  /** SQL of the good rows under this sequence number and watermark; undefined unless read. */
  scan?(seq: number, watermarkUs: bigint | null): string
  /** SQL of the rows set aside, one a row and column; undefined when there are none. */
  setAside?(seq: number): string
  /** Reads every declared column of every row: fails where a page is corrupt. */
  probe?(): Promise<void>
  /** Whether the spooled file, a hard link, was written to since: then nothing that was read of it counts. */
  isChanged?(): Promise<boolean>
  /** Gives spool space back. */
  release(): Promise<void>
}

export interface FetchContext {
  readonly store: ObjectStore
  readonly format: Format
  readonly settings: SourceSettings
  readonly policies: SourcePolicies
  readonly executor: Executor
  readonly spool: string
  readonly signal: AbortSignal
}

/** Times beyond about 146,000 years from 1970 are no event times: window arithmetic would leave BIGINT. */
const timeLimitUs = 2n ** 62n

export type Fetch = (version: ObjectVersion) => Promise<MarkedObject>

/** Stage 1 for one object at a time: fetch to the spool, find its columns, check every value, take its high mark. */
export function createFetch(context: FetchContext): Fetch {
  const { settings } = context
  const declared = Object.entries(settings.columns).map(([name, type]) => ({ name, type: parseColumnType(type, name) }))
  const period = settings.bounds?.is === 'key' ? keyPeriod(settings.bounds.pattern, 'bounds') : undefined
  const executor = withLastDescription(context.executor)
  let count = 0
  return async version => {
    const number = count++
    const file = join(context.spool, `${number}`)
    const columns = declared.map(({ name }) => name)
    try {
      const fetched = await spoolObject({ ...context, columns }, version, file)
      if (fetched === 'missing' || fetched === 'changed')
        return badObject(
          context,
          version,
          `the object ${fetched === 'missing' ? 'is gone' : 'changed after it was listed'}`,
        )
      const before = await stat(file, { bigint: true })
      const marked = await mark({ ...context, executor }, version, file, `spool_${number}`, declared, period)
      if (fetched !== 'linked' || marked.outcome !== 'read') return marked
      return {
        ...marked,
        isChanged: async () => {
          const now = await stat(file, { bigint: true })
          return now.size !== before.size || now.mtimeNs !== before.mtimeNs
        },
      }
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'EACCES') return deniedObject(context, version, 'permission denied')
      if (isMillraceError(error) && error.code === 'object-denied') return deniedObject(context, version, error.message)
      if (isMillraceError(error) && unreadable.has(error.code)) return badObject(context, version, error.message)
      if (!isBadObject(error)) throw error
      return badObject(context, version, reasonOf(error, version.key))
    }
  }
}

/** What a store says of one object that it cannot give. */
const unreadable = new Set(['object-archived', 'object-refused'])

/** Objects whose columns have names and no types of their own (JSON, CSV) are all described by the same query. */
function withLastDescription(executor: Executor): Executor {
  let last: { readonly sql: string; readonly described: Promise<Readonly<Record<string, string>>> } | undefined
  return {
    ...executor,
    describe(sql) {
      if (last?.sql !== sql) {
        const described = executor.describe(sql)
        last = { sql, described }
        described.catch(() => (last = undefined))
      }
      return last.described
    },
  }
}

/**
 * An object that may not be read, under the `onDenied` policy. A missing permission denies every object alike: by default
 * it stops the run rather than setting a whole backlog aside.
 */
function deniedObject(
  { settings: { name }, policies: { onDenied } }: Pick<FetchContext, 'settings' | 'policies'>,
  version: ObjectVersion,
  reason: string,
): MarkedObject {
  if (onDenied === 'fail')
    throw new MillraceError(
      'fatal',
      'denied-object',
      `source ${name}: object '${version.key}' may not be read: ${reason.replace(/\.$/, '')}. Nothing of it was counted. Grant the permission, or set onDenied to 'quarantine' or 'skip'.`,
    )
  return unread(version, onDenied === 'skip' ? 'skipped' : 'quarantined', reason)
}

/** An object that was not read, under the `onBadObject` policy. */
export function badObject(
  { settings: { name }, policies: { onBadObject } }: Pick<FetchContext, 'settings' | 'policies'>,
  version: ObjectVersion,
  reason: string,
): MarkedObject {
  if (onBadObject === 'fail')
    throw new MillraceError(
      'fatal',
      'bad-object',
      `source ${name}: object '${version.key}' cannot be read: ${reason}. Nothing of it was counted. Replace the object, or set onBadObject to 'quarantine' or 'skip'.`,
    )
  return unread(version, onBadObject === 'skip' ? 'skipped' : 'quarantined', reason)
}

/** An object of which nothing is read. */
export function unread(
  version: ObjectVersion,
  outcome: 'skipped' | 'quarantined',
  reason: string | null,
): MarkedObject {
  return {
    is: 'object',
    version,
    outcome,
    reason,
    rows: 0,
    quarantinedRows: 0,
    outsideBounds: 0,
    highMarkUs: null,
    minTimeUs: null,
    release: async () => {},
  }
}

interface DeclaredColumn {
  readonly name: string
  readonly type: ParsedType
}

/** One declared column of one object: its value by declared type, and the predicate of values that do not fit. */
interface ReadColumn extends DeclaredColumn {
  /** The object's own name of the column. */
  readonly found: string
  readonly raw: string
  readonly value: string
  readonly bad: string | null
}

async function mark(
  context: FetchContext,
  version: ObjectVersion,
  file: string,
  table: string,
  declared: readonly DeclaredColumn[],
  period: ReturnType<typeof keyPeriod> | undefined,
): Promise<MarkedObject> {
  const { executor, format, settings, policies, signal } = context
  const names = declared.map(({ name }) => name)
  const changed = `${file}.rows`
  let isSpooled = false
  const release = async () => {
    if (isSpooled) await executor.run(`DROP TABLE IF EXISTS ${id(table)}`)
    await Promise.all([file, changed].map(path => rm(path, { force: true })))
  }
  try {
    const ready = await format.ready({ file, changed, key: version.key, columns: names, signal })
    if (ready.is === 'bad') {
      await release()
      return badObject(context, version, ready.reason)
    }
    const spool = format.spool(ready.file, table, ready.names, names)
    isSpooled = spool !== null
    const at = spool === null ? ready.file : table
    if (spool !== null) await executor.run(spool, signal)
    const own = await executor.describe(format.physical(at, names, ready.names))
    const fields = await structFields(context, format.physical(at, names, ready.names), names, own)
    const physical = { ...own, ...Object.fromEntries(fields.map(({ name, type }) => [name, type])) }
    const paths = new Map(fields.map(({ name, path }) => [name, path]))
    const columns = declared.map(column => readColumn(column, format, physical, own))
    const broken = columns.find(column => 'impossible' in column)
    if (broken && 'impossible' in broken) {
      await release()
      return badObject(context, version, broken.impossible)
    }
    const good = columns as readonly ReadColumn[]
    const scan = format.scan(
      at,
      good.map(({ found, type }) => {
        const path = paths.get(found)
        return { name: found, type, ...(path ? { path } : {}) }
      }),
      ready.names ?? Object.keys(own),
    )
    const time = good.find(({ name }) => name === settings.time) as ReadColumn
    const timeUs = `epoch_us(${time.value})`
    const checks = good.flatMap(({ bad }) => (bad === null ? [] : [bad]))
    const bad = `(${['_broken', ...checks].join(' OR ')})`
    const timeless = `(${timeUs} IS NULL OR ${timeUs} NOT BETWEEN -${timeLimitUs} AND ${timeLimitUs})`
    const inside = insideBounds(settings, version, period)

    const [found] = await executor.rows(
      `SELECT count(*) AS rows, count(*) FILTER (bad) AS bad, count(*) FILTER (NOT bad AND timeless) AS timeless, ` +
        `min(t) FILTER (ok) AS min_time, ${highMarkSql(settings)} AS high_mark, count(*) FILTER (ok AND NOT inside) AS outside ` +
        `FROM (SELECT *, NOT bad AND NOT timeless AS ok, ${inside} AS inside FROM (SELECT ${bad} AS bad, ${timeless} AS timeless, ${timeUs} AS t FROM (${scan})))`,
      signal,
    )
    const counts = found as {
      rows: bigint
      bad: bigint
      timeless: bigint
      min_time: bigint | null
      high_mark: bigint | null
      outside: bigint
    }
    const brokenSql = counts.bad > 0n ? await brokenText(context, ready.file, scan) : 'NULL'
    const asideSql = (seq: number | null) =>
      setAsideSql(context, version, scan, good, bad, timeless, timeUs, brokenSql, seq)
    if (counts.bad > 0n && policies.onBadRow === 'fail') {
      const [first] = await executor.rows(`SELECT * FROM (${asideSql(null)}) ORDER BY _row, "column" LIMIT 1`, signal)
      throw badRow(settings, version, counts.bad, first as Row)
    }
    const values = good.map(({ name, value }) => `${value} AS ${id(name)}`)
    const aside = Number(counts.bad + counts.timeless)
    const tail = aside > 0 ? ` WHERE NOT ${bad} AND NOT ${timeless}` : ''
    return {
      is: 'object',
      version,
      outcome: 'read',
      reason: null,
      rows: Number(counts.rows),
      quarantinedRows: aside,
      outsideBounds: Number(counts.outside),
      highMarkUs: counts.high_mark,
      minTimeUs: counts.min_time,
      scan: (seq, watermarkUs) =>
        `SELECT CAST(${seq} AS BIGINT) AS ${rowHidden[0]}, _row, CAST(${watermarkUs ?? 'NULL'} AS BIGINT) AS ${rowHidden[2]}, ${values.join(', ')} FROM (${scan})${tail}`,
      ...(aside > 0 ? { setAside: (seq: number) => asideSql(seq) } : {}),
      probe: async () => {
        await executor.rows(
          `SELECT count(*) AS n${good.map(({ raw }, index) => `, count(${raw}) AS c${index}, max(length(CAST(${raw} AS VARCHAR))) AS l${index}`).join('')} FROM (${scan})`,
        )
      },
      release,
    }
  } catch (error) {
    await release().catch(() => {})
    throw error
  }
}

interface StructField {
  readonly name: string
  readonly path: readonly string[]
  readonly type: string
}

/** Declared names that are no columns but fields of one: 'address.city' of the struct `address`. */
async function structFields(
  { executor, format }: FetchContext,
  physicalSql: string,
  declared: readonly string[],
  own: Readonly<Record<string, string>>,
): Promise<readonly StructField[]> {
  const found: StructField[] = []
  for (const name of declared) {
    const [first = '', ...rest] = name.split('.')
    if (!format.fieldOf || rest.length === 0 || format.find(name, Object.keys(own)) !== undefined) continue
    const column = format.find(first, Object.keys(own))
    if (column === undefined || !own[column]?.startsWith('STRUCT(')) continue
    const path = [column, ...rest]
    // A field that is not there is no field: the column is then missing, and said to be.
    const types = await executor
      .describe(`SELECT ${format.fieldOf(path)} AS ${id(name)} FROM (${physicalSql})`)
      .catch((error: unknown) => {
        if (errorMessage(error).startsWith('Binder Error')) return {}
        throw error
      })
    const type = Object.values(types)[0]
    if (type !== undefined) found.push({ name, path, type })
  }
  return found
}

function readColumn(
  column: DeclaredColumn,
  format: Format,
  physical: Readonly<Record<string, string>>,
  own: Readonly<Record<string, string>>,
): ReadColumn | { readonly impossible: string } {
  const { name, type } = column
  const found = format.find(name, Object.keys(physical))
  if (found === undefined)
    return {
      impossible: `column '${name}' is missing; expected ${type.sql}, the object has ${columnList(own)}`,
    }
  const raw = id(found)
  const cast = checkedCast(raw, physical[found] as string, type, format.name)
  if ('impossible' in cast) return { impossible: `column '${name}': ${cast.impossible}` }
  const bad = [...(cast.misfit === null ? [] : [cast.misfit]), ...(type.nullable ? [] : [`${raw} IS NULL`])]
  return { ...column, found, raw, value: cast.value, bad: bad.length === 0 ? null : `(${bad.join(' OR ')})` }
}

/** Columns for messages, a struct with its fields; cut to a length that can be read. */
function columnList(physical: Readonly<Record<string, string>>): string {
  const names = Object.entries(physical).map(([name, type]) => (type.startsWith('STRUCT(') ? `${name} ${type}` : name))
  const list = names.join(', ')
  return list.length <= 2000 ? list : `${list.slice(0, 2000)}...`
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

/** SQL over `t`: whether this time may move the high mark (S3). */
function insideBounds(
  settings: SourceSettings,
  version: ObjectVersion,
  period: ReturnType<typeof keyPeriod> | undefined,
): string {
  if (settings.bounds === undefined) return 'TRUE'
  if (settings.bounds.is === 'last-modified')
    return `t <= ${BigInt(Math.trunc(version.lastModifiedMs)) * 1000n + BigInt(settings.bounds.skewUs)}`
  const span = period?.(version.key)
  // A key that names no period has no row inside the bounds, so no mark.
  return span === undefined ? 'FALSE' : `(t >= ${span.startUs} AND t < ${span.endUs})`
}

/** The text of broken rows that are quoted in a record; those beyond have their number only. */
const brokenMax = 1_000

/** SQL over `_row`: the text of a row that cannot be parsed, NULL where the format cannot tell. */
async function brokenText({ executor, format }: FetchContext, file: string, scan: string): Promise<string> {
  if (format.brokenSql !== undefined) return format.brokenSql
  if (!format.brokenText) return 'NULL'
  const rows = await executor.rows(`SELECT _row FROM (${scan}) WHERE _broken ORDER BY _row LIMIT ${brokenMax}`)
  if (rows.length === 0) return 'NULL'
  const found = await format.brokenText(
    file,
    rows.map(({ _row }) => Number(_row)),
  )
  return `CASE _row ${[...found].map(([row, line]) => `WHEN ${row} THEN ${text(line)}`).join(' ')} END`
}

function setAsideSql(
  context: FetchContext,
  version: ObjectVersion,
  scan: string,
  columns: readonly ReadColumn[],
  bad: string,
  timeless: string,
  timeUs: string,
  brokenSql: string,
  seq: number | null,
): string {
  const { settings, format } = context
  const branch = (column: string, expected: string, found: string, predicate: string) =>
    `SELECT CAST(${seq ?? 'NULL'} AS BIGINT) AS _seq, _row, ${text(version.key)} AS object, ${text(version.eTag)} AS e_tag, ${text(column)} AS "column", ` +
    `${text(expected)} AS expected, left(CAST(${found} AS VARCHAR), 1000) AS found FROM (${scan}) WHERE ${predicate}`
  const time = columns.find(({ name }) => name === settings.time) as ReadColumn
  return [
    branch('', format.rowIs, brokenSql, '_broken'),
    ...columns.flatMap(({ name, type, raw, bad: misfit }) =>
      misfit === null
        ? []
        : [branch(name, `${type.sql}${type.nullable ? '' : ' NOT NULL'}`, raw, `NOT _broken AND ${misfit}`)],
    ),
    branch(
      time.name,
      'an event time, neither NULL nor infinite nor more than 146,000 years from 1970',
      time.raw,
      `NOT ${bad} AND ${timeless}`,
    ),
  ].join(' UNION ALL ')
}

function badRow(settings: SourceSettings, version: ObjectVersion, count: bigint, first: Row): MillraceError {
  const column = String(first.column)
  const found = typeof first.found === 'string' ? `'${first.found}'` : 'NULL'
  return new MillraceError(
    'fatal',
    'bad-row',
    `source ${settings.name}: object '${version.key}', row ${String(first._row)}${column ? `, column '${column}'` : ''}: expected ${String(first.expected)}` +
      `, found ${found}. ${count} such row${count === 1n ? '' : 's'} in this object; nothing of it was counted. ` +
      "Correct the object, declare another type, or set onBadRow: 'quarantine' to set such rows aside.",
  )
}

/** Whether a DuckDB error is the object's fault. Everything else (memory, disk, a defect) ends the run. */
export function isBadObject(error: unknown): boolean {
  if (error instanceof MillraceError) return false
  return (
    /^((Invalid Input|IO|Serialization|Conversion|Out of Range|Not implemented|Invalid) Error|Binder Error: Failed to read)/i.test(
      errorMessage(error),
    ) && !/no space left|cannot allocate|out of memory|too many open files/i.test(errorMessage(error))
  )
}

/** DuckDB's first sentence, with the object's key in place of the spool's path. */
export function reasonOf(error: unknown, key: string): string {
  const [line = ''] = errorMessage(error).split('\n')
  return line
    .replace(/[^'"]*millrace-\w+-\d+-[A-Za-z0-9]{6}[\\/]spool[\\/]\d+(\.rows)?/g, key)
    .replace(/^[A-Za-z ]+ Error: /, '')
    .replace(/\.$/, '')
}
