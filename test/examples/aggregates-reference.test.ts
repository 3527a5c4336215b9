import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { aggregates } from '../../operators/aggregates/registry.ts'
import { root, runMillrace } from '../cli/child.ts'

const reference = await readFile(join(root, 'docs/reference/aggregates.md'), 'utf8')

test('the pipeline of the reference gives what stands below it', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'millrace-aggregates-'))
  try {
    const [, example = ''] = /```ts\n([\s\S]*?)```/.exec(reference) ?? []
    await writeFile(join(folder, 'pipeline.ts'), example)
    await mkdir(join(folder, 'in'))
    const rides = ['10.00', '60.00', '20.50'].map(
      (fare, hour) => `{"time":"2024-01-01T0${hour}:00:00Z","zone":"A","fare":${fare},"fare_text":"${fare}"}\n`,
    )
    await writeFile(join(folder, 'in/rides.jsonl'), rides.join(''))
    const { code, stderr } = await runMillrace(['backfill', 'pipeline.ts'], folder)
    expect(code, stderr).toBe(0)
    const [file = ''] = (await readdir(join(folder, 'results'))).filter(name => name.endsWith('.jsonl'))
    const [, stated = ''] = /^ {4}(\{[\s\S]*?\})$/m.exec(reference) ?? []
    expect(JSON.parse(await readFile(join(folder, 'results', file), 'utf8'))).toEqual(JSON.parse(stated))
  } finally {
    await rm(folder, { recursive: true })
  }
})

test('every aggregate is described', () => {
  for (const name of aggregates.keys()) expect(reference).toContain(`\`${name}(`)
})
