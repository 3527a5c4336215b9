import { MillraceError } from '../../src/core/errors.ts'
import type { Transaction } from './database.ts'
import type { Column } from './rows.ts'
import { columnType, isHeldBy } from './types.ts'

/** What the catalog tells of a table. */
export interface FoundTable {
  readonly columns: readonly FoundColumn[]
  /** Why its rows cannot be trusted to stay or be written: 'a view'. */
  readonly unfit?: string
  /** The columns of each unique index that can find the row of a key. */
  readonly keys: readonly FoundKey[]
}

export interface FoundColumn {
  readonly name: string
  /** As `format_type` writes it. */
  readonly type: string
  readonly isNotNull: boolean
  /** The database gives it a value where none is given. */
  readonly hasOwnValue: boolean
  readonly isGenerated: boolean
}

export interface FoundKey {
  readonly columns: readonly string[]
  /** NULL equals NULL. */
  readonly nullsAreOne: boolean
}

/** What is asked of a table. */
export interface WantedTable {
  readonly schema: string
  readonly table: string
  readonly columns: readonly Column[]
  readonly key: readonly string[] | undefined
  readonly missingColumns: 'refuse' | 'add'
  /** Names it in errors. */
  readonly address: string
}

/** A name in SQL. */
export function quoted(name: string): string {
  return `"${name.replaceAll('"', '""')}"`
}

export function tableName({ schema, table }: Pick<WantedTable, 'schema' | 'table'>): string {
  return `${quoted(schema)}.${quoted(table)}`
}

/** Undefined where there is none of that name. */
export async function findTable(
  transaction: Transaction,
  { schema, table }: Pick<WantedTable, 'schema' | 'table'>,
): Promise<FoundTable | undefined> {
  const [found] = await transaction.rows(
    `SELECT c.oid, c.relkind, c.relpersistence FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE n.nspname = $1 AND c.relname = $2`,
    [schema, table],
  )
  if (!found) return undefined
  const columns = await transaction.rows(
    `SELECT attname, format_type(atttypid, atttypmod) AS type, attnotnull, attgenerated <> '' AS generated,
       atthasdef OR attidentity <> '' AS own, attidentity = 'a' AS always
     FROM pg_attribute WHERE attrelid = $1 AND attnum > 0 AND NOT attisdropped ORDER BY attnum`,
    [found.oid],
  )
  const unfit = unfitBy(String(found.relkind), String(found.relpersistence))
  return {
    columns: columns.map(({ attname, type, attnotnull, generated, own, always }) => ({
      name: String(attname),
      type: String(type),
      isNotNull: attnotnull === true,
      hasOwnValue: own === true,
      isGenerated: generated === true || always === true,
    })),
    keys: await findKeys(transaction, found.oid),
    ...(unfit !== undefined && { unfit }),
  }
}

async function findKeys(transaction: Transaction, oid: unknown): Promise<readonly FoundKey[]> {
  // Before version 15 no index has the field.
  const keys = await transaction.rows(
    `SELECT (SELECT array_agg(a.attname::text) FROM pg_attribute a
         WHERE a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey[0:i.indnkeyatts - 1])) AS columns,
       coalesce((to_jsonb(i) ->> 'indnullsnotdistinct')::boolean, false) AS one
     FROM pg_index i WHERE i.indrelid = $1 AND i.indisunique AND i.indisvalid AND i.indimmediate
       AND i.indpred IS NULL AND i.indexprs IS NULL`,
    [oid],
  )
  return keys.map(({ columns, one }) => ({ columns: (columns as string[] | null) ?? [], nullsAreOne: one === true }))
}

const kinds: Readonly<Record<string, string>> = {
  v: 'a view',
  m: 'a materialized view',
  f: 'a foreign table',
  S: 'a sequence',
  i: 'an index',
  I: 'an index',
  c: 'a type',
  t: 'a table of TOAST',
}

function unfitBy(kind: string, persistence: string): string | undefined {
  if (!['r', 'p'].includes(kind)) return kinds[kind] ?? `of the kind '${kind}'`
  if (persistence === 'u') return 'unlogged: PostgreSQL empties it after a crash'
  return persistence === 't' ? 'a temporary table' : undefined
}

/**
 * Statements that make the table fit.
 *
 * @throws MillraceError `user` that names the column or key which does not fit, and what to change
 */
