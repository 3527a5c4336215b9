import { MillraceError } from '../../src/core/errors.ts'
import type { CommittedOutput, SinkPort, SinkTable } from '../../src/core/sink-port.ts'
import type { SinkContext, SinkKind } from '../../src/plan/sink.ts'
import { checkOwner, checkTerm, type Token } from '../lake/owner.ts'
import { type Around, openDatabase, type Transaction } from './database.ts'
import { opColumn } from '../lake/keyed-rows.ts'
import { examine } from './examine.ts'
import { checkRights } from './rights.ts'
import { type Column, copyRows, isThroughTable, tableColumns } from './rows.ts'
import { byEnvironment, movedTo, postgres, postgresOptions, type PostgresSink } from './spec.ts'
import { findTable, fittingSql, quoted, tableName, type WantedTable } from './table.ts'
import { bringRows } from './table-rows.ts'
import {
  areTokensThere,
  claimantOf,
  createTokensSql,
  insertToken,
  moveToken,
  readToken,
  type TokenOwner,
} from './token.ts'

/** Rows of a table in PostgreSQL, committed with the number of their epoch. */
export const postgresKind: SinkKind<PostgresSink> = {
  kind: 'postgres',
  call: 'postgres({...})',
  options: postgresOptions,
  make: options => postgres(options as never),
  rows: copyRows,
  movedTo,
  remade: byEnvironment,
  open: async (sink, context) => ({ ...(await openPostgres(sink, context)), table: readableTable(sink, context) }),
}

/** Locks of this kind are taken by whoever makes tables: those that make one at once would meet in the catalog. */
const lockClass = 0x6d696c6c

/** A table as it is looked for in one transaction. */
interface Target extends WantedTable, TokenOwner {}

type PostgresContext = Pick<SinkContext, 'columns' | 'operation' | 'output' | 'checkpointId' | 'pipeline'>

/** @param around each call to the database, for tests that break some */
export async function openPostgres(sink: PostgresSink, context: PostgresContext, around?: Around): Promise<SinkPort> {
  const { columns: declared, pipeline } = context
  const database = await openDatabase(sink.access(), around)
  const isThrough = isThroughTable(sink, tableColumns(declared))
  return {
    address: addressIn(sink, sink.schema),
    isOrdered: true,
    check: isNewCheckpoint =>
      database.transaction(
        async transaction => void (await judge(transaction, await look(transaction, sink, context), isNewCheckpoint)),
      ),
    own: (isNewCheckpoint, term) =>
      database.transaction(async transaction =>
        own(transaction, await look(transaction, sink, context), pipeline, isNewCheckpoint, term),
      ),
    through: () =>
      database.transaction(async transaction => {
        const { target } = await look(transaction, sink, context)
        return (await readToken(transaction, target))?.epoch ?? 0
      }),
    publish: (committed, signal) =>
      database.transaction(async transaction => {
        const { target } = await look(transaction, sink, context)
        if (!(await moveToken(transaction, target, committed.term, committed.epoch))) {
          const token = await readToken(transaction, target)
          checkOwner(claimantOf(target), token, true, false)
          if (token) checkTerm(target, token, committed.term)
          return 'already'
        }
        await insertRows(transaction, target, isThrough, committed)
        return 'published'
      }, signal),
    orphans: async () => 0,
    examine: () => database.transaction(transaction => examine(transaction, sink.access(), sink.uri)),
  }
}

/** The table for whoever only reads it. */
function readableTable(sink: PostgresSink, context: SinkContext): SinkTable {
  return {
    async rows() {
      const database = await openDatabase(sink.access())
      return database.transaction(async transaction => {
        const { target } = await look(transaction, sink, context)
        await checkOwned(transaction, target)
        return bringRows(transaction, target, context)
      })
    },
    // A transaction has no number that a reader could ask for, and the database keeps none of earlier ones.
    versions: async () => new Map(),
  }
}

/** @throws MillraceError `user` where the table is another's, or gone: a reader needs SELECT and no more */
async function checkOwned(transaction: Transaction, target: Target): Promise<void> {
  const found = await findTable(transaction, target)
  const token = (await areTokensThere(transaction, target)) ? await readToken(transaction, target) : undefined
  checkOwner(claimantOf(target), token, found !== undefined, false)
}

interface Judged {
  readonly token: Token | undefined
  /** Statements that make the table fit. */
  readonly fitting: readonly string[]
  /** The table is this flow's already. */
  readonly isTaken: boolean
}

/** @throws MillraceError `user` where the table is another's, gone, unfit, or may not be written */
async function judge(
  transaction: Transaction,
  { target, versionNumber, isThrough }: Look,
  isNewCheckpoint: boolean,
  lock: '' | 'FOR UPDATE' = '',
): Promise<Judged> {
  const found = await findTable(transaction, target)
  const hasTokens = await areTokensThere(transaction, target)
  const token = hasTokens ? await readToken(transaction, target, lock) : undefined
  const isTaken = checkOwner(claimantOf(target), token, found !== undefined, isNewCheckpoint)
  const fitting = fittingSql(target, found, versionNumber)
  await checkRights(transaction, target, found, hasTokens, isThrough)
  return { token, fitting, isTaken }
}

