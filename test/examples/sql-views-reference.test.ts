import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { root } from '../cli/child.ts'
import { openGuideFolder } from './guide-folder.ts'

test('the queries of tables give what the page of the views shows', async () => {
  const page = await readFile(join(root, 'docs/reference/sql-views.md'), 'utf8')
  const shown = [...page.matchAll(/ {4}npx millrace sql checkpoint '([^']+)'\n\n```text\n([^`]*)```/g)]
  expect(shown).toHaveLength(2)
  await using reader = await openGuideFolder('delta')
  await reader.done(...reader.backfill)
  for (const [, query = '', answer = ''] of shown) {
    const lines = (text: string) =>
      text
        .trimEnd()
        .split('\n')
        .map(line => line.trimEnd())
    expect(lines(await reader.done('sql', 'checkpoint', query)), query).toEqual(lines(answer))
  }
})