export function fittingSql(
  wanted: WantedTable,
  found: FoundTable | undefined,
  versionNumber: number,
): readonly string[] {
  if (!found) return [createSql(wanted, versionNumber)]
  if (found.unfit !== undefined) throw misfit(wanted, `it is ${found.unfit}; expected a table.`)
  const columns = new Map(found.columns.map(column => [column.name, column]))
  const missing = wanted.columns.filter(({ name }) => !columns.has(name))
  if (missing.length > 0 && wanted.missingColumns === 'refuse')
    throw misfit(
      wanted,
      `it lacks ${missing.map(({ name, type }) => `${quoted(name)} ${columnType(type)}`).join(', ')}. ` +
        "Add them, or let millrace do so by missingColumns: 'add'.",
    )
  for (const column of wanted.columns) {
    const there = columns.get(column.name)
    if (there) checkColumn(wanted, column, there)
  }
  const names = new Set(wanted.columns.map(({ name }) => name))
  const unfilled = found.columns.filter(
    ({ name, isNotNull, hasOwnValue, isGenerated }) => isNotNull && !hasOwnValue && !isGenerated && !names.has(name),
  )
  if (unfilled.length > 0)
    throw misfit(
      wanted,
      `its column ${quoted(unfilled[0]?.name as string)} is NOT NULL without a default, and the flow has no such ` +
        'column. Give it a default.',
    )
  checkKey(wanted, found)
  return missing.map(
    ({ name, type }) => `ALTER TABLE ${tableName(wanted)} ADD COLUMN ${quoted(name)} ${columnType(type)}`,
  )
}

function checkColumn(wanted: WantedTable, { name, type }: Column, found: FoundColumn): void {
  const which = `its column ${quoted(name)} is`
  if (found.isGenerated) throw misfit(wanted, `${which} generated by PostgreSQL, and the flow has values for it.`)
  if (!isHeldBy(type, found.type))
    throw misfit(wanted, `${which} ${found.type}, which does not hold every ${type.sql}; expected ${columnType(type)}.`)
  if (found.isNotNull && type.nullable)
    throw misfit(
      wanted,
      `${which} NOT NULL, and that of the flow may be NULL. Drop NOT NULL, or derive it as ${type.sql} NOT NULL.`,
    )
}

function checkKey(wanted: WantedTable, { keys, columns }: FoundTable): void {
  const { key } = wanted
  if (!key) return
  const isSame = (found: FoundKey) =>
    found.columns.length === key.length && key.every(name => found.columns.includes(name))
  const same = keys.filter(isSame)
  const isNotNull = (name: string) => columns.find(column => column.name === name)?.isNotNull === true
  const nullable = key.filter(name => !isNotNull(name) && mayBeNull(wanted, name))
  if (same.some(({ nullsAreOne }) => nullsAreOne || nullable.length === 0)) return
  const nulls = nullable.length > 0 ? 'NULLS NOT DISTINCT ' : ''
  const names = key.map(quoted).join(', ')
  throw misfit(
    wanted,
    (same.length > 0
      ? `its unique index takes two NULLs for two keys, and ${nullable.map(quoted).join(', ')} may be NULL.`
      : `it has no unique index of just the key (${names}).`) +
      ` Make one: ALTER TABLE ${tableName(wanted)} ADD UNIQUE ${nulls}(${names})`,
  )
}

function mayBeNull({ columns }: WantedTable, name: string): boolean {
  return columns.find(column => column.name === name)?.type.nullable === true
}

function createSql(wanted: WantedTable, versionNumber: number): string {
  const { columns, key } = wanted
  const items = columns.map(
    ({ name, type }) => `${quoted(name)} ${columnType(type)}${type.nullable ? '' : ' NOT NULL'}`,
  )
  if (key) {
    const names = key.map(quoted).join(', ')
    const nullable = key.filter(name => mayBeNull(wanted, name))
    if (nullable.length > 0 && versionNumber < 150_000)
      throw misfit(
        wanted,
        `${nullable.map(quoted).join(', ')} of its key may be NULL, which PostgreSQL 15 and later can tell apart. ` +
          'Derive it NOT NULL.',
      )
    items.push(nullable.length > 0 ? `UNIQUE NULLS NOT DISTINCT (${names})` : `PRIMARY KEY (${names})`)
  }
  return `CREATE TABLE ${tableName(wanted)} (${items.join(', ')})`
}

function misfit({ address }: WantedTable, what: string): MillraceError {
  return new MillraceError('user', 'output-unfit', `${address} does not fit: ${what}`)
}
