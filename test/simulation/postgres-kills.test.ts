import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { root, startNode } from '../cli/child.ts'
import { wholeFromEnvironment } from '../golden/drawn.ts'
import { serverFor } from '../servers/for-tests.ts'
import { psql, startPostgres } from '../servers/postgres.ts'
import { joined, expectAllAfterKills, type KilledDays, openKilledDays } from './killed-backfills.ts'
import { pgLines } from './pg-lines.ts'

/** MILLRACE_KILLS=200 is the long form. */
const kills = wholeFromEnvironment('MILLRACE_KILLS', 6)
const server = await serverFor(startPostgres)

const columns = { plain: 't, k, n', latest: 'window_start, k, rows, total' } as const

/** Real processes, a real server and real SIGKILLs: at drawn calls to the server, before, after or while they are under way. */
describe.skipIf(!server)('a backfill into PostgreSQL that is killed', () => {
  if (!server) return
  let days: KilledDays
  let places = 0

  beforeAll(async () => {
    days = await openKilledDays()
  })
  afterAll(() => days.lab[Symbol.asyncDispose]())

  test(
    `${kills} times at any call to the server has every row once, and the latest view (P15, I5, I6, I8, I10)`,
    () =>
      expectAllAfterKills<string>({
        kills,
        callsMin: 40,
        async newPlace() {
          const schema = `place_${++places}`
          await psql(server, `CREATE SCHEMA ${schema}`)
          return schema
        },
        live(schema, killAt = 0, when = 'before') {
          const { lab } = days
          const deadly = join(root, 'test/simulation/deadly-postgres.ts')
          const checkpoint = join(lab.root, schema)
          const { endpoint } = server
          return startNode([deadly, lab.input, checkpoint, endpoint, schema, String(killAt), when], lab.root).ended
        },
        async expectAll(schema, where) {
          for (const table of ['plain', 'latest'] as const) {
            const query = `SELECT ${columns[table]} FROM ${schema}.${table}`
            const byPsql = (await psql(server, query)).split('\n').filter(line => line !== '')
            expect(joined(byPsql), `${where}: ${table} by psql`).toBe(days.expected[table])
            expect(joined(await pgLines(server, query)), `${where}: ${table} by pg`).toBe(days.expected[table])
          }
        },
      }),
    7_200_000,
  )
})
