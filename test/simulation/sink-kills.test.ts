import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { backfillWith } from '../../src/engine/backfill.ts'
import { type Components, components } from '../../src/engine/components.ts'
import {
  aggregate,
  count,
  files,
  groupBy,
  parquet,
  pipeline,
  source,
  sum,
  to,
  tumbling,
  where,
} from '../../src/index.ts'
import { openTable, readTable, table, tableKind } from '../connectors/table/index.ts'
import { type Lab, openLab } from '../engine/harness.ts'
import { drawn } from '../golden/drawn.ts'
import { Killed, mortal, type MortalFileSystem } from './mortal-file-system.ts'
import { everyCall, isProbe, over } from './small-backfill.ts'

const days = 5

/** One flow goes to a table with transactions, one to files. Calls to the table die with the process, before or after them. */
describe('a backfill with an ordered sink whose process dies', () => {
  let lab: Lab
  let places = 0
  let calls: number
  let expected: readonly string[]
  beforeAll(async () => {
    lab = await openLab()
    for (let day = 1; day <= days; day++)
      await lab.parquet(
        `day_2024-05-0${day}.parquet`,
        `SELECT TIMESTAMP '2024-05-01' + to_days(${day - 1}) + to_seconds(i * 977 % 86400) AS t, i % 3 AS k, i AS n
         FROM range(${day % 2 === 0 ? 30 : 400}) AS r(i)`,
      )
    const found = await lab.sql(
      `SELECT date_trunc('day', t) AS day, k, count(*) AS rows, sum(n) AS total FROM read_parquet('${lab.input}/*.parquet') GROUP BY ALL ORDER BY day, k`,
    )
    expected = found.map(({ day, k, rows, total }) => `${String(day).slice(0, 10)} ${k} ${rows} ${total}`)
    const fs = mortal({ counts })
    await live(at(), fs)
    calls = fs.calls
  })
  afterAll(() => lab[Symbol.asyncDispose]())

  const counts = (path: string) => !isProbe(path)
  const at = () => join(lab.root, `place-${++places}`)
  const rowsOf = async (folder: string): Promise<readonly string[]> =>
    ((await readTable(join(folder, 'table'))).state?.rows ?? []).map(({ window_start, k, rows, total }) =>
      [String(window_start).slice(0, 10), k, rows, total].map(String).join(' '),
    )

  /** @param isDead told after a call to the disk that it was the last one */
  async function live(folder: string, fs: MortalFileSystem, isDead = () => false): Promise<void> {
    const head = source('days', {
      objects: lab.input,
      format: parquet(),
      columns: { t: 'TIMESTAMP NOT NULL', k: 'BIGINT', n: 'BIGINT' },
      time: 't',
      watermark: { delay: '0s', bounds: 'day_{yyyy}-{MM}-{dd}' },
    })
    const both = pipeline(
      'both',
      { checkpoint: join(folder, 'checkpoint') },
      head.pipe(
        tumbling('1 day'),
        groupBy('k'),
        aggregate({ rows: count(), total: sum('n') }),
        to(table(join(folder, 'table'))),
      ),
      head.pipe(where('n < 5'), to(files(join(folder, 'output'), { format: 'parquet' }))),
    )
    const parts: Components = {
      ...components,
      sinks: [
        ...components.sinks,
        {
          ...tableKind,
          open: async ({ uri }, { checkpointId }) =>
            openTable(uri, checkpointId, async call => {
              if (isDead()) throw new Killed()
              const result = await call()
              if (isDead()) throw new Killed()
              return result
            }),
        },
      ],
      async openWritable(root) {
        await mkdir(root, { recursive: true })
        return over(fs)(root)
      },
    }
    await backfillWith(parts, both, { objectsPerEpoch: 1, threads: 1, memory: '300MB' })
  }

  test('has every row in the table once, in order, and every file (P15, I5, I6, I8, I10)', async () => {
    const { random, label } = drawn()
    const straight = at()
    await live(straight, mortal({ counts }))
    expect(await rowsOf(straight)).toEqual(expected)
    const inFiles = await lab.rows({ checkpoint: straight, output: join(straight, 'output') })
    let again = 0
    for (const killAt of everyCall(calls, 19, random)) {
      const folder = at()
      const where = `${label}, killed at call ${killAt} of ${calls}`
      const fs = mortal({ killAt, counts })
      await live(folder, fs, () => fs.calls >= killAt).catch((error: unknown) => {
        if (fs.calls < killAt) throw new Error(where, { cause: error })
      })
      // What is there is a beginning of the right rows, whatever HEAD says of it.
      const found = await rowsOf(folder)
      expect(found, where).toEqual(expected.slice(0, found.length))
      if (found.length > 0 && found.length < expected.length) again++
      await live(folder, mortal({ counts }))
      expect(await rowsOf(folder), where).toEqual(expected)
      expect(await lab.rows({ checkpoint: folder, output: join(folder, 'output') }), where).toEqual(inFiles)
      const { manifest, released } = await lab.head({ checkpoint: join(folder, 'checkpoint'), output: '' })
      expect({ released, unpublished: manifest.unpublished }, where).toEqual({ released: true, unpublished: [] })
    }
    // Some died between the first and the last epoch of the table.
    expect(again, label).toBeGreaterThan(0)
  }, 600_000)
})
