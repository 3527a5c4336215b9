/** The pipeline of the guide to several sources, as a user runs it. */
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { root, startNode } from '../cli/child.ts'
import { openLab } from '../engine/harness.ts'

test('the guide to several sources: its pipeline reads both, and elsewhere by their names', async () => {
  await using lab = await openLab()
  const guide = await readFile(join(root, 'docs/guides/several-sources.md'), 'utf8')
  const [, example = ''] = /```ts\n(import [\s\S]*?)```/.exec(guide) ?? []
  const [, line = ''] = /npx millrace (backfill pipeline\.ts --input [^\n]+)/.exec(guide) ?? []
  await writeFile(join(lab.root, 'pipeline.ts'), example)
  for (const folder of ['months', 'pay']) await mkdir(join(lab.root, folder))
  const month = await lab.parquet(
    'trips_2024-01.parquet',
    `SELECT TIMESTAMP '2024-01-01' + i * INTERVAL 6 HOUR AS at, 7::BIGINT AS zone FROM range(8) AS r(i)`,
  )
  await rename(month, join(lab.root, 'months/trips_2024-01.parquet'))
  for (const day of ['2024-01-01', '2024-01-02'])
    await writeFile(join(lab.root, `pay/payments_${day}.jsonl`), `{"paid": "${day} 10:00:00", "amount": 5}\n`)
  const { code, stderr } = await startNode([join(root, 'src/cli/bin.ts'), ...line.split(' ')], lab.root).ended
  expect(code, stderr).toBe(0)
  const at = (output: string) => ({ output: join(lab.root, output), checkpoint: join(lab.root, 'checkpoint') })
  expect((await lab.rows(at('by-zone'))).map(({ zone, trips }) => [zone, trips])).toEqual([
    ['7', '4'],
    ['7', '4'],
  ])
  expect((await lab.rows(at('by-day'))).map(({ paid }) => paid)).toEqual(['5', '5'])
  expect((await lab.channel('ledger', at(''))).map(({ key }) => key)).toEqual([
    'payments_2024-01-01.jsonl',
    'trips_2024-01.parquet',
    'payments_2024-01-02.jsonl',
    null,
  ])
})
