import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { root, startNode } from '../cli/child.ts'
import { type Lab, openLab } from '../engine/harness.ts'
import { drawn, wholeFromEnvironment } from '../golden/drawn.ts'
import { serverFor } from '../servers/for-tests.ts'
import { psql, startPostgres } from '../servers/postgres.ts'

/** MILLRACE_KILLS=200 is the long form. */
const kills = wholeFromEnvironment('MILLRACE_KILLS', 6)
const days = 4
const server = await serverFor(startPostgres)

/** Real processes, a real server and real SIGKILLs: at drawn calls to the server, before, after or while they are under way. */
describe.skipIf(!server)('a backfill into PostgreSQL that is killed', () => {
  if (!server) return
  let lab: Lab
  let places = 0
  let expected: { readonly plain: string; readonly latest: string }

  beforeAll(async () => {
    lab = await openLab()
    // The second day's object takes a window of the first one back: -total, so `where` drops its result.
    for (let day = 1; day <= days; day++)
      await lab.parquet(
        `day_${day}.parquet`,
        `SELECT TIMESTAMP '2024-05-01' + to_days(${day - 1}) + to_seconds(i * 977 % 80000) AS t, CASE WHEN i % 4 < 3 THEN i % 4 END AS k, i AS n
         FROM range(1, 301) AS r(i) ${day > 1 ? `UNION ALL SELECT TIMESTAMP '2024-05-01' + to_days(${day - 2}), 1, -sum(i)::BIGINT FROM range(1, 301) AS r(i) WHERE i % 4 = 1` : ''}`,
      )
    const rows = `read_parquet('${lab.input}/*.parquet')`
    const plain = await lab.sql(
      `SELECT concat_ws('|', t, coalesce(k::VARCHAR, ''), n) AS line FROM ${rows} WHERE n % 2 = 0`,
    )
    const latest = await lab.sql(
      `SELECT concat_ws('|', date_trunc('day', t)::TIMESTAMP, coalesce(k::VARCHAR, ''), count(*), sum(n)) AS line FROM ${rows} GROUP BY date_trunc('day', t), k HAVING sum(n) <> 0`,
    )
    const sorted = (found: typeof plain) =>
      found
        .map(({ line }) => String(line))
        .toSorted()
        .join('\n')
    expected = { plain: sorted(plain), latest: sorted(latest) }
  })
  afterAll(() => lab[Symbol.asyncDispose]())

  async function newPlace(): Promise<{ readonly schema: string; readonly checkpoint: string }> {
    const schema = `place_${++places}`
    await psql(server as never, `CREATE SCHEMA ${schema}`)
    return { schema, checkpoint: join(lab.root, schema) }
  }

  const live = ({ schema, checkpoint }: Awaited<ReturnType<typeof newPlace>>, killAt = 0, when = 'before') =>
    startNode(
      [
        join(root, 'test/simulation/deadly-postgres.ts'),
        lab.input,
        checkpoint,
        server.endpoint,
        schema,
        String(killAt),
        when,
      ],
      lab.root,
    ).ended

  async function expectAll(schema: string, where: string): Promise<void> {
    const sorted = (text: string) =>
      text
        .split('\n')
        .filter(line => line !== '')
        .toSorted()
        .join('\n')
    const tables = {
      plain: `SELECT t, k, n FROM ${schema}.plain`,
      latest: `SELECT window_start, k, rows, total FROM ${schema}.latest`,
    }
    for (const [name, query] of Object.entries(tables) as ['plain' | 'latest', string][]) {
      expect(sorted(await psql(server as never, query)), `${where}: ${name} by psql`).toBe(expected[name])
      const { default: pg } = (await import('pg' as string)) as { default: { Client: new (options: object) => Client } }
      const client = new pg.Client({ connectionString: (server as { endpoint: string }).endpoint })
      await client.connect()
      const { rows } = await client.query({
        text: query,
        rowMode: 'array',
        types: { getTypeParser: () => (text: string) => text },
      })
      await client.end()
      expect(
        sorted(rows.map(row => row.map(value => value ?? '').join('|')).join('\n')),
        `${where}: ${name} by pg`,
      ).toBe(expected[name])
    }
  }

  test(`${kills} times at any call to the server has every row once, and the latest view (P15, I5, I6, I8, I10)`, async () => {
    const { label, random } = drawn()
    const whole = (least: number, most: number) => least + Math.floor(random() * (most - least + 1))
    const straight = await newPlace()
    const { stdout, stderr } = await live(straight)
    const calls = Number(stdout.trim().split('\n').at(-1))
    expect(calls, stderr).toBeGreaterThan(40)
    await expectAll(straight.schema, 'straight')
    const whens = ['before', 'after', 'during']
    for (let done = 0; done < kills; ) {
      const place = await newPlace()
      const lives: string[] = []
      // Several deaths one after the other, and then a life to the end.
      for (let deaths = whole(1, 3); deaths > 0 && done < kills; deaths--) {
        const killAt = whole(1, lives.length === 0 ? calls : 25)
        const when = whens[whole(0, 2)] as string
        lives.push(`${when} call ${killAt} of ${calls}`)
        const ended = await live(place, killAt, when)
        // Of what is left there may be fewer calls than that.
        expect(ended.code === null || ended.code === 0, `${label}, ${lives}: ${ended.stderr}`).toBe(true)
        if (ended.code === null) done++
      }
      const { code, stderr: said } = await live(place)
      expect(code, `${label}, ${lives}: ${said}`).toBe(0)
      await expectAll(place.schema, `${label}, ${lives}`)
    }
  }, 7_200_000)
})

interface Client {
  connect(): Promise<void>
  query(query: object): Promise<{ readonly rows: readonly (readonly (string | null)[])[] }>
  end(): Promise<void>
}
