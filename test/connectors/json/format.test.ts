import { gzipSync } from 'node:zlib'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createJsonFormat, jsonFormat } from '../../../connectors/json/format.ts'
import { brokenText } from '../../../connectors/json/row-writer.ts'
import { createJsonRows } from '../../../connectors/json/rows.ts'
import type { Format } from '../../../src/plan/format.ts'
import { type ObjectReader, openObjectReader } from '../../contracts/object-reader.ts'
import { runs } from '../../engine/harness.ts'

let reader: ObjectReader
beforeAll(async () => {
  reader = await openObjectReader()
})
afterAll(() => reader[Symbol.asyncDispose]())

/** Field `a` of the rows of one object in their order, `! text` of a broken one; or why the object is bad. */
async function read(body: string | Uint8Array, format: Format = jsonFormat, key = 'a.json', type = 'JSON') {
  const [reading] = await reader.read(format, { a: type }, { [key]: body })
  if (!reading || reading.reason !== null) return reading?.reason
  const rows = reading.rows.map(({ _row, a }) => [Number(_row), a] as const)
  const aside = reading.aside.map(({ _row, found }) => [Number(_row), `! ${String(found)}`] as const)
  const all = [...rows, ...aside].toSorted((x, y) => x[0] - y[0])
  expect(all.map(([row]) => row)).toEqual(all.map((_, index) => index))
  return all.map(([, value]) => value)
}

describe('JSON is read as it lies (S17, S18)', () => {
  const rows = ['{"a":1}', '{"a":[2,"\\"}]"]}', '{"b":0,"a":3}']
  const values = ['1', '[2,"\\"}]"]', '3']

  test.each([
    ['lines', rows.join('\n')],
    ['on one line', rows.join('')],
    ['on one line, with blanks', `${rows.join(' ')}\n`],
    ['an array', `[${rows.join(',')}]`],
    ['an array over many lines', `[\n  ${rows.join(',\n  ')}\n]\n`],
    ['objects over many lines', rows.map(row => JSON.stringify(JSON.parse(row), null, 2)).join('\n')],
    ['one line, then many lines', `${rows[0]}\n${rows[1]}${rows[2]}`],
    ['a byte order mark', `\uFEFF[${rows.join(',')}]`],
  ])('%s', async (_, text) => {
    expect(await read(text)).toEqual(values)
    expect(await read(gzipSync(text), jsonFormat, 'a.json.gz')).toEqual(values)
  })

  test('records in an array of each object', async () => {
    const text = `{"meta":[1],"detail":{"Records":[${rows.join(',')}]}}`
    expect(await read(text, createJsonFormat({ records: 'detail.Records' }))).toEqual(values)
    expect(await read(text, createJsonFormat({ records: 'Records' }))).toEqual([`! ${text}`])
  })

  test.each([
    ['{"a":1}\n{"a":2,}\n{"a":NaN}\n{"a":3}\n', ['1', '! {"a":2,}', '! {"a":NaN}', '3']],
    ['{"a":1}\n{"a":"NaN, }"}\n{"b":"x,]","a":2}', ['1', '"NaN, }"', '2']],
    ['{"a":1}\n{"a":\n{"a":2}{"a":3}\n[4]\n', ['1', '! {"a":', '2', '3', '! [4]']],
    ['[{"a":1},{"a":01},{"a":"\\x"},{"a":"\t"},{"a":2}]', ['1', '! {"a":01}', '! {"a":"\\x"}', '! {"a":"\t"}', '2']],
    ['{"a":"\\ud800"}\n{"a":1}', ['! {"a":"\\ud800"}', '1']],
    ['{"a":1,"a":2}', ['1']],
    ['[{"a":1}', 'it ends inside an array or object that is never closed, after 0 rows'],
  ])('what RFC 8259 forbids is a bad row, and of equal names the first counts: %s', async (text, expected) => {
    expect(await read(text)).toEqual(expected)
  })

  test('bytes that are no UTF-8 make a bad row', async () => {
    const body = Buffer.from('{"a":1}\n{"a":"?"}\n{"a":2}\n')
    body[body.indexOf('?')] = 0xe9
    expect(await read(body)).toEqual(['1', '! {"a":"\uFFFD"}', '2'])
  })

  test('a row may be as long as rowBytesMax allows', async () => {
    const line = (bytes: number) => `{"a":"${'x'.repeat(bytes - 8)}"}`
    const [most, more] = [line(20 * 1024 * 1024), line(20 * 1024 * 1024 + 1)]
    const format = createJsonFormat(undefined, most.length)
    const told = (max: number) =>
      `! ${more.slice(0, 900)}... (${more.length} bytes; json({ rowBytesMax }) allows ${max})`
    for (const text of [`{"a":1}\n${most}\n${more}\n{"a":2}`, `{"a":1}${most}${more}{"a":2}`])
      expect(await read(text, format)).toEqual(['1', most.slice(5, -1), told(most.length), '2'])
    expect(await read(`{"a":1}\n${more}\n{"a":2}\n`)).toEqual(['1', told(16 * 1024 * 1024), '2'])
  })

  test('text is read the same, whether DuckDB may read it as it is or not', async () => {
    const objects = ['{"a":1}', '{"a":"x, }"}', ' {"a":[NaN]}', '{"a":[1,]}', '{"a":{"b":null}} ', '{"a":"}{"}', '{}']
    const others = ['\n', '\n', '\r\n', '\n\n', ' ', 'x', '[', ',', ']', '{', '{"a":1', '\n{"a":\n', 'null', '\f', '"']
    const part = fc.constantFrom(...objects, ...others)
    const judged = (row: string) => {
      if (row.startsWith('!')) return row
      try {
        const { a } = JSON.parse(row) as { a?: unknown }
        return a === undefined || a === null ? null : JSON.stringify(a)
      } catch {
        return `! ${row}`
      }
    }
    await fc.assert(
      fc.asyncProperty(fc.array(part, { maxLength: 12 }), async parts => {
        const expected: (string | null)[] = []
        const rows = createJsonRows({ rowBytesMax: 1024 * 1024 }, line =>
          expected.push(judged(line[0] === 123 ? line.toString() : `! ${brokenText(line)}`)),
        )
        rows.push(Buffer.from(parts.join('')))
        const reason = rows.end()
        expect(await read(parts.join(''))).toEqual(reason ?? expected)
      }),
      runs(200),
    )
  })
})

test('a number under a DECIMAL column has the digits that its line has', async () => {
  const long = '1234567890123456.78'
  const lines = [
    `{"a":${long}}`,
    `{"x":"m","a"\t:  ${long} ,"y":1}`,
    '{"a":12345678901234567890123456789012345678}',
    `{"a":"${long}"}`,
    '{"a":1.50}',
    '{"a":15e-1}',
    '{"a":null}',
    // A nested number of the same name: DuckDB's DOUBLE, where that says all.
    '{"m":{"a":2.5},"a":1.25}',
    `{"a":${long},"m":{"a":2.5}}`,
    '{"m":{"x":1.5},"a":-0.10000000000000000555}',
  ]
  expect(await read(lines.slice(0, 8).join('\n'), jsonFormat, 'a.json', 'DECIMAL(20,2)')).toEqual([
    long,
    long,
    expect.stringMatching(/^! 1234567890123456789/),
    long,
    '1.50',
    '1.50',
    null,
    '1.25',
  ])
  expect(await read(lines.slice(8).join('\n'), jsonFormat, 'a.json', 'DECIMAL(20,2)')).toEqual([
    expect.stringContaining('write it as a string'),
    '! -0.10000000000000000555',
  ])
})
