import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { openLab } from '../engine/harness.ts'
import { runMillrace } from './child.ts'

test('doctor exits 0 when all is well, 1 with a problem, and gives JSON', async () => {
  await using lab = await openLab()
  const file = join(lab.root, 'pipeline.ts')
  await writeFile(
    file,
    `import { files, parquet, pipeline, select, source, to } from 'millrace'
export default pipeline('looked-at', { checkpoint: ${JSON.stringify(lab.checkpoint)} },
  source('in', { objects: ${JSON.stringify(lab.input)}, format: parquet(), columns: { t: 'TIMESTAMP' }, time: 't' })
  .pipe(select('t'), to(files(${JSON.stringify(lab.output)}, { format: 'parquet' }))))
`,
  )
  await lab.lines('a.csv', ['t'])
  const bad = await runMillrace(['doctor', file])
  expect(bad.code).toBe(1)
  expect(bad.stdout).toMatch(
    /^problem {2}input {10}none of the objects there would be read: 1 with another ending, 'a\.csv'/m,
  )
  await lab.parquet('a.parquet', `SELECT TIMESTAMP '2022-01-01' AS t`)
  const good = await runMillrace(['doctor', file, '--json'])
  expect(good.code).toBe(0)
  const { problems, findings } = JSON.parse(good.stdout)
  expect(problems).toBe(0)
  expect(findings).toContainEqual({
    check: 'input',
    is: 'ok',
    message: "1 object to read; ignored: 1 with another ending, 'a.csv'",
  })
  // Nothing waits for a watermark here.
  expect(findings.map(({ check }: { readonly check: string }) => check)).not.toContain('watermark')
})
