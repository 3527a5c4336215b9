import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { openLab } from '../engine/harness.ts'
import { runMillrace } from './child.ts'

test('a backfill that can read no object exits 4, in text and in JSON; one of several harms nothing', async () => {
  await using lab = await openLab()
  const file = join(lab.root, 'pipeline.ts')
  await writeFile(
    file,
    `import { files, parquet, pipeline, select, source, to } from 'millrace'
export default pipeline('set-aside', { checkpoint: ${JSON.stringify(lab.checkpoint)} },
  source('in', { objects: ${JSON.stringify(lab.input)}, format: parquet(), columns: { t: 'TIMESTAMP' }, time: 't' })
  .pipe(select('t'), to(files(${JSON.stringify(lab.output)}, { format: 'parquet' }))))
`,
  )
  await lab.lines('a.parquet', ['no parquet'])
  const text = await runMillrace(['backfill', file])
  expect([text.code, text.stdout]).toEqual([
    4,
    expect.stringContaining('Warning: no object of this run could be read ('),
  ])
  await lab.lines('b.parquet', ['no parquet'])
  const json = await runMillrace(['backfill', file, '--json'])
  expect([json.code, JSON.parse(json.stdout)]).toEqual([4, expect.objectContaining({ noneRead: true, quarantined: 2 })])
  expect((await runMillrace(['backfill', file])).code).toBe(4)
  await lab.lines('c.parquet', ['no parquet'])
  await lab.parquet('d.parquet', `SELECT TIMESTAMP '2022-01-01' AS t`)
  expect((await runMillrace(['backfill', file])).code).toBe(0)
  // There is nothing to do.
  expect((await runMillrace(['backfill', file])).code).toBe(0)
})
