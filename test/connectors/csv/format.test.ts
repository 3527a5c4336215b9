import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { gzip } from 'node:zlib'
import { type DuckDBConnection, DuckDBInstance } from '@duckdb/node-api'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createCsvFormat } from '../../../connectors/csv/format.ts'
import { createCsvRecords } from '../../../connectors/csv/records.ts'
import { parseColumnType } from '../../../src/core/types.ts'
import { type CsvOptions, csv } from '../../../src/index.ts'
import type { CsvSettings } from '../../../connectors/csv/settings.ts'
import { findColumn } from '../../../src/plan/find-column.ts'
import type { ScannedColumn } from '../../../src/plan/format.ts'
import { runs } from '../../engine/harness.ts'
import { sharedData } from '../../shared-data.ts'

let folder: string
let connection: DuckDBConnection
let count = 0
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'millrace-csv-'))
  connection = await (await DuckDBInstance.create(':memory:', { threads: '2' })).connect()
})
afterAll(async () => {
  connection.closeSync()
  await rm(folder, { recursive: true })
})

const settingsOf = (options: CsvOptions) => csv(options).settings as CsvSettings
const { signal } = new AbortController()
const type = parseColumnType('VARCHAR', 'column')

/** Rows as DuckDB gets them: values of the declared columns, or { broken: text }; or why the object is bad. */
async function read(body: string | Uint8Array, columns: readonly string[], options: CsvOptions = {}, key = 'a.csv') {
  const format = createCsvFormat(settingsOf(options))
  const file = join(folder, `${count++}`)
  await writeFile(file, body)
  const ready = await format.ready({ file, changed: `${file}.rows`, key, columns, signal })
  if (ready.is === 'bad') return ready.reason
  const { columns: own = [] } = ready
  const found: ScannedColumn[] = []
  for (const name of columns) {
    const column = findColumn(name, own)
    if (column.is !== 'found') return `column '${name}' is ${column.is}`
    found.push({ name, from: name, type, at: column.at })
  }
  await connection.run(`CREATE TABLE t AS ${format.read([ready.file], own, columns)}`)
  const reader = await connection.runAndReadAll(
    `FROM (${format.scan('(SELECT rowid AS _row, * FROM t)', found, own)}) ORDER BY _row`,
  )
  await connection.run('DROP TABLE t')
  return reader.getRows().map(([row, part, isBroken, _expected, text, ...values], index) => {
    expect([row, part]).toEqual([BigInt(index), 0])
    return isBroken === true ? { broken: text } : values
  })
}

