/** A folder of the machine whose path looks like a partition gives no column. */
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { openLab, run, windowed } from './harness.ts'

const columns = { t: 'TIMESTAMP', k: 'VARCHAR', v: 'BIGINT' } as const

test('a spill folder k=v is no column of what a start reads back', async () => {
  await using lab = await openLab()
  const spill = join(lab.root, 'k=v')
  await mkdir(spill)
  const row = (hour: number) =>
    `SELECT TIMESTAMP '2022-01-01' + INTERVAL ${hour} HOUR AS t, 'a' AS k, ${hour}::BIGINT AS v`
  for (const n of [1, 2, 3]) {
    await lab.parquet(`${n}.parquet`, row(n))
    await run(windowed(lab, lab, { columns, keys: ['k'] }), { spill })
  }
  const rows = await lab.rows()
  expect(rows.map(({ k, n }) => [k, n])).toEqual([
    ['a', '1'],
    ['a', '1'],
    ['a', '1'],
  ])
})
