import type { DeclaredColumn } from '../../plan/declared-column.ts'
import type { OwnColumn } from '../../plan/find-column.ts'
import type { KeyPeriod } from '../../plan/key-period.ts'
import type { ObjectFacts } from '../../plan/object-facts.ts'
import type { SourceSettings } from '../../plan/source-settings.ts'
import { id, text } from '../../plan/sql.ts'
import { bindColumns, type BoundColumns } from './bind-columns.ts'
import { rowsLookedAt, undeclaredColumns } from './columns-seen.ts'
import { goodRowsOfOne, goodRowsOfParts, typedItems, type TypedRows } from './good-rows.ts'
import { createGroupTables, type GroupTables } from './group-tables.ts'
import {
  badObject,
  type FetchContext,
  goneBecause,
  goneObject,
  type MarkedObject,
  type RowSource,
  type StampedPart,
} from './marked-object.ts'
import { asideOf, countParts, type PartCounts, type SoughtColumn, tellSeen } from './part-counts.ts'
import { type ReadColumn, typedName } from './read-column.ts'
import { isKeptSql } from './rescue.ts'
import { isGoodFlagged, type RowTests, rowTests } from './row-tests.ts'
import { type Aside, badRowError, brokenText, setAsideSql } from './set-aside.ts'
import type { DoubtfulObject, SpooledVersion } from './spooled-version.ts'
import { type Verdict, verdictOf } from './verdict.ts'

export interface MarkContext extends FetchContext {
  readonly declared: readonly DeclaredColumn[]
  /** Those of them that lie in rows. */
  readonly rowColumns: readonly DeclaredColumn[]
  /** What an object gives for columns that its rows do not have, which fits them. */
  readonly factsOf: ObjectFacts
  /** Of keys, where they bound the high mark. */
  readonly period: KeyPeriod | undefined
}

/** Objects of one shape, bound: how they are read as a query, and how their columns are. */
interface Bound {
  readonly objects: readonly SpooledVersion[]
  /** What reads all of them into a table; null where the file itself is scanned, which is alone then. */
  readonly read: string | null
  readonly columns: BoundColumns
  readonly tests: RowTests
  /** SQL of the table of typed rows: over `read` or, where all is proven, `readProven`. Null where `read` is. */
  readonly typed: string | null
}

/** SQL of a group's rows. */
interface Rows {
  /** As read, and what is wrong with them can be asked. Of several objects only once `raw` is there. */
  readonly scan: string
  /** What good rows are taken of. */
  readonly kept: string
  /** With the flags of `row-tests.ts`. */
  readonly flagged: string
}

/** Objects whose rows are counted: all that is known before one of them is judged. */
interface Group extends Bound {
  readonly context: MarkContext
  readonly tables: GroupTables
  readonly rows: Rows
  readonly sought: readonly SoughtColumn[]
  /** By object, as `undeclared`. */
  readonly counts: readonly PartCounts[]
  readonly undeclared: readonly (readonly string[])[]
}

/**
 * Checks every value of these objects and takes their high marks, in one pass for all of them: a statement costs some
 * milliseconds, and a small object's own share is far below. Objects of a format that reads rows into a table are typed
 * there once; of other formats there is one at a time.
 *
 * @param objects of one shape: with the same `columns`
 * @param table a name that nothing else uses
 */
export async function markObjects(
  context: MarkContext,
  objects: readonly SpooledVersion[],
  table: string,
): Promise<readonly (MarkedObject | DoubtfulObject)[]> {
  const tables = createGroupTables(context, table, objects)
  try {
    const bound = await bindGroup(context, objects)
    if ('impossible' in bound) {
      for (const object of objects) await tables.release(object)
      return objects.map(({ version }) => badObject(context, version, bound.impossible))
    }
    const group = await countGroup(context, bound, tables)
    const shared = bound.read === null ? undefined : goodRowsInTable(group)
    const marked: (MarkedObject | DoubtfulObject)[] = []
    for (const part of objects.keys()) {
      const isBehind = marked.some(({ is }) => is === 'doubtful')
      marked.push(await markPart(group, part, isBehind, shared))
    }
    return marked
  } catch (error) {
    await tables.drop()
    throw error
  }
}

async function bindGroup(
  context: MarkContext,
  objects: readonly SpooledVersion[],
): Promise<Bound | { readonly impossible: string }> {
  const { format, settings, declared, rowColumns, factsOf } = context
  const names = rowColumns.map(({ from }) => from)
  const [{ file, columns: own = names.map((name): OwnColumn => ({ name })) }] = objects as readonly [SpooledVersion]
  const files = objects.map(object => object.file)
  const read = format.read(files, own, names)
  const facts = objects.map(({ version }) => factsOf(version))
  const columns = await bindColumns(context, file, declared, own, facts)
  if ('impossible' in columns) return columns
  const tests = rowTests(columns.good, settings)
  const bound = { objects, read, columns, tests }
  if (read === null) return { ...bound, typed: null }
  const isProven = format.readProven !== undefined && objects.every(object => object.provenFields)
  if (!isProven) {
    const unnumbered = columns.scan(`(SELECT CAST(NULL AS BIGINT) AS _row, * FROM (${read}))`)
    return { ...bound, typed: typedSql(columns.good, tests, unnumbered) }
  }
  const proven = await bindColumns(context, file, declared, own, facts, true)
  if ('impossible' in proven) return proven
  const rows = proven.scan(`SELECT *, FALSE AS _broken FROM (${format.readProven?.(files, rowColumns)})`)
  return { ...bound, typed: typedSql(proven.good, rowTests(proven.good, settings), rows) }
}