describe('records', () => {
  test.each<[string, string, CsvOptions, unknown]>([
    [
      'line feeds',
      'a,b\n1,2\n3,4\n',
      {},
      [
        ['1', '2'],
        ['3', '4'],
      ],
    ],
    [
      'line ends of Windows, the last one missing',
      'a,b\r\n1,2\r\n3,4',
      {},
      [
        ['1', '2'],
        ['3', '4'],
      ],
    ],
    [
      'both',
      'a,b\r\n1,2\n3,4\r\n5,6\n',
      {},
      [
        ['1', '2'],
        ['3', '4'],
        ['5', '6'],
      ],
    ],
    ['a byte order mark', '\uFEFFa,b\n1,2\n', {}, [['1', '2']]],
    ['a byte order mark before a quote', '\uFEFF"a",b\n1,2\n', {}, [['1', '2']]],
    ['columns in another order and case, and others', 'x,B,A\n0,2,1\n', {}, [['1', '2']]],
    [
      'empty lines',
      '\n\na,b\n\n1,2\n\r\n3,4\n\n',
      {},
      [
        ['1', '2'],
        ['3', '4'],
      ],
    ],
    [
      'line ends inside quotes',
      'a,b\n1,"x\ny"\n"p\r\nq",4\n',
      {},
      [
        ['1', 'x\ny'],
        ['p\r\nq', '4'],
      ],
    ],
    ['quotes inside quotes', 'a,b\n"say ""a""",""""\n', {}, [['say "a"', '"']]],
    ['delimiters inside quotes', 'a,b\n"1,5","2;"\n', {}, [['1,5', '2;']]],
    [
      'NULL and empty text',
      'a,b\n,""\n"",\n',
      {},
      [
        [null, ''],
        ['', null],
      ],
    ],
    [
      'another text for NULL',
      'a,b\nNULL,"NULL"\n,null\n',
      { nullText: 'NULL' },
      [
        [null, 'NULL'],
        ['', 'null'],
      ],
    ],
    ['\\N as NULL', 'a,b\n\\N,x\n', { nullText: '\\N' }, [[null, 'x']]],
    ['spaces, which are kept', 'a,b\n 1 , 2\n', {}, [[' 1 ', ' 2']]],
    ['a semicolon', 'a;b\n1,5;2\n', { delimiter: ';' }, [['1,5', '2']]],
    ['a tab and no quotes', 'a\tb\n"1\t2"\n', { delimiter: '\t', quote: '' }, [['"1', '2"']]],
    ['a pipe and single quotes', "a|b\n'1|5'|'it''s'\n", { delimiter: '|', quote: "'" }, [['1|5', "it's"]]],
    ['an escape of its own', 'a,b\n"say \\"a\\"","\\\\"\n', { escape: '\\' }, [['say "a"', '\\']]],
    [
      'no header',
      '1,2\n3,4\n',
      { header: false },
      [
        ['1', '2'],
        ['3', '4'],
      ],
    ],
    ['a quoted header', '"a","b ""x"""\n1,2\n', {}, 'missing'],
    ['only a header', 'a,b\n', {}, []],
    ['nothing, without a header', '', { header: false }, []],
    ['text beyond ASCII', 'a,b\nß,"😀"\n', {}, [['ß', '😀']]],
  ])('%s', async (_, text, options, expected) => {
    if (expected === 'missing') expect(await read(text, ['a', 'b "x"'], options)).toEqual([['1', '2']])
    else expect(await read(text, ['a', 'b'], options)).toEqual(expected)
  })

  test.each<[string, string, CsvOptions, unknown]>([
    ['too few fields', 'a,b\n1,2\n3\n4,5\n', {}, [['1', '2'], { broken: '3' }, ['4', '5']]],
    ['too many fields', 'a,b\n1,2,3\n4,5\n', {}, [{ broken: '1,2,3' }, ['4', '5']]],
    ['too many without a header', '1,2,3\n4,5\n', { header: false }, [{ broken: '1,2,3' }, ['4', '5']]],
    ['text behind a quote', 'a,b\n1,"x"y\n4,5\n', {}, [{ broken: '1,"x"y' }, ['4', '5']]],
    ['a quote inside', 'a,b\n1,5" pipe\n4,5\n', {}, [{ broken: '1,5" pipe' }, ['4', '5']]],
    ['a lone carriage return', 'a,b\n1\r2,3\n4,5\n', {}, [{ broken: '1\r2,3' }, ['4', '5']]],
    ['two carriage returns', 'a,b\n1,2\r\r\n4,5\n', {}, [{ broken: '1,2\r' }, ['4', '5']]],
    ['an escape of nothing', 'a,b\n1,"\\x"\n4,5\n', { escape: '\\' }, [{ broken: '1,"\\x"' }, ['4', '5']]],
    ['a broken record of many lines', 'a,b\n"x\ny"\n4,5\n', {}, [{ broken: '"x\ny"' }, ['4', '5']]],
    ['a broken one at the end', 'a,b\n4,5\n6', {}, [['4', '5'], { broken: '6' }]],
  ])('a bad row with its text: %s', async (_, text, options, expected) => {
    expect(await read(text, ['a', 'b'], options)).toEqual(expected)
  })

  test('a row that is no UTF-8 is a bad row, and the others are not', async () => {
    const body = Buffer.concat([Buffer.from('a,b\n1,2\n'), Buffer.from([0x33, 0x2c, 0xff]), Buffer.from('\n4,5\n')])
    expect(await read(body, ['a', 'b'])).toEqual([['1', '2'], { broken: '3,\uFFFD' }, ['4', '5']])
  })

  test('a record of more than a megabyte is a bad row, cut to 1,000 characters', async () => {
    const long = 'x'.repeat(3_000_000)
    expect(await read(`a,b\n1,"${long}"\r\n4,5\n`, ['a', 'b'])).toEqual([
      { broken: `1,"${'x'.repeat(997)}` },
      ['4', '5'],
    ])
    const fits = 'x'.repeat(1_000_000)
    expect(await read(`a,b\n1,${fits}\n`, ['a', 'b'])).toEqual([['1', fits]])
  })

  test.each([
    ['', {}, 'it is empty; expected a header'],
    ['\n\n', {}, 'it is empty; expected a header'],
    [
      'a,b"c\n1,2\n',
      {},
      "its header: expected a CSV record whose quotes stand around whole fields and are closed, with its line end outside of them, found 'a,b\"c'",
    ],
    ['a,b,A\n1,2,3\n', {}, undefined],
    ['A,b,a\n3,2,1\n', {}, undefined],
    ['b,A,A\n1,2,3\n', {}, "column 'a' is ambiguous"],
    ['a,b,a\n1,2,3\n', {}, "column 'a' is ambiguous"],
    ['a,b\n1,2\n3,"4\n5,6\n', {}, 'the quote that opens in record 3 is never closed'],
  ])('an object that is bad as a whole: %j', async (text, options, reason) => {
    const found = await read(text, ['a', 'b'], options)
    if (reason === undefined) expect(found).toEqual([['1', '2']])
    else expect(found).toBe(reason)
  })

  test('columns that are not declared may have no name, or one name twice', async () => {
    expect(await read(',x,x,a,b,x#2\n0,1,2,3,4,5\n', ['a', 'b', 'x#2'])).toEqual([['3', '4', '5']])
  })

  test('gzip is read through, and a stream that is cut off is a bad object', async () => {
    const body = await promisify(gzip)('a,b\n1,2\n3\n')
    expect(await read(body, ['a', 'b'], {}, 'a.csv.gz')).toEqual([['1', '2'], { broken: '3' }])
    expect(await read(body.subarray(0, -5), ['a', 'b'], {}, 'a.csv.gz')).toBe(
      'its gzip stream is broken: unexpected end of file',
    )
  })
})

