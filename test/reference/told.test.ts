import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { root } from '../cli/child.ts'

test('the page of log events has every event of a run', async () => {
  const events = await readFile(join(root, 'docs/reference/log-events.md'), 'utf8')
  const files = ['status/log-records.ts', 'status/status.ts', 'cli/commands/run.ts']
  const told = files.map(name => readFile(join(root, 'src', name), 'utf8'))
  const found = (await Promise.all(told)).flatMap(text => [
    ...[...text.matchAll(/line\(\s*(?:'\w+'|[^,']+'\w+' : '\w+'),\s*'([a-z-]+)'/g)].map(([, event]) => event as string),
    ...[...text.matchAll(/(?:event: |failed\((?:log, )?)'([a-z-]+)'/g)].map(([, event]) => event as string),
  ])
  expect(found.length).toBeGreaterThan(25)
  expect(found.filter(event => !events.includes(`\`${event}\``))).toEqual([])
})

test('the page of the summary has every field of it', async () => {
  const summary = await readFile(join(root, 'docs/reference/summary.md'), 'utf8')
  const code = await readFile(join(root, 'src/cli/summary.ts'), 'utf8')
  const [, body = ''] = /export function summaryJson[\s\S]*?\n {2}return \{\n([\s\S]*?)\n {2}\}\n\}/.exec(code) ?? []
  const fields = [...body.matchAll(/^ {4}(\w+)[,:]/gm)].map(([, field]) => field as string)
  expect(fields.length).toBeGreaterThan(25)
  expect(fields.filter(field => !summary.includes(`\`${field}\``))).toEqual([])
})
