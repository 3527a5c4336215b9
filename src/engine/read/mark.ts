import { errorMessage, MillraceError } from '../../core/errors.ts'
import type { ObjectVersion } from '../../core/object-version.ts'
import { microsecondsOf, rowHidden } from '../../plan/relation.ts'
import { canonical, checkedCast } from '../../plan/checked-cast.ts'
import { constantSql, type DeclaredColumn } from '../../plan/declared-column.ts'
import { outsideOf, withoutOutside } from '../../plan/outside.ts'
import { findColumn, leavesOf, type OwnColumn } from '../../plan/find-column.ts'
import type { Fact, ObjectFacts } from '../../plan/object-facts.ts'
import type { Format, ScannedColumn } from '../../plan/format.ts'
import { keyPeriod } from '../../plan/key-period.ts'
import type { SourceSettings } from '../../plan/source-settings.ts'
import { id, text } from '../../plan/sql.ts'
import type { ReadColumn } from './read-column.ts'
import { rowsLookedAt, undeclaredColumns } from './columns-seen.ts'
import { isKeptSql, isRescued, rescued } from './rescue.ts'
import { badRowText, firstBadRow } from './bad-row.ts'
import {
  badObject,
  goneBecause,
  goneObject,
  type FetchContext,
  isBadObject,
  type MarkedObject,
  type RowSource,
  type StampedPart,
} from './marked-object.ts'

/** Times beyond about 146,000 years from 1970 are no event times: window arithmetic would leave BIGINT. */
const timeLimitUs = 2n ** 62n

/** An object whose text lies in the spool, ready for DuckDB. */
export interface SpooledVersion {
  readonly version: ObjectVersion
  /** The file that DuckDB reads. */
  readonly file: string
  /** The object's own columns. Absent where it has a field by any name that is declared. */
  readonly columns?: readonly OwnColumn[]
  /** The same object as it is to be read where some of its rows are broken; present where it was made ready quickly. */
  again?(): Promise<SpooledVersion | MarkedObject>
  /** Gives its files back. */
  discard(): Promise<void>
  /** Whether the file, a hard link, was written to since it was made ready. */
  isChanged?(): Promise<boolean>
}

/** An object that was made ready quickly and has bad rows: what they are `again` has to tell. */
export interface DoubtfulObject {
  readonly is: 'doubtful'
  again(): Promise<SpooledVersion | MarkedObject>
}

/**
 * Checks every value of these objects and takes their high marks, in one pass for all of them: a statement costs some
 * milliseconds, and a small object's own share is far below. Objects of a format that reads rows into a table are typed
 * there once; of other formats there is one at a time.
 *
 * @param objects of one shape: with the same `columns`
 * @param factsOf what an object gives for columns that its rows do not have, which fits them
 * @param table a name that nothing else uses
 */
