import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { root, startNode } from '../cli/child.ts'
import { type Lab, openLab } from '../engine/harness.ts'
import { drawn, wholeFromEnvironment } from '../golden/drawn.ts'
import { serverFor } from '../servers/for-tests.ts'
import { openLakeReaders } from '../servers/lake-readers.ts'

/** MILLRACE_KILLS=200 is the long form. */
const kills = wholeFromEnvironment('MILLRACE_KILLS', 4)
const days = 4
const readers = await serverFor(openLakeReaders)

interface Lake {
  readonly tables: readonly ('plain' | 'latest')[]
  /** Python: what the lake's readers make of the table in `folder`, by their names, as relations of `connection`. */
  readonly read: string
}

const lakes: Readonly<Record<string, Lake>> = {
  delta: {
    tables: ['plain', 'latest'],
    read: `
from deltalake import DeltaTable
connection = duckdb_with('delta')
arrow = DeltaTable(folder + '/' + table).to_pyarrow_table()
found = {'deltalake': 'arrow', 'DuckDB': f"delta_scan('{folder}/{table}')"}`,
  },
  iceberg: {
    tables: ['plain', 'latest'],
    read: `
import re
from pyiceberg.table import StaticTable
connection = duckdb_with('avro', 'iceberg')
number = lambda path: int(re.search(r'v(\\d+)[.]metadata', path).group(1))
newest = max(glob.glob(f'{folder}/{table}/metadata/v*.metadata.json'), key=number)
arrow = StaticTable.from_metadata(newest).scan().to_arrow()
found = {'pyiceberg': 'arrow', 'DuckDB': f"iceberg_scan('{folder}/{table}')"}`,
  },
  ducklake: {
    tables: ['plain'],
    read: `
connection = duckdb_with('ducklake')
connection.execute(f"ATTACH 'ducklake:{folder}/catalog.ducklake' AS lake (READ_ONLY)")
found = {'DuckDB': f'lake.{table}'}`,
  },
}
const lineSql = {
  plain: "t, coalesce(k::VARCHAR, ''), n",
  latest: "window_start, coalesce(k::VARCHAR, ''), rows, total",
} as const

/** Real processes and real SIGKILLs: at drawn calls to the tables' stores, before, after or while they are under way. */
describe.skipIf(!readers).each(Object.entries(lakes))('a backfill into tables of %s that is killed', (kind, lake) => {
  if (!readers) return
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
    const line = (items: string) => `SELECT concat_ws('|', ${items}) AS line FROM ${rows}`
    const plain = await lab.sql(`${line("t, coalesce(k::VARCHAR, ''), n")} WHERE n % 2 = 0`)
    const latest = await lab.sql(
      `${line("date_trunc('day', t)::TIMESTAMP, coalesce(k::VARCHAR, ''), count(*), sum(n)")} GROUP BY date_trunc('day', t), k HAVING sum(n) <> 0`,
    )
    const sorted = (found: typeof plain) => joined(found.map(row => String(row.line)))
    expected = { plain: sorted(plain), latest: sorted(latest) }
  })
  afterAll(() => lab[Symbol.asyncDispose]())

  const newPlace = () => join(lab.root, `place-${++places}`)
  const live = (place: string, killAt = 0, when = 'before') =>
    startNode(
      [
        join(root, 'test/simulation/deadly-lake.ts'),
        kind,
        lab.input,
        join(place, 'checkpoint'),
        join(place, 'tables'),
        String(killAt),
        when,
      ],
      lab.root,
    ).ended

  async function expectAll(place: string, where: string): Promise<void> {
    for (const table of lake.tables) {
      const script = `
folder, table, line = args
${lake.read}
lines = lambda relation: [row[0] for row in connection.execute(f"SELECT concat_ws('|', {line}) FROM {relation}").fetchall()]
answer({reader: lines(relation) for reader, relation in found.items()})`
      const found = (await readers?.ask(script, join(place, 'tables'), table, lineSql[table])) as Record<
        string,
        string[]
      >
      expect(Object.keys(found).length).toBeGreaterThan(0)
      for (const [reader, lines] of Object.entries(found))
        expect(joined(lines), `${where}: ${table} by ${reader}`).toBe(expected[table])
    }
  }

  test(`${kills} times at any call to its tables has every row once, and the latest view (P15, I5, I6, I8, I10)`, async () => {
    const { label, random } = drawn()
    const whole = (least: number, most: number) => least + Math.floor(random() * (most - least + 1))
    const straight = newPlace()
    const { stdout, stderr } = await live(straight)
    const calls = Number(stdout.trim().split('\n').at(-1))
    expect(calls, stderr).toBeGreaterThan(10)
    await expectAll(straight, 'straight')
    const whens = ['before', 'after', 'during']
    for (let done = 0; done < kills; ) {
      const place = newPlace()
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
      await expectAll(place, `${label}, ${lives}`)
    }
  }, 7_200_000)
})

const joined = (lines: readonly string[]) => lines.toSorted().join('\n')
