import type { ConnectionOptions } from 'node:tls'

/** A database, and who comes to it. Only `addressOf` of it is shown or kept. */
export interface PostgresPlace {
  /** A name, an IP address, or the folder of a Unix socket. */
  readonly host: string
  readonly port: number
  readonly database: string
  /** Absent: as the environment of libpq says, PGUSER and PGPASSWORD, or ~/.pgpass. */
  readonly user?: string
  readonly password?: string
  /** As `sslmode` asks for it. */
  readonly tls?: boolean
  /** Settings of the session: 'search_path' and the like. */
  readonly options?: string
}

/** As `tls.connect` takes it; false: none. */
export type PostgresTls = false | ConnectionOptions

const sslModes: Readonly<Record<string, boolean>> = {
  disable: false,
  require: true,
  'verify-ca': true,
  'verify-full': true,
}

/**
 * A `postgres://user:password@host:port/database?sslmode=require` address in its parts.
 *
 * @returns what is wrong with it, as a text that shows nothing of it
 */
export function readPlace(text: string): PostgresPlace | string {
  if (!/^postgres(ql)?:\/\//.test(text)) return "an address such as 'postgres://user@host:5432/database'"
  // WHATWG parses hosts of schemes that it knows only: %2Fvar%2Frun is kept as it is.
  if (!URL.canParse(text)) return 'an address whose special characters are percent-encoded'
  const url = new URL(text)
  const asked = Object.fromEntries(url.searchParams)
  const unknown = Object.keys(asked).find(name => !['sslmode', 'host', 'options'].includes(name))
  if (unknown !== undefined) return `no parameter '${unknown}' in the address; there are sslmode, host and options`
  const { sslmode, options } = asked
  const tls = sslmode === undefined ? undefined : sslModes[sslmode]
  if (sslmode !== undefined && tls === undefined)
    return `an sslmode of ${Object.keys(sslModes).join(', ')}: others would go on without TLS where it fails`
  const host = asked.host ?? decoded(url.hostname).replace(/^\[(.*)\]$/, '$1')
  if (host === '' || host.includes(',')) return 'an address with one host'
  const database = decoded(url.pathname.slice(1))
  if (database === '' || database.includes('/')) return 'an address with the name of a database behind the host'
  const [user, password] = [decoded(url.username), decoded(url.password)]
  return {
    host,
    port: url.port === '' ? 5432 : Number(url.port),
    database,
    ...(user !== '' && { user }),
    ...(password !== '' && { password }),
    ...(tls !== undefined && { tls }),
    ...(options !== undefined && { options }),
  }
}

/** The database as messages, plans and checkpoints have it: no user, no password. */
export function addressOf({ host, port, database }: PostgresPlace): string {
  const shown = host.startsWith('/') ? encodeURIComponent(host) : host.includes(':') ? `[${host}]` : host
  return `postgres://${shown}:${port}/${encodeURIComponent(database)}`
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    // A lone percent sign: it means itself.
    return text
  }
}
