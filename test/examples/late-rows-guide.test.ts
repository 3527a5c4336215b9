import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { root, startNode } from '../cli/child.ts'

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'millrace-guide-'))
})
afterEach(() => rm(folder, { recursive: true }))

test('the pipeline of the guide gives the results and corrections that it shows; sql has what they come to', async () => {
  const guide = await readFile(join(root, 'docs/guides/late-rows.md'), 'utf8')
  const [, example = ''] = /```ts\n(import [\s\S]*?)```/.exec(guide) ?? []
  const [first = '', second = '', given, corrected] = [...guide.matchAll(/```json\n([\s\S]*?)```/g)].map(
    ([, lines]) => lines,
  )
  await mkdir(join(folder, 'input'))
  await writeFile(join(folder, 'pipeline.ts'), example)
  await writeFile(join(folder, 'input/a.jsonl'), first)
  await writeFile(join(folder, 'input/b.jsonl'), second)
  const millrace = async (...args: readonly string[]) => {
    const { code, stdout, stderr } = await startNode([join(root, 'src/cli/bin.ts'), ...args], folder).ended
    expect(code, stderr).toBe(0)
    return stdout
  }
  const textIn = async (place: string) => {
    const names = (await readdir(join(folder, place))).filter(file => file.endsWith('.jsonl')).toSorted()
    return (await Promise.all(names.map(file => readFile(join(folder, place, file), 'utf8')))).join('')
  }
  const [, backfill = ''] = /After `npx millrace ([^`]+)`/.exec(guide) ?? []
  await millrace(...backfill.split(' '), '--threads', '1')
  expect(await textIn('output')).toBe(given)
  const [, apply = ''] = /`npx millrace (apply-late [^`]+)` names/.exec(guide) ?? []
  const told = await millrace(...apply.split(' '), '--dry-run')
  expect(told).toContain('by-day: 2 late rows would be applied; nothing was changed.')
  expect(told).toContain('2 of 1 window from 2024-01-01T00:00:00.000Z to 2024-01-02T00:00:00.000Z')
  expect(await millrace(...apply.split(' '))).toContain('by-day: 2 late rows are applied by the next run or backfill')
  const [, again = ''] = /the next `npx millrace ([^`]+)` applies/.exec(guide) ?? []
  await millrace(...again.split(' '), '--threads', '1')
  expect(await textIn('output')).toBe(given)
  expect(await textIn('output/_corrections')).toBe(corrected)
  const [, query = ''] = /npx millrace sql checkpoint '([^']+)'/.exec(guide) ?? []
  const rows = (await millrace('sql', 'checkpoint', query, '--json')).trim().split('\n')
  expect(rows.map(row => JSON.parse(row))).toEqual([
    { shop: 'north', cents: '750' },
    { shop: 'south', cents: '900' },
    { shop: 'west', cents: '100' },
  ])
  const [, log = ''] = /```sql\n([\s\S]*?)```/.exec(guide) ?? []
  const asViews = log
    .replace("'output/*.jsonl'", 'output')
    .replace("'output/_corrections/*.jsonl'", 'corrections_flow_1')
  const byHand = await millrace('sql', 'checkpoint', `SELECT shop, cents FROM (${asViews}) ORDER BY shop`, '--json')
  expect(byHand.trim().split('\n')).toEqual(rows)
  expect(await millrace(...apply.split(' '))).toContain('nothing to apply')
  expect(await millrace('verify', 'pipeline.ts', '--threads', '1')).toContain('nothing differs')
})