export async function markObjects(
  context: FetchContext,
  objects: readonly SpooledVersion[],
  table: string,
  declared: readonly DeclaredColumn[],
  factsOf: ObjectFacts,
  period: ReturnType<typeof keyPeriod> | undefined,
): Promise<readonly (MarkedObject | DoubtfulObject)[]> {
  const { executor, format, settings, policies, signal } = context
  const rowColumns = declared.filter(({ fact }) => fact === undefined)
  const [{ file, columns: own = rowColumns.map(({ from }) => ({ name: from })) }] = objects as readonly [SpooledVersion]
  const [raw, typed] = [`${table}_raw`, `${table}_typed`]
  const tables = new Set<string>()
  const create = async (name: string, sql: string) => {
    tables.add(name)
    await executor.run(`CREATE TABLE ${id(name)} AS ${sql}`, signal)
  }
  const drop = async (name: string) => {
    if (tables.delete(name)) await executor.run(`DROP TABLE IF EXISTS ${id(name)}`)
  }
  const held = new Set(objects)
  /** @returns whether it was held */
  const leave = async (object: SpooledVersion) => {
    const wasHeld = held.delete(object)
    if (wasHeld && held.size === 0) for (const name of tables) await drop(name)
    return wasHeld
  }
  const release = async (object: SpooledVersion) => {
    if (await leave(object)) await object.discard()
  }

  try {
    const isShared = objects.length > 1
    const read = format.read(
      objects.map(object => object.file),
      own,
      rowColumns.map(({ from }) => from),
    )
    const facts = objects.map(({ version }) => factsOf(version))
    const reading = await columnsOf(context, file, declared, own, facts)
    if ('impossible' in reading) {
      for (const object of objects) await release(object)
      return objects.map(({ version }) => badObject(context, version, reading.impossible))
    }
    const { good } = reading
    // Rows are typed as they are read, and numbered by the table that takes them.
    const unnumbered = reading.scan(read === null ? file : `(SELECT CAST(NULL AS BIGINT) AS _row, * FROM (${read}))`)
    // As read they are wanted once more where some of them are bad.
    const scan = read === null ? unnumbered : reading.scan(`(SELECT rowid AS _row, * FROM ${id(raw)})`)
    const time = good.find(({ name }) => name === settings.time) as ReadColumn
    const timeUs = microsecondsOf(time.value, time.type.name)
    const checks = good.flatMap(({ bad }) => (bad === null ? [] : [bad]))
    const bad = `(${['_broken', ...checks].join(' OR ')})`
    const timeless = `(${timeUs} IS NULL OR ${timeUs} NOT BETWEEN -${timeLimitUs} AND ${timeLimitUs})`
    const goodOnly = `NOT ${bad} AND NOT ${timeless}`
    const isRescued = settings.rescue === undefined ? 'FALSE' : `${good.at(-1)?.value} IS NOT NULL`
    const flags = `${bad} AS _bad, ${timeless} AS _timeless, ${isRescued} AS _rescued, ${timeUs} AS _t`
    const values = good.map(({ value }, index) => `${value} AS ${typedName(index)}`)

    if (read !== null) await create(typed, `SELECT _part, ${flags}, ${values.join(', ')} FROM (${unnumbered})`)
    const kept = read === null ? `(${scan})` : `(SELECT rowid AS _row, * FROM ${id(typed)})`
    const flagged = read === null ? `(SELECT _part, _row, ${flags} FROM ${kept})` : kept
    const sought = good.flatMap(({ name }, index) =>
      read !== null && context.neverSeen?.asked.includes(name)
        ? [{ name, isSeen: seenSql(settings, name, index, good) }]
        : [],
    )
    const counts = await partCounts(context, objects, flagged, period, sought)
    const undeclared = await undeclaredOf(context, objects, rowColumns, read)

    const asideOf = (part: number) => (counts[part]?.bad ?? 0) + (counts[part]?.timeless ?? 0)
    const marked: (MarkedObject | DoubtfulObject)[] = []
    const source: RowSource = { scan: stamped => goodRowsSql(stamped) }
    for (const [part, object] of objects.entries()) {
      const { version } = object
      const own = counts[part] as PartCounts
      const { isChanged } = object
      const aside = asideOf(part)
      if (aside > 0 && read !== null && !tables.has(raw)) await create(raw, read)
      // Half a line is no bad row of an object that is still being written; read again, it may be whole.
      if (own.bad > 0 && (await isChanged?.())) {
        await release(object)
        marked.push(goneObject(context, version, goneBecause.writtenTo))
        continue
      }
      const rows = isShared && read !== null ? partSql(scan, part, raw) : scan
      // Of several bad objects the first in order is told: one behind a doubtful object waits for that one's end.
      const isBehind = marked.some(({ is }) => is === 'doubtful')
      const { again } = object
      if (own.bad > 0 && again && (isBehind || (await hasBroken(context, rows)))) {
        if (context.neverSeen) context.neverSeen.rows -= own.rows
        await leave(object)
        marked.push({ is: 'doubtful', again })
        continue
      }
      const brokenSql = own.bad > 0 ? await brokenText(context, object.file, rows) : 'NULL'
      const asideSql = (seq: number | null) =>
        setAsideSql(context, version, rows, good, bad, timeless, timeUs, brokenSql, seq)
      if (own.bad > 0 && policies.onBadRow === 'fail')
        throw badRow(
          settings,
          version,
          own.bad,
          badRowText(await firstBadRow(context.executor, asideSql(null), context.signal)),
        )
      if (aside > 0) await seekInBadRows(context, rows, good)
      // DuckDB may compute a function for the values of rows that were left out, too: what means nothing in its type would
      // raise there. Only the good rows go on, in a table of their own.
      if ((aside > 0 || settings.rescue !== undefined) && read === null && (await hasOutside(context, scan, good)))
        await create(typed, `SELECT _row, ${values.join(', ')} FROM (${scan}) WHERE ${goodOnly}`)
      marked.push({
        is: 'object',
        version,
        outcome: 'read',
        reason: null,
        rows: own.rows,
        quarantinedRows: aside,
        rescuedRows: own.rescued,
        outsideBounds: own.outside,
        highMarkUs: own.highMarkUs,
        minTimeUs: own.minTimeUs,
        columns: {
          undeclared: undeclared[part] ?? [],
          withValues: own.withValues,
          asked: sought.map(({ name }) => name),
        },
        good: { source, part },
        ...(aside > 0 ? { setAside: (seq: number) => asideSql(seq) } : {}),
        // What lies in a table was read whole.
        ...(read === null ? { probe: () => probe(context, scan, good) } : {}),
        ...(isChanged ? { isChanged } : {}),
        release: () => release(object),
      })
    }
    return marked

    function goodRowsSql(stamped: readonly StampedPart[]): string {
      const hasAside = stamped.some(({ part }) => asideOf(part) > 0)
      const [seq, row, watermark] = rowHidden
      const [only] = stamped
      if (read === null || (only && objects.length === 1)) {
        const { seq: number, watermarkUs } = only as StampedPart
        const isTyped = read !== null || tables.has(typed)
        const items = good.map(({ name, value }, index) => `${isTyped ? typedName(index) : value} AS ${id(name)}`)
        const isGood = read === null ? goodOnly : 'NOT _bad AND NOT _timeless'
        return (
          `SELECT CAST(${number} AS BIGINT) AS ${seq}, _row AS ${row}, CAST(${watermarkUs ?? 'NULL'} AS BIGINT) AS ${watermark}, ${items.join(', ')} ` +
          `FROM ${read === null && isTyped ? id(typed) : `${kept}${hasAside ? ` WHERE ${isGood}` : ''}`}`
        )
      }
      const items = good.map(({ name }, index) => `${typedName(index)} AS ${id(name)}`)
      const stamps = stamped.map(
        ({ part, seq, watermarkUs }) =>
          `(${part}, CAST(${seq} AS BIGINT), CAST(${watermarkUs ?? 'NULL'} AS BIGINT), CAST(${counts[part]?.firstRow} AS BIGINT))`,
      )
      return (
        `SELECT _seq_of AS ${seq}, _row - _first AS ${row}, _watermark_of AS ${watermark}, ${items.join(', ')} FROM ${kept} ` +
        `JOIN (VALUES ${stamps.join(', ')}) AS _(_part, _seq_of, _watermark_of, _first) USING (_part)` +
        (hasAside ? ' WHERE NOT _bad AND NOT _timeless' : '')
      )
    }
  } catch (error) {
    for (const name of tables) await drop(name).catch(() => {})
    throw error
  }
}