describe('properties', () => {
  const options = fc.record({
    header: fc.boolean(),
    delimiter: fc.constantFrom(',', ';', '\t', '|', '^'),
    quote: fc.constantFrom('"', "'"),
    isEscaped: fc.boolean(),
    nullText: fc.constantFrom('', 'NULL', '\\N', 'x'),
    lineEnd: fc.constantFrom('\n', '\r\n'),
    isLastEnded: fc.boolean(),
  })
  const character = fc.constantFrom(...'ax1 ,;\t|^"\'\\\n\r', '\r\n', 'é', '😀', 'NULL', '\\N', '#')
  const field = fc.option(
    fc.array(character, { maxLength: 6 }).map(parts => parts.join('')),
    { freq: 5 },
  )
  const table = fc
    .integer({ min: 1, max: 4 })
    .chain(width => fc.array(fc.array(field, { minLength: width, maxLength: width }), { maxLength: 8 }))

  test('whatever is written comes back, in every dialect (S17, S18)', async () => {
    await fc.assert(
      fc.asyncProperty(table, options, async (rows, { lineEnd, isLastEnded, isEscaped: wanted, ...dialect }) => {
        const isEscaped = wanted && !dialect.nullText.includes('\\')
        const width = rows[0]?.length ?? 2
        const names = Array.from({ length: width }, (_, index) => `c${index}`)
        const escape = isEscaped ? '\\' : dialect.quote
        const quoted = (value: string) =>
          `${dialect.quote}${[...value].map(c => (c === dialect.quote || c === escape ? `${escape}${c}` : c)).join('')}${dialect.quote}`
        const lines = [...(dialect.header ? [names] : []), ...rows].map(row =>
          row.map(value => (value === null ? dialect.nullText : quoted(value))).join(dialect.delimiter),
        )
        // A line of one NULL that is written as nothing is an empty line, which is no record.
        const expected = rows.filter(row => width > 1 || row[0] !== null || dialect.nullText !== '')
        const text = lines.join(lineEnd) + (isLastEnded && lines.length > 0 ? lineEnd : '')
        if (text === '' && dialect.header) return
        expect(await read(text, names, { ...dialect, escape })).toEqual(expected)
      }),
      runs(150),
    )
  })

  test('records do not depend on the pieces that the text comes in', () => {
    fc.assert(
      fc.property(
        fc.array(character, { maxLength: 30 }),
        fc.infiniteStream(fc.integer({ min: 1, max: 7 })),
        (parts, sizes) => {
          const text = Buffer.from(parts.join(''))
          const cut = (next: () => number) => {
            const found: unknown[] = []
            const records = createCsvRecords(settingsOf({}), ({ raw, fields, fault }) =>
              found.push([raw.toString('latin1'), fields, fault]),
            )
            for (let at = 0; at < text.length; ) {
              const end = at + next()
              records.push(text.subarray(at, end))
              at = end
            }
            return [...found, records.end()]
          }
          expect(cut(() => sizes.next().value as number)).toEqual(cut(() => 1000))
        },
      ),
      runs(1000),
    )
  })

  const tlc = sharedData('tlc')
  test.skipIf(!tlc.isThere)('the zones of New York’s TLC are those that DuckDB reads', async () => {
    const names = ['LocationID', 'Borough', 'Zone', 'service_zone']
    const path = join(tlc.path, 'taxi_zone_lookup.csv')
    const found = await read(await readFile(path), names)
    const expected = await connection.runAndReadAll(`FROM read_csv('${path}', all_varchar = true)`)
    expect(found).toHaveLength(265)
    expect(found).toEqual(expected.getRows())
  })
})
