import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { footerStart } from '../../../connectors/parquet/footer.ts'
import { checkPages } from '../../../connectors/parquet/pages.ts'
import { seededRandom } from '../../../src/testing/index.ts'

let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'millrace-parquet-'))
})
afterAll(() => rm(folder, { recursive: true }))

const { signal } = new AbortController()

// From DuckDB's tests: columns a and b are encrypted, the footer and column c are not.
test('an encrypted column is named as such, where it is declared', async () => {
  const file = join(import.meta.dirname, 'encrypted-column.parquet')
  expect(await checkPages(file, ['b', 'c'], signal)).toEqual({
    is: 'bad',
    reason: "column 'b' is encrypted, and no key for it can be given here; leave it out, or write it in plain",
  })
  expect(await checkPages(file, ['c'], signal)).toMatchObject({ is: 'good' })
})

test('what is wrong with a broken footer is told without the words of a decoder', async () => {
  const whole = await readFile(join(import.meta.dirname, '../../corpus/parquet-types/types.parquet'))
  const start = footerStart(whole, whole.length) as number
  const random = seededRandom(12)
  const file = join(folder, 'broken.parquet')
  const reasons = new Set<string>()
  for (let round = 0; round < 1_000; round++) {
    const bytes = Buffer.from(whole)
    for (let changes = 0; changes < 3; changes++)
      bytes[start + Math.floor(random() * (bytes.length - 8 - start))] = Math.floor(random() * 256)
    await writeFile(file, bytes)
    const checked = await checkPages(file, ['i64', 'struct', 'list'], signal)
    if (checked.is === 'bad') reasons.add(checked.reason)
  }
  expect([...reasons].some(reason => reason.startsWith('its footer cannot be decoded'))).toBe(true)
  expect([...reasons].filter(reason => /Cannot read|is not a|undefined|DataView|unhandled/.test(reason))).toEqual([])
})