/** SQL over typed rows: whether a column has a value. One that was rescued is one all the same. */
function seenSql({ rescue }: SourceSettings, name: string, index: number, good: readonly ReadColumn[]): string {
  const isTyped = `${typedName(index)} IS NOT NULL`
  return rescue === undefined ? isTyped : `(${isTyped} OR ${isKeptSql(typedName(good.length - 1), name)})`
}

/** How the declared columns are read of these rows, or why they cannot be. */
async function columnsOf(
  context: FetchContext,
  file: string,
  declared: readonly DeclaredColumn[],
  own: readonly OwnColumn[],
  facts: readonly ReadonlyMap<string, Fact>[],
): Promise<{ readonly good: readonly ReadColumn[]; scan(from: string): string } | { readonly impossible: string }> {
  const { format, settings } = context
  const scanned: ScannedColumn[] = []
  for (const column of declared.filter(({ fact }) => fact === undefined)) {
    const found = locate(column, own)
    if ('impossible' in found) return found
    if ('at' in found) scanned.push({ ...column, at: found.at })
  }
  const described = await typesOf(context, file, scanned, own)
  if ('impossible' in described) return described
  const physical = new Map(scanned.map(({ name }, index) => [name, described.types?.[index] ?? 'VARCHAR']))
  const read: ReadColumn[] = []
  for (const [index, column] of declared.entries()) {
    const type = physical.get(column.name)
    const one =
      column.fact !== undefined
        ? factColumn(column, facts)
        : type === undefined
          ? missingColumn(column)
          : readColumn(column, typedName(index), format, type, isRescued(column, settings))
    if ('impossible' in one) return one
    read.push(one)
  }
  // One level below what reads them: DuckDB plans and computes a value again for every place where it is written out.
  const casts = read.flatMap(({ value, cast }) => (cast === null ? [] : [`${cast} AS ${value}`]))
  const { good, flags } = rescued(read, settings)
  const withColumns = (rows: string, columns: readonly string[]) =>
    columns.length === 0 ? rows : `SELECT *, ${columns.join(', ')} FROM (${rows})`
  return {
    good,
    scan: from => withColumns(withColumns(format.scan(from, scanned, own), casts), flags),
  }
}

