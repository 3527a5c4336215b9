/** What the guide says that `millrace why` answers, it answers. */
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { type LiveFacts, liveText } from '../../src/engine/report/live.ts'
import { root, runMillrace } from '../cli/child.ts'

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'millrace-guide-'))
})
afterEach(() => rm(folder, { recursive: true }))

test('the guide for when nothing comes out: the answers of why are those that it shows', async () => {
  const guide = await readFile(join(root, 'docs/guides/when-nothing-comes-out.md'), 'utf8')
  const [, example = ''] = /```ts\n(import [\s\S]*?)```/.exec(guide) ?? []
  const [, lines = ''] = /`input\/trips\.jsonl`:\n\n```json\n([\s\S]*?)```/.exec(guide) ?? []
  await mkdir(join(folder, 'input'))
  await writeFile(join(folder, 'pipeline.ts'), example)
  await writeFile(join(folder, 'input/trips.jsonl'), lines)
  const done = async (line: string) => {
    const args = [...line.matchAll(/"([^"]*)"|(\S+)/g)].map(([, quoted, plain]) => quoted ?? plain ?? '')
    const { code, stdout, stderr } = await runMillrace(args, folder)
    expect({ line, code }, stderr).toEqual({ line, code: 0 })
    // What is read again is said before the answer, on stderr.
    return stderr + stdout
  }
  const [, backfill = ''] = /After `npx millrace (backfill [^`]+)`/.exec(guide) ?? []
  await done(backfill)
  const asked = [...guide.matchAll(/ {4}npx millrace (why .*)\n\n```text\n([\s\S]*?)```/g)]
  const [live, ofCheckpoint] = [
    asked.filter(([, line]) => line?.includes('--http')),
    asked.filter(([, line]) => !line?.includes('--http')),
  ]
  expect([live.length, ofCheckpoint.length]).toEqual([1, 3])
  for (const [, line = '', answer] of ofCheckpoint) expect(await done(line), line).toBe(answer)
  const [[, , said = ''] = []] = live
  const facts: LiveFacts = {
    pipeline: 'zones',
    state: 'running',
    run: { checkpoint: 'file:///ck', epoch: 7, objects: 5, messages: 11, behind: [{ flow: 'flow-1', epochs: 2 }] },
  }
  const text = liveText('http://127.0.0.1:9464/', facts, { pipeline: 'zones', checkpoint: 'file:///ck' })
  expect(said.replaceAll(/\s+/g, ' ').trim()).toBe(text)
})