/** A table of values by declared type, and what is wrong with rows. */
function typedSql(columns: readonly ReadColumn[], { flags }: RowTests, rows: string): string {
  return `SELECT _part, ${flags}, ${valuesSql(columns)} FROM (${rows})`
}

async function countGroup(context: MarkContext, bound: Bound, tables: GroupTables): Promise<Group> {
  const { objects, read, columns, tests } = bound
  const { settings, neverSeen, period } = context
  const [{ file }] = objects as readonly [SpooledVersion]
  const rows = bound.typed === null ? rowsInFile(file, columns, tests) : await rowsInTable(tables, bound.typed, columns)
  const sought = columns.good.flatMap(({ name }, index) =>
    read !== null && neverSeen?.asked.includes(name)
      ? [{ name, isSeen: seenSql(settings, name, index, columns.good) }]
      : [],
  )
  const versions = objects.map(({ version }) => version)
  const counts = await countParts(context, versions, rows.flagged, period, sought)
  tellSeen(neverSeen, counts)
  const undeclared = await undeclaredOf(context, bound)
  if (read !== null && counts.some(own => asideOf(own) > 0)) await tables.create(tables.raw, read)
  return { ...bound, context, tables, rows, sought, counts, undeclared }
}

function rowsInFile(file: string, { scan }: BoundColumns, { flags }: RowTests): Rows {
  const kept = `(${scan(file)})`
  return { scan: scan(file), kept, flagged: `(SELECT _part, _row, ${flags} FROM ${kept})` }
}

/** Rows are typed as they are read, and numbered by the table that takes them. */
async function rowsInTable({ create, raw, typed }: GroupTables, sql: string, { scan }: BoundColumns): Promise<Rows> {
  await create(typed, sql)
  const kept = `(SELECT rowid AS _row, * FROM ${id(typed)})`
  // As read they are wanted once more where some of them are bad.
  return { scan: scan(`(SELECT rowid AS _row, * FROM ${id(raw)})`), kept, flagged: kept }
}

/** What a table of values by declared type is made of. */
function valuesSql(columns: readonly ReadColumn[]): string {
  return columns.map(({ value }, index) => `${value} AS ${typedName(index)}`).join(', ')
}

async function markPart(
  group: Group,
  part: number,
  isBehind: boolean,
  shared: RowSource | undefined,
): Promise<MarkedObject | DoubtfulObject> {
  const { context, tables, columns, tests } = group
  const object = group.objects[part] as SpooledVersion
  const own = group.counts[part] as PartCounts
  const { version } = object
  const rows = rowsOfPart(group, part)
  const verdict = await judge(context, object, own.bad, rows, isBehind)
  if (verdict === 'written-to') {
    await tables.release(object)
    return goneObject(context, version, goneBecause.writtenTo)
  }
  if (verdict === 'doubtful') {
    if (context.neverSeen) context.neverSeen.rows -= own.rows
    await tables.leave(object)
    return { is: 'doubtful', again: object.again as DoubtfulObject['again'] }
  }
  const brokenSql = own.bad > 0 ? await brokenText(context, object.file, rows) : 'NULL'
  const aside: Aside = { context, version, rows, columns: columns.good, tests, brokenSql }
  if (verdict === 'fail') throw await badRowError(aside, own.bad)
  if (asideOf(own) > 0) await seekInBadRows(context, rows, columns.good)
  return readObject(group, part, aside, shared ?? (await goodRowsInFile(group, own)))
}

/** Asks for the facts, each only where it may decide something, and lets them decide. */
async function judge(
  context: MarkContext,
  { again, isChanged }: SpooledVersion,
  bad: number,
  rows: string,
  isBehind: boolean,
): Promise<Verdict> {
  const isWrittenTo = bad > 0 && ((await isChanged?.()) ?? false)
  const isQuick = again !== undefined
  const hasBroken = bad > 0 && isQuick && !isWrittenTo && !isBehind && (await hasRow(context, rows, '_broken'))
  return verdictOf({ bad, isWrittenTo, isQuick, hasBroken, isBehind }, context.policies)
}