/** The columns that nobody declared, for each object. */
async function undeclaredOf(
  { executor, format, neverSeen, signal }: FetchContext,
  objects: readonly SpooledVersion[],
  declared: readonly DeclaredColumn[],
  read: string | null,
): Promise<readonly (readonly string[])[]> {
  const own = objects[0]?.columns
  if (own !== undefined) {
    const names = undeclaredColumns(own, declared)
    return objects.map(() => names)
  }
  if (!format.fields || read === null || !neverSeen) return []
  const names: string[][] = objects.map(() => [])
  const known = declared.map(({ from }) => text(from))
  const found = await executor.rows(
    `SELECT _part, name FROM (${format.fields(`${read} LIMIT ${rowsLookedAt}`)})` +
      `${known.length === 0 ? '' : ` WHERE name NOT IN (${known.join(', ')})`} GROUP BY ALL ORDER BY ALL`,
    signal,
  )
  for (const { _part, name } of found) names[Number(_part)]?.push(String(name))
  return names
}

interface PartCounts {
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

/** What each object's rows say, one entry an object. */
async function partCounts(
  { executor, settings, neverSeen, signal }: FetchContext,
  objects: readonly SpooledVersion[],
  flagged: string,
  period: ReturnType<typeof keyPeriod> | undefined,
  sought: readonly { readonly name: string; readonly isSeen: string }[],
): Promise<readonly PartCounts[]> {
  const bounds = objects.map(({ version }) => markBounds(settings, version, period))
  const isOne = objects.length === 1
  const bound = (us: bigint | null | undefined) => `CAST(${us ?? 'NULL'} AS BIGINT)`
  const lists = bounds.map((own, part) => `(${part}, ${bound(own?.fromUs)}, ${bound(own?.toUs)})`)
  const [from, to] = isOne ? [bound(bounds[0]?.fromUs), bound(bounds[0]?.toUs)] : ['_from', '_to']
  const isUnbound = bounds.every(own => own === undefined)
  const inside = isUnbound ? 'TRUE' : `coalesce(_t >= ${from}, TRUE) AND coalesce(_t < ${to}, TRUE)`
  const rows =
    isOne || isUnbound ? flagged : `${flagged} JOIN (VALUES ${lists.join(', ')}) AS _(_part, _from, _to) USING (_part)`
  const seen = sought.map(({ isSeen }, index) => `, coalesce(bool_or(ok AND ${isSeen}), FALSE) AS seen${index}`)
  const found = await executor.rows(
    `SELECT ${isOne ? '0 AS part' : '_part AS part'}, count(*) AS rows, min(_row) AS first, max(_row) AS last, count(*) FILTER (_bad) AS bad, ` +
      `count(*) FILTER (NOT _bad AND _timeless) AS timeless, count(*) FILTER (ok AND _rescued) AS rescued, min(t) FILTER (ok) AS min_time, ${highMarkSql(settings)} AS high_mark, ` +
      `count(*) FILTER (ok AND NOT inside) AS outside${seen.join('')} FROM (SELECT *, _t AS t, NOT _bad AND NOT _timeless AS ok, ${inside} AS inside FROM ${rows})` +
      (isOne ? '' : ' GROUP BY _part'),
    signal,
  )
  const counts: PartCounts[] = objects.map(() => noRows)
  let next = 0n
  for (const row of found.toSorted((a, b) => Number(a.part) - Number(b.part))) {
    const [count, first] = [BigInt(row.rows as bigint), BigInt((row.first ?? 0n) as bigint)]
    // Files are read one after the other, so that their rows lie together in the order of the files.
    if (!isOne && (first !== next || BigInt(row.last as bigint) - first + 1n !== count))
      throw new Error('unreachable: the rows of one file do not lie together')
    next += count
    if (neverSeen) neverSeen.rows += Number(count)
    const withValues = sought.flatMap(({ name }, index) => (row[`seen${index}`] === true ? [name] : []))
    for (const name of withValues) neverSeen?.columns.delete(name)
    counts[Number(row.part)] = {
      rows: Number(count),
      bad: Number(row.bad),
      timeless: Number(row.timeless),
      rescued: Number(row.rescued),
      outside: Number(row.outside),
      minTimeUs: (row.min_time ?? null) as bigint | null,
      highMarkUs: (row.high_mark ?? null) as bigint | null,
      firstRow: first,
      withValues,
    }
  }
  return counts
}

async function hasOutside(
  { executor, signal }: FetchContext,
  rows: string,
  columns: readonly ReadColumn[],
): Promise<boolean> {
  const some = columns.flatMap(({ outside }) => outside ?? [])
  if (some.length === 0) return false
  return hasRow(executor, rows, some.join(' OR '), signal)
}

function hasBroken({ executor, signal }: FetchContext, rows: string): Promise<boolean> {
  return hasRow(executor, rows, '_broken', signal)
}

async function hasRow(
  executor: FetchContext['executor'],
  rows: string,
  predicate: string,
  signal: AbortSignal,
): Promise<boolean> {
  return (await executor.rows(`SELECT 1 FROM (${rows}) WHERE ${predicate} LIMIT 1`, signal)).length > 0
}

/** A value that does not fit is a value all the same. Asked only of objects with such rows. */
async function seekInBadRows(
  { executor, neverSeen, signal }: FetchContext,
  rows: string,
  columns: readonly ReadColumn[],
): Promise<void> {
  const sought = columns.filter(({ name }) => neverSeen?.columns.has(name))
  if (sought.length === 0) return
  const items = sought.map(({ raw }, index) => `bool_or(${raw} IS NOT NULL) AS s${index}`)
  const [row] = await executor.rows(`SELECT ${items.join(', ')} FROM (${rows}) WHERE NOT _broken`, signal)
  for (const [index, { name }] of sought.entries()) if (row?.[`s${index}`] === true) neverSeen?.columns.delete(name)
}

/**
 * The rows of one of several objects as read, numbered as in the object: by its own first row in this table, as an object
 * before it, a hard link, may have grown since the others were counted.
 */
function partSql(scan: string, part: number, raw: string): string {
  const first = `(SELECT min(rowid) FROM ${id(raw)} WHERE _part = ${part})`
  return `SELECT * REPLACE (_row - ${first} AS _row) FROM (${scan}) WHERE _part = ${part}`
}

/** Reads every value. Nothing is asked of them that a value could refuse. */
async function probe({ executor }: FetchContext, scan: string, columns: readonly ReadColumn[]): Promise<void> {
  const read = columns.map(({ raw }, index) => `, bit_xor(hash(${raw})) AS h${index}`)
  await executor.rows(`SELECT count(*) AS n${read.join('')} FROM (${scan})`)
}

/** Where an object has a declared column, that a default stands for it, or why it has none. */
function locate(
  { name, from, type, ifMissing }: DeclaredColumn,
  own: readonly OwnColumn[],
): { readonly at: readonly number[] } | { readonly isMissing: true } | { readonly impossible: string } {
  const found = findColumn(from, own)
  if (found.is === 'missing' && ifMissing !== undefined) return { isMissing: true }
  const column = columnText({ name, from })
  if (found.is === 'missing')
    return { impossible: `${column} is missing; expected ${type.sql}, the object has ${columnList(own)}` }
  if (found.is === 'ambiguous')
    return {
      impossible: `${column} is ambiguous: the object has ${found.names.join(', ')}; expected one of that very name, or only one when case is ignored`,
    }
  const twins = columnAt(found.at, own)?.twins
  // DuckDB would write the second by a name that it makes up.
  if (type.name === 'JSON' && twins)
    return {
      impossible: `${column} cannot be read as JSON: its fields ${twins.join(' and ')} have one name when case is ignored; declare fields by their path, such as '${from}.${twins[0]}'`,
    }
  return found
}

/** DuckDB's types of the columns; undefined where all are text. */
async function typesOf(
  { executor, format }: FetchContext,
  file: string,
  columns: readonly ScannedColumn[],
  own: readonly OwnColumn[],
): Promise<{ readonly types: readonly string[] | undefined } | { readonly impossible: string }> {
  if (!format.types || columns.length === 0) return { types: undefined }
  try {
    return { types: Object.values(await executor.describe(format.types(file, columns, own))) }
  } catch (error) {
    const [line = ''] = errorMessage(error).split('\n')
    // A schema that no writer makes may be one tree to DuckDB and another to us.
    if (!line.startsWith('Binder Error: ') || isBadObject(error)) throw error
    return { impossible: `its schema cannot be understood: ${line.slice('Binder Error: '.length)}` }
  }
}

function columnAt([index = 0, ...inner]: readonly number[], own: readonly OwnColumn[]): OwnColumn | undefined {
  const column = own[index]
  return inner.length === 0 ? column : columnAt(inner, column?.fields ?? [])
}

/** Of the values by declared type. No declared name begins so. */
const typedName = (index: number) => `_v${index}`

/** A declared column as messages name it: with the object's name of it, where that is another one. */
function columnText({ name, from }: Pick<DeclaredColumn, 'name' | 'from'>): string {
  return from === name ? `column '${name}'` : `column '${name}' (FROM ${from})`
}

/** A column that the object lacks: its default, which fits. */
function missingColumn(column: DeclaredColumn): ReadColumn {
  const value = constantSql(column.ifMissing ?? null, column.type)
  return { ...column, raw: value, shown: value, value, cast: null, bad: null, outside: null }
}

/** A column that objects give as a whole, by `_part`. */
function factColumn(column: DeclaredColumn, facts: readonly ReadonlyMap<string, Fact>[]): ReadColumn {
  const texts = facts.map(own => {
    const fact = own.get(column.name) ?? null
    if (fact !== null && typeof fact === 'object') throw new Error(`unreachable: ${fact.missing}`)
    return fact
  })
  const [first = null] = texts
  const value = texts.every(one => one === first)
    ? constantSql(first, column.type)
    : `([${texts.map(one => constantSql(one, column.type)).join(', ')}])[_part + 1]`
  return { ...column, raw: value, shown: value, value, cast: null, bad: null, outside: null }
}

function readColumn(
  column: DeclaredColumn,
  typed: string,
  format: Format,
  physical: string,
  isKept: boolean,
): ReadColumn | { readonly impossible: string } {
  const { name, type } = column
  const raw = id(name)
  const from = canonical(physical)
  const [shown, outside] = [shownSql(raw, from), outsideOf(raw, from)]
  const cast = checkedCast(raw, physical, type, format.types ? 'typed' : 'text')
  if ('impossible' in cast) {
    if (!isKept) return { impossible: `${columnText(column)}: ${cast.impossible}` }
    return { ...column, raw, shown, value: constantSql(null, type), cast: null, bad: `(${raw} IS NOT NULL)`, outside }
  }
  const value = cast.value === raw ? raw : typed
  const bad = [...(cast.misfit === null ? [] : [cast.misfit(value)]), ...(type.nullable ? [] : [`${raw} IS NULL`])]
  const misfit = bad.length === 0 ? null : `(${bad.join(' OR ')})`
  return {
    ...column,
    raw,
    shown,
    value,
    cast: value === raw ? null : cast.value,
    bad: misfit,
    outside,
  }
}

/** Columns for messages, a struct by its fields; cut to a length that can be read. */
function columnList(own: readonly OwnColumn[]): string {
  const list = leavesOf(own)
    .map(({ name }) => name)
    .join(', ')
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

/** The times that may move the high mark (S3), from the first on and before the second; undefined for all. */
function markBounds(
  settings: SourceSettings,
  version: ObjectVersion,
  period: ReturnType<typeof keyPeriod> | undefined,
): { readonly fromUs: bigint | null; readonly toUs: bigint | null } | undefined {
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
  const fault = (predicate: string, column: string, expected: string, found: string) =>
    `CASE WHEN ${predicate} THEN {'column': ${text(column)}, 'expected': ${expected}, 'found': left(${found}, 1000)} END`
  const time = columns.find(({ name }) => name === settings.time) as ReadColumn
  const faults = [
    fault('_broken', '', format.rowIsSql ?? text(format.rowIs), brokenSql),
    ...columns.flatMap(({ name, type, shown, bad: misfit }) =>
      misfit === null
        ? []
        : [fault(`NOT _broken AND ${misfit}`, name, text(`${type.sql}${type.nullable ? '' : ' NOT NULL'}`), shown)],
    ),
    fault(
      `NOT ${bad} AND ${timeless}`,
      time.name,
      text('an event time, neither NULL nor infinite nor more than 146,000 years from 1970'),
      time.shown,
    ),
  ]
  // One look at the rows, however many columns there are.
  return (
    `SELECT CAST(${seq ?? 'NULL'} AS BIGINT) AS _seq, _row, ${text(version.key)} AS object, ${text(version.eTag)} AS e_tag, ` +
    `_fault."column" AS "column", _fault.expected AS expected, _fault.found AS found ` +
    `FROM (SELECT _row, unnest([${faults.join(', ')}]) AS _fault FROM (${scan}) WHERE ${bad} OR ${timeless}) WHERE _fault IS NOT NULL`
  )
}

/** SQL of a value as text, also of one that means nothing in its type: numpy's NaT in a TIMESTAMP. */
function shownSql(raw: string, physical: string): string {
  const sound = withoutOutside(raw, physical)
  return `coalesce(TRY(CAST(${sound} AS VARCHAR)), CASE WHEN ${raw} IS NOT NULL THEN 'a number that means none' END)`
}

function badRow(settings: SourceSettings, version: ObjectVersion, count: number, first: string): MillraceError {
  return new MillraceError(
    'fatal',
    'bad-row',
    `source ${settings.name}: object '${version.key}', ${first}. ${count} such row${count === 1 ? '' : 's'} in this object; nothing of it was counted. ` +
      "Correct the object, declare another type, or set onBadRow: 'quarantine' to set such rows aside.",
  )
}
