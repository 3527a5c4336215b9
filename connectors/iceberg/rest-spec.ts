import { configError } from '../../src/core/errors.ts'
import { nested, text } from '../../src/core/option-kinds.ts'
import { type OptionTable, readCall } from '../../src/core/options.ts'
import type { Sink } from '../../src/plan/sink.ts'
import type { Retention } from './expiry.ts'
import type { PartitionBy } from './partitions.ts'
import type { SigV4 } from './rest-signer.ts'
import { type IcebergOptions, icebergOptions, retentionOf } from './spec.ts'

/** A login by OAuth 2.0, as client credentials. */
export interface IcebergOAuth {
  readonly clientId: string | undefined
  readonly clientSecret: string | undefined
  /** Default: 'catalog'. */
  readonly scope?: string
  /** Default: `/v1/oauth/tokens` of the catalog. */
  readonly url?: string
}

export interface IcebergCatalogOptions<K extends string = string> extends IcebergOptions<K> {
  /** The catalog: 'https://catalog.example.com/api', up to what `/v1` follows. */
  readonly url: string | undefined
  /** The table, below its namespace: 'analytics.sessions'. Both are made where they are missing. */
  readonly table: string
  /** Which of the catalog's warehouses: a name, an address or, at AWS, an ARN. */
  readonly warehouse?: string
  /** A bearer token, from the environment: `process.env.CATALOG_TOKEN`. */
  readonly token?: string
  readonly oauth?: IcebergOAuth
  /** Calls are signed as AWS asks for it: `{ service: 's3tables' }` or `{ service: 'glue' }`. */
  readonly sigv4?: SigV4
}

/** How a catalog is reached. */
export interface RestAccess {
  readonly url: string
  readonly warehouse: string | undefined
  readonly token: string | undefined
  readonly oauth:
    | { readonly clientId: string; readonly clientSecret: string; readonly scope?: string; readonly url?: string }
    | undefined
  readonly sigv4: SigV4 | undefined
}

/** What `icebergCatalog()` gives, whatever it asks of the columns. */
export interface IcebergCatalogSink extends Omit<Sink, 'takes'> {
  readonly sink: 'iceberg-catalog'
  /** 'analytics.sessions' */
  readonly table: string
  readonly partitionBy?: PartitionBy
  readonly key?: readonly string[]
  /** Holds the login. */
  readonly access: () => { readonly retention: Retention; readonly rest: RestAccess }
}

const address = text(
  "an address such as 'https://catalog.example.com'; is its variable set?",
  value => /^https?:\/\/[^/@]+/.test(value) && URL.canParse(value) && new URL(value).password === '',
)
const secret = text('text that is not empty; is its variable set?')

export const catalogOptions = {
  url: { kind: address, isRequired: true, about: 'The address of the catalog, up to what /v1 follows.' },
  table: {
    kind: text(
      "a namespace and a name, such as 'analytics.sessions'",
      value => /^[^.]+(\.[^.]+)+$/.test(value),
      'NAME',
    ),
    isRequired: true,
    about: 'The table, below its namespace.',
  },
  warehouse: { kind: text(), otherwise: "the catalog's own", about: 'Which of its warehouses.' },
  token: { kind: secret, isSecret: true, otherwise: 'none', about: 'A bearer token.' },
  oauth: {
    kind: nested<IcebergOAuth>({
      clientId: { kind: secret, isRequired: true, about: 'Who comes.' },
      clientSecret: { kind: secret, isRequired: true, isSecret: true, about: 'And the secret.' },
      scope: { kind: text(), otherwise: 'catalog', about: 'What is asked for.' },
      url: { kind: address, otherwise: '/v1/oauth/tokens of the catalog', about: 'Where tokens are given.' },
    }),
    otherwise: 'none',
    about: 'A login by OAuth 2.0, as client credentials.',
  },
  sigv4: {
    kind: nested<SigV4>({
      service: { kind: text("such as 's3tables' or 'glue'"), isRequired: true, about: 'The service that is asked.' },
      region: { kind: text(), otherwise: "the environment's", about: 'Its region.' },
    }),
    otherwise: 'none',
    about: 'Calls are signed as AWS asks for it.',
  },
  ...icebergOptions,
} satisfies OptionTable<IcebergCatalogOptions>

/**
 * A sink of rows in a table of Apache Iceberg behind a REST catalog (Polaris, Lakekeeper, Amazon S3 Tables, AWS Glue),
 * each there once: the snapshot of an epoch and the epoch's number are committed in one step. The table belongs to one
 * flow of one checkpoint.
 *
 *     to(icebergCatalog({ url: process.env.CATALOG, token: process.env.TOKEN, table: 'analytics.sessions' }))
 *
 * Files of the table are reached by this process's own AWS credentials.
 *
 * @throws MillraceError `user` that names the field and what was expected; logins are never shown.
 */
export function icebergCatalog<const K extends string = never>(
  given: IcebergCatalogOptions<K>,
): IcebergCatalogSink & Sink<{ readonly [name in K]: unknown }> {
  const read = readCall('icebergCatalog', catalogOptions, [], given)
  const { url, table, warehouse, token, oauth, sigv4, partitionBy, key } = read
  const logins = [token, oauth, sigv4].filter(each => each !== undefined)
  if (logins.length > 1) throw configError('icebergCatalog', 'several logins', 'one of token, oauth and sigv4')
  const rest = { url, warehouse, token, oauth: oauth as RestAccess['oauth'], sigv4 }
  const retention = retentionOf('icebergCatalog', read)
  return {
    sink: 'iceberg-catalog',
    uri: uriOf(url, table),
    table,
    ...(partitionBy && { partitionBy }),
    ...(key && { key: [...key] }),
    access: () => ({ retention, rest }),
  }
}

const uriOf = (url: string, table: string) => `${url.replace(/\/+$/, '')}/${table}`

/** The same in another table of the catalog. @param field names the place in errors */
export function movedTo(sink: IcebergCatalogSink, table: string, field: string): IcebergCatalogSink {
  if (!/^[^./]+(\.[^./]+)+$/.test(table))
    throw configError(field, table, "another table of the catalog, such as 'analytics.sessions'")
  return { ...sink, table, uri: uriOf(sink.access().rest.url, table) }
}
