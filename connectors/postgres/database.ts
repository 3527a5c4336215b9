import { createReadStream, createWriteStream } from 'node:fs'
import type { Readable, Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { createZstdDecompress } from 'node:zlib'
import { MillraceError } from '../../src/core/errors.ts'
import { databaseError } from './errors.ts'
import { addressOf } from './place.ts'
import type { PostgresAccess } from './spec.ts'

export type PostgresRow = Readonly<Record<string, unknown>>

/** What one transaction can do. */
export interface Transaction {
  rows(sql: string, values?: readonly unknown[]): Promise<readonly PostgresRow[]>
  /** Several statements without values. */
  run(sql: string): Promise<void>
  /** Sends a file of CSV, compressed by zstd, to `COPY ... FROM STDIN`. */
  copy(sql: string, file: string): Promise<void>
  /** Brings what `COPY ... TO STDOUT` gives into a new file. */
  copyOut(sql: string, file: string): Promise<void>
}

export interface Database {
  /**
   * One transaction, on a connection that lives as long as it: so there is at most one for a sink, none while nothing
   * is published, and none to find broken. An error, or the end of this process, leaves nothing behind: the server
   * rolls back what has lost its connection.
   *
   * @throws MillraceError kind `retry` where the database is away; then it may have been committed
   */
  transaction<T>(work: (transaction: Transaction) => Promise<T>, signal?: AbortSignal): Promise<T>
}

/** One call to the database: for tests that break some. */
export type Around = <T>(call: () => Promise<T>) => Promise<T>

/** As much of a `Client` of `pg` as is used. */
interface Client {
  connect(): Promise<unknown>
  query(sql: string, values?: readonly unknown[]): Promise<{ readonly rows: readonly PostgresRow[] }>
  query(copy: Writable): Writable
  query(copy: Readable): Readable
  end(): Promise<void>
  on(event: 'error', listener: () => void): unknown
  readonly connection: { readonly stream: { destroy(): unknown } }
}

interface Packages {
  readonly Client: new (options: object) => Client
  readonly copyFrom: (sql: string) => Writable
  readonly copyTo: (sql: string) => Readable
}

const connectMs = 10_000
/** So long another session may hold what a statement needs. */
const lockMs = 60_000
/** So long the server waits for a process that has begun a transaction, and is stopped or cut off. */
const idleMs = 60_000

/** @throws MillraceError `user` where the packages are not installed */
export async function openDatabase(access: PostgresAccess, around: Around = call => call()): Promise<Database> {
  const packages = await loadPackages()
  const address = addressOf(access.place)
  const ask: Around = call =>
    around(async () => {
      try {
        return await call()
      } catch (error) {
        throw databaseError(error, address)
      }
    })
  return {
    async transaction(work, signal) {
      const client = createClient(packages, access)
      // A call that waits tells the same error.
      client.on('error', () => {})
      const breakOff = () => client.connection.stream.destroy()
      // A peer that is gone without a word would be waited for by the kernel for a quarter of an hour.
      const limits = [AbortSignal.timeout(connectMs + 2 * access.statementTimeoutMs), ...(signal ? [signal] : [])]
      const limit = AbortSignal.any(limits)
      limit.addEventListener('abort', breakOff, { once: true })
      try {
        limit.throwIfAborted()
        await ask(() => client.connect())
        await ask(() => client.query(beginSql(access)))
        const result = await work(transactionOn(client, packages, ask))
        await ask(() => client.query('COMMIT'))
        await client.end()
        return result
      } catch (error) {
        breakOff()
        throw signal?.aborted ? signal.reason : error
      } finally {
        limit.removeEventListener('abort', breakOff)
      }
    },
  }
}

function transactionOn(client: Client, { copyFrom, copyTo }: Packages, ask: Around): Transaction {
  return {
    rows: (sql, values = []) => ask(async () => (await client.query(sql, values)).rows),
    run: sql => ask(async () => void (await client.query(sql))),
    copy: (sql, file) =>
      ask(() => pipeline(createReadStream(file), createZstdDecompress(), client.query(copyFrom(sql)))),
    copyOut: (sql, file) => ask(() => pipeline(client.query(copyTo(sql)), createWriteStream(file, { flags: 'wx' }))),
  }
}

function createClient({ Client }: Packages, { place, tls }: PostgresAccess): Client {
  return new Client({
    host: place.host,
    port: place.port,
    database: place.database,
    user: place.user,
    password: place.password,
    options: place.options,
    ssl: tls,
    application_name: 'millrace',
    connectionTimeoutMillis: connectMs,
    keepAlive: true,
  })
}

/** Settings of this transaction alone, so that poolers which share connections by transaction may stand between. */
function beginSql({ statementTimeoutMs }: PostgresAccess): string {
  return [
    'BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE',
    "SET LOCAL TimeZone = 'UTC'",
    "SET LOCAL DateStyle = 'ISO, YMD'",
    `SET LOCAL statement_timeout = ${statementTimeoutMs}`,
    `SET LOCAL lock_timeout = ${lockMs}`,
    `SET LOCAL idle_in_transaction_session_timeout = ${idleMs}`,
    // Committed is on the disk of the server, whatever a role or a database is set to: HEAD forgets the rows then.
    "SELECT set_config('synchronous_commit', 'on', true) WHERE current_setting('synchronous_commit') = 'off'",
  ].join('; ')
}

async function loadPackages(): Promise<Packages> {
  const names = ['pg', 'pg-copy-streams']
  try {
    // By name, so that neither is needed to compile millrace or to use it without this sink.
    const [pg, streams] = (await Promise.all(names.map(name => import(name)))) as [
      { readonly default: Pick<Packages, 'Client'> },
      { readonly from: Packages['copyFrom']; readonly to: Packages['copyTo'] },
    ]
    return { Client: pg.default.Client, copyFrom: streams.from, copyTo: streams.to }
  } catch (error) {
    throw new MillraceError(
      'user',
      'package-missing',
      `postgres(...) needs the packages ${names.join(' and ')}: npm install ${names.join(' ')}`,
      error,
    )
  }
}
