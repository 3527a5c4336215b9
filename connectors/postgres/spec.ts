import { type Duration, parseDurationUs } from '../../src/core/duration.ts'
import { configError, MillraceError } from '../../src/core/errors.ts'
import { duration, either, flag, list, nested, oneOf, text } from '../../src/core/option-kinds.ts'
import { type OptionTable, readCall } from '../../src/core/options.ts'
import type { Sink } from '../../src/plan/sink.ts'
import { addressOf, type PostgresPlace, type PostgresTls, readPlace } from './place.ts'

/** Certificates and keys as PEM text. */
export interface PostgresTlsOptions {
  readonly ca?: string
  readonly cert?: string
  readonly key?: string
  readonly servername?: string
}

export interface PostgresOptions<K extends string = string> {
  /**
   * 'postgres://user:password@host:5432/database', from the environment: `process.env.PG`. It is never shown or kept;
   * plans and checkpoints have host, port and database. Without a password PGPASSWORD and ~/.pgpass are asked.
   * `?sslmode=require` asks for TLS with a certificate that is verified, `?options=-csearch_path%3Dreports` for
   * settings of the session.
   */
  readonly url: string | undefined
  /** The table, made where it is missing. Its name is taken as it is, capitals too. */
  readonly table: string
  /** Default: the first of the session's `search_path` that exists. */
  readonly schema?: string
  /**
   * Columns that tell rows apart: a later row takes the place of an earlier one. With `emit: 'update'` those that tell
   * results apart. Default: every row is added.
   */
  readonly key?: readonly K[]
  /** `true` for a certificate that this machine trusts. Default: as `sslmode` of `url` says, else none. */
  readonly tls?: boolean | PostgresTlsOptions
  /** What is done where the table lacks columns of the flow. Default 'refuse'. */
  readonly missingColumns?: 'refuse' | 'add'
  /** How long one statement may take, such as the COPY of an epoch, until it is tried again. Default 10 minutes. */
  readonly statementTimeout?: Duration
}

/** How the database is reached, which may change from run to run. */
export interface PostgresAccess {
  readonly place: PostgresPlace
  readonly tls: PostgresTls
  readonly missingColumns: 'refuse' | 'add'
  readonly statementTimeoutMs: number
}

/** What `postgres()` gives, whatever it asks of the columns. */
export interface PostgresSink extends Omit<Sink, 'takes'> {
  readonly sink: 'postgres'
  readonly table: string
  readonly schema?: string
  readonly key?: readonly string[]
  /** Holds the password. */
  readonly access: () => PostgresAccess
}

const pem = text('PEM text, not the name of a file', value => value.trim() !== '', 'PEM')
const identifier = text(
  'a name of at most 63 bytes, without a schema and without quotes',
  value => value !== '' && Buffer.byteLength(value) <= 63 && !/[\0".]/.test(value),
  'NAME',
)

export const postgresOptions = {
  url: {
    kind: text("an address such as 'postgres://user@host:5432/database'; is its variable set?"),
    isRequired: true,
    isSecret: true,
    about: 'The database, and who comes to it.',
  },
  table: { kind: identifier, isRequired: true, about: 'The table, made where it is missing.' },
  schema: {
    kind: identifier,
    otherwise: "the first of the session's search_path that exists",
    about: 'Where the table lies.',
  },
  key: {
    kind: list(text('the name of a column', undefined, 'COLUMN'), "a list of columns such as ['window_start', 'zone']"),
    otherwise: 'every row is added',
    about: 'Columns that tell rows apart: a later row takes the place of an earlier one.',
  },
  tls: {
    kind: either(
      flag,
      nested<PostgresTlsOptions>({
        ca: { kind: pem, about: 'The certificates that the server is trusted by.' },
        cert: { kind: pem, about: "This client's certificate." },
        key: { kind: pem, isSecret: true, about: "The certificate's private key." },
        servername: { kind: text(), about: "The name that the server's certificate must hold." },
      }),
    ),
    otherwise: 'as sslmode of url says, else none',
    about: 'Whether the connection is encrypted; true for a certificate that this machine trusts.',
  },
  missingColumns: {
    kind: oneOf('refuse', 'add'),
    default: 'refuse',
    about: 'What is done where the table lacks columns of the flow.',
  },
  statementTimeout: {
    kind: duration('a duration from 1s to 1 day', us => us >= 1_000_000n && us <= 86_400_000_000n),
    default: '10 minutes',
    about: 'How long one statement may take before the epoch is tried again.',
  },
} satisfies OptionTable<PostgresOptions>

/**
 * A sink of rows in a table of PostgreSQL, each there once: the rows of an epoch and its number are committed in one
 * transaction. The table belongs to one flow of one checkpoint.
 *
 *     to(postgres({ url: process.env.PG, table: 'revenue', key: ['window_start', 'zone'] }), { emit: 'update' })
 *
 * It needs the packages `pg` and `pg-copy-streams`.
 *
 * @throws MillraceError `user` that names the field and what was expected; the address is never shown.
 */
export function postgres<const K extends string = never>(
  options: PostgresOptions<K>,
): PostgresSink & Sink<{ readonly [name in K]: unknown }> {
  const read = readCall('postgres', postgresOptions, [], options)
  const { url, table, schema, key, missingColumns } = read
  const place = placeIn(url, 'postgres: url')
  if (key && new Set(key).size < key.length) throw configError('postgres: key', key, 'each column once')
  const access: PostgresAccess = {
    place,
    tls: tlsOf(read.tls, place),
    missingColumns,
    statementTimeoutMs: Number((parseDurationUs(read.statementTimeout) as bigint) / 1000n),
  }
  return {
    sink: 'postgres',
    uri: addressOf(place),
    table,
    ...(schema !== undefined && { schema }),
    ...(key && { key: [...key] }),
    access: () => access,
  }
}

/** The same table in another database. */
export function movedTo(sink: PostgresSink, uri: string, field: string): PostgresSink {
  const place = placeIn(uri, field)
  const { tls, ...access } = sink.access()
  return {
    ...sink,
    uri: addressOf(place),
    access: () => ({ ...access, place, tls: place.tls === undefined ? tls : tlsOf(place.tls, place) }),
  }
}

/** The same table by the login of the environment, as libpq has it: PGUSER, PGPASSWORD, ~/.pgpass and PGSSLMODE. */
export function byEnvironment({ uri, table, schema, key }: PostgresSink, env = process.env): PostgresSink {
  // Its port tells of the table: 'postgres://host:5432/database/public.today'.
  const database = uri.replace(/[/][^/]*$/, '')
  const url = env.PGSSLMODE === undefined ? database : `${database}?sslmode=${encodeURIComponent(env.PGSSLMODE)}`
  return postgres({ url, table, ...(schema !== undefined && { schema }), ...(key && { key }) })
}

function placeIn(url: string, field: string): PostgresPlace {
  const place = readPlace(url)
  if (typeof place !== 'string') return place
  // The address may hold a password wherever it is wrong, so nothing of it is shown.
  throw new MillraceError('user', 'configuration', `${field}: the address is not valid; expected ${place}.`)
}

function tlsOf(asked: PostgresOptions['tls'], { tls: byMode = false }: PostgresPlace): PostgresTls {
  const tls = asked ?? byMode
  return tls === true ? {} : tls
}