/** An object whose good rows count. */
function readObject(group: Group, part: number, aside: Aside, source: RowSource): MarkedObject {
  const { context, tables, read, rows, columns, sought, undeclared } = group
  const object = group.objects[part] as SpooledVersion
  const own = group.counts[part] as PartCounts
  const { isChanged } = object
  return {
    is: 'object',
    source: context.settings.name,
    version: object.version,
    outcome: 'read',
    reason: null,
    rows: own.rows,
    quarantinedRows: asideOf(own),
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
    ...(asideOf(own) > 0 ? { setAside: (seq: number) => setAsideSql(aside, seq) } : {}),
    // What lies in a table was read whole.
    ...(read === null ? { probe: () => probe(context, rows.scan, columns.good) } : {}),
    ...(isChanged ? { isChanged } : {}),
    release: () => tables.release(object),
  }
}

/** Where the good rows of all objects of a table are. */
function goodRowsInTable({ objects, rows, columns, counts }: Group): RowSource {
  const firstRows = counts.map(({ firstRow }) => firstRow)
  return {
    scan(stamped) {
      const hasAside = stamped.some(({ part }) => asideOf(counts[part] as PartCounts) > 0)
      const typed: TypedRows = {
        from: rows.kept,
        items: typedItems(columns.good),
        isGood: hasAside ? isGoodFlagged : null,
      }
      const [only] = stamped
      return only && objects.length === 1 ? goodRowsOfOne(typed, only) : goodRowsOfParts(typed, firstRows, stamped)
    },
  }
}

/**
 * Where the good rows of a file are. DuckDB may compute a function for the values of rows that were left out, too: what
 * means nothing in its type would raise there. Only the good rows go on then, in a table of their own.
 */
async function goodRowsInFile(group: Group, own: PartCounts): Promise<RowSource> {
  const { context, tables, rows, columns, tests } = group
  const { good } = columns
  const mayHave = asideOf(own) > 0 || context.settings.rescue !== undefined
  if (mayHave && (await hasOutside(context, rows.scan, good))) {
    await tables.create(tables.typed, `SELECT _row, ${valuesSql(good)} FROM (${rows.scan}) WHERE ${tests.isGood}`)
    const typed: TypedRows = { from: id(tables.typed), items: typedItems(good), isGood: null }
    return { scan: ([only]) => goodRowsOfOne(typed, only as StampedPart) }
  }
  const scanned: TypedRows = {
    from: rows.kept,
    items: good.map(({ name, value }) => `${value} AS ${id(name)}`),
    isGood: asideOf(own) > 0 ? tests.isGood : null,
  }
  return { scan: ([only]) => goodRowsOfOne(scanned, only as StampedPart) }
}

/** An object's rows as read, numbered as in the object. */
function rowsOfPart({ objects, read, rows, tables }: Group, part: number): string {
  return objects.length > 1 && read !== null ? partSql(rows.scan, part, tables.raw) : rows.scan
}

/** SQL over typed rows: whether a column has a value. One that was rescued is one all the same. */
function seenSql({ rescue }: SourceSettings, name: string, index: number, good: readonly ReadColumn[]): string {
  const isTyped = `${typedName(index)} IS NOT NULL`
  return rescue === undefined ? isTyped : `(${isTyped} OR ${isKeptSql(typedName(good.length - 1), name)})`
}

/** The columns that nobody declared, for each object. */
async function undeclaredOf(
  { executor, format, neverSeen, rowColumns, signal }: MarkContext,
  { objects, read }: Bound,
): Promise<readonly (readonly string[])[]> {
  const own = objects[0]?.columns
  if (own !== undefined) {
    const names = undeclaredColumns(own, rowColumns)
    return objects.map(() => names)
  }
  if (!format.fields || read === null || !neverSeen) return []
  const proven = objects.flatMap(({ provenFields }) => (provenFields ? [provenFields] : []))
  if (proven.length === objects.length) {
    const known = new Set(rowColumns.map(({ from }) => from))
    return proven.map(fields => fields.filter(name => !known.has(name)).toSorted())
  }
  const names: string[][] = objects.map(() => [])
  const known = rowColumns.map(({ from }) => text(from))
  const found = await executor.rows(
    `SELECT _part, name FROM (${format.fields(`${read} LIMIT ${rowsLookedAt}`)})` +
      `${known.length === 0 ? '' : ` WHERE name NOT IN (${known.join(', ')})`} GROUP BY ALL ORDER BY ALL`,
    signal,
  )
  for (const { _part, name } of found) names[Number(_part)]?.push(String(name))
  return names
}

/** Whether a value means nothing in the type that it was read as. */
async function hasOutside(context: FetchContext, rows: string, columns: readonly ReadColumn[]): Promise<boolean> {
  const some = columns.flatMap(({ outside }) => outside ?? [])
  if (some.length === 0) return false
  return hasRow(context, rows, some.join(' OR '))
}

async function hasRow({ executor, signal }: FetchContext, rows: string, predicate: string): Promise<boolean> {
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
 * The rows of one of several objects as read, numbered as in the object: by its own first row in this table, as an
 * object before it, a hard link, may have grown since the others were counted.
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
