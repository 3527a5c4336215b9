import { inspect } from 'node:util'
import { expect, test } from 'vitest'
import { movedTo, postgres, type PostgresOptions } from '../../../connectors/postgres/spec.ts'
import { postgresKind } from '../../../connectors/postgres/sink.ts'
import { sinkOptions } from '../../../src/plan/sink.ts'

const url = 'postgres://anna:s%26cret@db.example:6543/shop?sslmode=require'
const of = (more: Partial<PostgresOptions>) => postgres({ url, table: 't', ...more })

test('a sink has host, port and database in its place, and nothing of who comes there', () => {
  const sink = postgres({ url, table: 'revenue', schema: 'reports', key: ['zone'], statementTimeout: '1 minute' })
  expect(sink.uri).toBe('postgres://db.example:6543/shop')
  expect(sinkOptions(sink)).toEqual({ sink: 'postgres', table: 'revenue', schema: 'reports', key: ['zone'] })
  for (const shown of [JSON.stringify(sink), inspect(sink), JSON.stringify(sinkOptions(sink))])
    expect(shown).not.toMatch(/cret|anna/)
  expect(sink.access()).toEqual({
    place: { host: 'db.example', port: 6543, database: 'shop', user: 'anna', password: 's&cret', tls: true },
    tls: {},
    missingColumns: 'refuse',
    statementTimeoutMs: 60_000,
  })
})

test('an address may name a Unix socket, an IPv6 host, no user and no port', () => {
  const place = (text: string) => postgres({ url: text, table: 't' }).access().place
  expect(place('postgresql://%2Fvar%2Frun%2Fpostgresql/shop')).toEqual({
    host: '/var/run/postgresql',
    port: 5432,
    database: 'shop',
  })
  expect(place('postgres:///shop?host=/run/pg')).toEqual({ host: '/run/pg', port: 5432, database: 'shop' })
  expect(place('postgres://[::1]:5433/shop')).toEqual({ host: '::1', port: 5433, database: 'shop' })
  expect(of({ url: 'postgres://[::1]:5433/shop' }).uri).toBe('postgres://[::1]:5433/shop')
})

test('`tls` comes before sslmode', () => {
  expect(of({ tls: false }).access().tls).toBe(false)
  expect(of({ tls: { ca: 'PEM' } }).access().tls).toEqual({ ca: 'PEM' })
  expect(of({ url: 'postgres://h/d' }).access().tls).toBe(false)
})

test('it moves to another database with its table and settings', () => {
  const sink = movedTo(of({ tls: { ca: 'PEM' } }), 'postgres://otto:geheim@other/shop2', 'output')
  expect(sink).toMatchObject({ uri: 'postgres://other:5432/shop2', table: 't' })
  expect(sink.access()).toMatchObject({ place: { user: 'otto', password: 'geheim' }, tls: { ca: 'PEM' } })
})

test.each([
  [{ url: undefined }, 'postgres: url is missing; expected an address'],
  [
    { url: 'mysql://anna:s3cret@h/d' },
    "postgres: url: the address is not valid; expected an address such as 'postgres://user@host:5432/database'.",
  ],
  [
    { url: 'postgres://anna:s3cret@h/d?sslmode=prefer' },
    'expected an sslmode of disable, require, verify-ca, verify-full',
  ],
  [{ url: 'postgres://anna:s3cret@h/d?s3cret=1&pool=2' }, "no parameter 's3cret' in the address"],
  [{ url: 'postgres://anna:s3cret@h1,h2/d' }, 'an address with one host'],
  [{ url: 'postgres://anna:s3cret@h' }, 'the name of a database behind the host'],
  [{ url: 'postgres://anna:s3/cret@h/d' }, 'postgres: url: the address is not valid'],
  [{ url: 7 as never }, 'postgres: url: a number is not valid'],
  [
    { table: 'reports.revenue' },
    "postgres: table: 'reports.revenue' is not valid; expected a name of at most 63 bytes, without a schema and without quotes.",
  ],
  [{ table: 'x'.repeat(64) }, 'at most 63 bytes'],
  [{ key: [] }, 'postgres: key: [] is not valid; expected a list of columns'],
  [{ key: ['a', 'a'] }, 'each column once'],
  [{ statementTimeout: '2 days' as const }, 'expected a duration from 1s to 1 day'],
  [{ tls: 'PEM' as never }, 'postgres: tls: a string is not valid'],
])('%j is refused without what is secret', (more, message) => {
  try {
    of(more as Partial<PostgresOptions>)
    expect.unreachable()
  } catch (error) {
    expect(error).toMatchObject({ kind: 'user', code: 'configuration', message: expect.stringContaining(message) })
    if (!message.includes('s3cret')) expect((error as Error).message).not.toContain('s3cret')
  }
})

test.each([
  [
    ['zonne'],
    { zone: 'BIGINT' },
    undefined,
    "flow-1: postgres: key: 'zonne' is not valid; expected columns of the flow: zone.",
  ],
  [['doc'], { doc: 'JSON' }, undefined, 'columns whose values can be told apart, which JSON is not'],
  [
    ['zone'],
    { zone: 'BIGINT', at: 'DATE' },
    ['at', 'zone'],
    "expected ['at', 'zone'], which tell results apart, with emit: 'update'",
  ],
  [
    undefined,
    { zone: 'BIGINT' },
    ['zone'],
    "flow-1: postgres: key: undefined is not valid; expected ['zone'], which tell results apart",
  ],
] as const)(
  'a key %j that does not fit the columns is refused when the pipeline is bound',
  (key, columns, changesBy, message) => {
    expect(() => postgresKind.rows?.(of(key ? { key } : {}), columns, 'flow-1', changesBy)).toThrow(message)
  },
)
