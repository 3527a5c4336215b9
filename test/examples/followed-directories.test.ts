import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { root, startNode } from '../cli/child.ts'

test('the pipeline of the guide to followed directories reads what lies there', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'millrace-guide-'))
  try {
    const guide = await readFile(join(root, 'docs/guides/followed-directories.md'), 'utf8')
    const [, example = ''] = /```ts\n([\s\S]*?)```/.exec(guide) ?? []
    await writeFile(join(folder, 'pipeline.ts'), example)
    await mkdir(join(folder, 'in'))
    for (const a of [1, 2, 3]) await writeFile(join(folder, 'in', `${a}.jsonl`), `{"a":${a}}\n`)
    const run = startNode(
      [join(root, 'src/cli/bin.ts'), 'run', 'pipeline.ts', '--until-idle', '--threads', '1'],
      folder,
    )
    expect(await run.ended).toMatchObject({ code: 0 })
    const [file = ''] = (await readdir(join(folder, 'out'))).filter(name => name.endsWith('.jsonl'))
    expect(await readFile(join(folder, 'out', file), 'utf8')).toBe('{"a":1}\n{"a":2}\n{"a":3}\n')
  } finally {
    await rm(folder, { recursive: true })
  }
})
