import { expect, test } from 'vitest'
import { createAsides } from '../../../src/status/page/asides.ts'
import { hostile } from './chromium.ts'

const totals = { rows: 9, objects: 9, epochs: 1, late: 0, quarantinedRows: 0, setAside: 0 }
const bad = (column: string | null, rows: number) => ({ column, expected: 'BIGINT', rows, object: 'a.jsonl' })

test('what nobody has told apart is told, so that the counts are those of the checkpoint', () => {
  const asides = createAsides(false, 'npx millrace')
  asides.addBadRows(bad('n', 2))
  asides.addBadRows(bad('n', 3))
  asides.addLateRows({ reason: 'too late', rows: 4, object: null })
  const found = asides.facts('s3://lake/ck', { ...totals, late: 4, quarantinedRows: 7, setAside: 1 })
  expect(found.map(({ what, reason, count, example }) => [what, reason, count, example])).toEqual([
    ['late rows', 'too late', 4, null],
    ['bad rows', "column 'n': expected BIGINT", 5, 'a.jsonl'],
    ['bad rows', expect.stringContaining('before this process began'), 2, null],
    ['objects', expect.stringContaining('before this process began'), 1, null],
  ])
  expect(found.map(({ command }) => command.split(' ').slice(0, 4))).toEqual([
    ...Array.from({ length: 3 }, () => ['npx', 'millrace', 'sql', 's3://lake/ck']),
    ['npx', 'millrace', 'retry', 's3://lake/ck'],
  ])
})

test('reasons are bounded in number and length, and none is lost', () => {
  const asides = createAsides(false, 'millrace')
  for (let n = 0; n < 200; n++) asides.addObject({ key: `k${n}`, reason: `reason ${n} ${'x'.repeat(1_000)}` })
  const found = asides.facts('/ck', { ...totals, setAside: 200 })
  expect(found).toHaveLength(51)
  expect(found.at(-1)).toMatchObject({ reason: 'other reasons', count: 150, command: 'millrace retry /ck' })
  expect(Math.max(...found.map(({ reason }) => reason.length))).toBe(300)
})

test('a value is for those who may see it, of the reason that it is of', () => {
  const texts = [true, false].map(showsValues => {
    const asides = createAsides(showsValues, 'millrace')
    asides.addBadRows(bad('n', 1))
    asides.addBadRows(bad(null, 1))
    asides.addExample({ column: 'n', expected: 'BIGINT', object: 'a.jsonl', row: 0, found: 'a\nvalue' })
    asides.addObject({ key: 'k', reason: "row 3: found 'a value'" })
    return asides.facts('/ck', totals).map(({ reason }) => reason)
  })
  const broken = 'the row is broken: expected BIGINT'
  expect(texts).toEqual([
    [String.raw`column 'n': expected BIGINT, such as 'a\u000avalue'`, broken, "row 3: found 'a value'"],
    ["column 'n': expected BIGINT", broken, 'row 3 …'],
  ])
})

test('an object with any key is one word of the command that has it read again', () => {
  const asides = createAsides(false, 'npx millrace')
  asides.addObject({ key: hostile, reason: `'${hostile}' is no Parquet` })
  const [found] = asides.facts('file:///data/my%20ck', totals)
  expect(found?.command).toBe(`npx millrace retry '/data/my ck' '--object=${hostile.replaceAll("'", `'\\''`)}'`)
  expect(found?.reason).toBe('it is no Parquet')
})