/** Makes what is missing, and takes the table for the term: all of it or nothing. */
async function own(
  transaction: Transaction,
  look: Look,
  pipeline: string,
  isNewCheckpoint: boolean,
  term: number,
): Promise<void> {
  const { target } = look
  await transaction.rows('SELECT pg_advisory_xact_lock($1, hashtext($2))', [lockClass, target.schema])
  // Waits for what a process of a lower term has begun: afterwards that one finds the higher term.
  const { token, fitting, isTaken } = await judge(transaction, look, isNewCheckpoint, 'FOR UPDATE')
  if (token) checkTerm(target, token, term)
  for (const sql of fitting) await transaction.run(sql)
  if (isTaken) return void (await moveToken(transaction, target, term))
  await transaction.run(createTokensSql(target))
  const { checkpointId, flow } = target
  await insertToken(transaction, target, { checkpointId, pipeline, flow, term, epoch: 0 })
}

/** Sends the rows into the table, or through one of this transaction. */
async function insertRows(
  transaction: Transaction,
  target: Target,
  isThrough: boolean,
  { local }: Pick<CommittedOutput, 'local'>,
): Promise<void> {
  const { columns, key } = target
  const into = tableName(target)
  const copy = async (table: string, items: string) => {
    for (const file of local)
      await transaction.copy(`COPY ${table} (${items}) FROM STDIN (FORMAT csv, HEADER true)`, file)
  }
  if (!isThrough) return copy(into, columns.map(({ name }) => quoted(name)).join(', '))
  await throughTable(transaction, into, columns, key, items => copy(rowsTable, items))
}

/** Rows on their way into the table of a key; `_row` is their order. */
const rowsTable = 'pg_temp.millrace_rows'
const [op, row] = [opColumn, '_row'].map(quoted) as [string, string]

/** Deletes come first: a key that is gone and one that is there are two keys in an epoch. */
async function throughTable(
  transaction: Transaction,
  into: string,
  columns: readonly Column[],
  key: readonly string[] | undefined,
  copy: (items: string) => Promise<void>,
): Promise<void> {
  const names = columns.map(({ name }) => quoted(name)).join(', ')
  await transaction.run(
    `CREATE TEMP TABLE millrace_rows ON COMMIT DROP AS SELECT ''::text AS ${op}, ${names} FROM ${into} LIMIT 0; ` +
      `ALTER TABLE ${rowsTable} ADD ${row} bigint GENERATED ALWAYS AS IDENTITY`,
  )
  await copy(`${op}, ${names}`)
  if (!key) return transaction.run(`INSERT INTO ${into} (${names}) SELECT ${names} FROM ${rowsTable} ORDER BY ${row}`)
  const isSame = columns
    .filter(({ name }) => key.includes(name))
    .map(({ name, type }) => sameSql(quoted(name), type.nullable))
    .join(' AND ')
  await transaction.run(`DELETE FROM ${into} AS t USING ${rowsTable} AS r WHERE r.${op} = 'delete' AND ${isSame}`)
  const others = columns.filter(({ name }) => !key.includes(name)).map(({ name }) => quoted(name))
  const change =
    others.length === 0 ? 'NOTHING' : `UPDATE SET ${others.map(name => `${name} = excluded.${name}`).join(', ')}`
  const by = key.map(quoted).join(', ')
  await transaction.run(
    `INSERT INTO ${into} (${names}) SELECT DISTINCT ON (${by}) ${names} FROM ${rowsTable} WHERE ${op} = 'upsert' ` +
      `ORDER BY ${by}, ${row} DESC ON CONFLICT (${by}) DO ${change}`,
  )
}

/** As an index finds it, which `IS NOT DISTINCT FROM` does not. */
function sameSql(name: string, isNullable: boolean): string {
  const same = `t.${name} = r.${name}`
  return isNullable ? `(${same} OR (t.${name} IS NULL AND r.${name} IS NULL))` : same
}

interface Look {
  readonly target: Target
  /** Of the server, such as 150_018. */
  readonly versionNumber: number
  readonly isThrough: boolean
}

async function look(
  transaction: Transaction,
  sink: PostgresSink,
  { columns: declared, output: flow, checkpointId }: PostgresContext,
): Promise<Look> {
  const { schema, versionNumber } = await lookAround(transaction, sink)
  const { table, key } = sink
  const { missingColumns } = sink.access()
  const columns = tableColumns(declared)
  const address = addressIn(sink, schema)
  const target = { schema, table, columns, key, missingColumns, address, checkpointId, flow }
  return { target, versionNumber, isThrough: isThroughTable(sink, columns) }
}

const addressIn = ({ uri, table }: PostgresSink, schema: string | undefined) =>
  `${uri}/${[...(schema === undefined ? [] : [schema]), table].join('.')}`

async function lookAround(transaction: Transaction, { schema: asked, uri }: PostgresSink) {
  const [row] = await transaction.rows(
    "SELECT current_schema() AS schema, current_setting('server_encoding') AS encoding, " +
      "current_setting('server_version_num') AS version",
  )
  const fail = (what: string) => new MillraceError('user', 'configuration', `${uri}: ${what}`)
  if (row?.encoding !== 'UTF8')
    throw fail(`the database has the encoding ${String(row?.encoding)}; expected UTF8, which has every character.`)
  const schema = asked ?? row.schema
  if (typeof schema !== 'string') throw fail('no schema of the search_path exists; name one: postgres({ schema }).')
  return { schema, versionNumber: Number(row.version) }
}
