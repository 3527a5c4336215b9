import { writeFileSync } from 'node:fs'
import { readFile, rm, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { gzipSync, zstdCompressSync } from 'node:zlib'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { count, csv, max, sum } from '../../src/index.ts'
import {
  failure,
  followUntil,
  type Lab,
  openLab,
  outputFiles,
  outputHashes,
  run,
  windowed,
  type WindowedFlow,
} from './harness.ts'

let lab: Lab
beforeEach(async () => {
  lab = await openLab()
})
afterEach(() => lab[Symbol.asyncDispose]())

const flow: WindowedFlow = {
  columns: { t: 'TIMESTAMP NOT NULL', k: 'VARCHAR', v: 'BIGINT' },
  delay: '0s',
  keys: ['k'],
  aggregates: { n: count(), total: sum('v') },
}
/** One row in the hour. */
const good = (hour: number, v = '1') =>
  `SELECT TIMESTAMP '2022-01-01' + INTERVAL (${hour}) HOUR AS t, 'a' AS k, CAST(${v} AS BIGINT) AS v`
const goodLine = (hour: number, v: unknown = 1) =>
  JSON.stringify({ t: `2022-01-01T${String(hour).padStart(2, '0')}:00:00Z`, k: 'a', v })

const counted = async (at?: Parameters<Lab['rows']>[0]) =>
  (await lab.rows(at)).map(({ window_start, n, total }) => `${window_start?.slice(11, 13)}: ${n} ${total}`)

/** Nothing of a failed run shows: no output, no ledger, no totals. */
async function expectNothing(): Promise<void> {
  expect(await outputFiles(lab.output)).toEqual([])
  const { manifest } = await lab.head()
  expect(manifest).toMatchObject({ epoch: 0, channels: {}, engine: { totals: { rows: 0, objects: 0 }, nextSeq: 1 } })
}

describe('a bad row under onBadRow: fail', () => {
  test.each([
    [
      'parquet',
      `SELECT TIMESTAMP '2022-01-01' AS t, 'a' AS k, 2.5::DOUBLE AS v`,
      "row 0, column 'v': expected BIGINT, found '2.5'",
    ],
    [
      'parquet',
      `SELECT NULL::TIMESTAMP AS t, 'a' AS k, 1::BIGINT AS v`,
      "row 0, column 't': expected TIMESTAMP NOT NULL, found NULL",
    ],
    [
      'parquet',
      `${good(1)} UNION ALL BY NAME SELECT TIMESTAMP '2022-01-01' AS t, 'a' AS k, 9223372036854775808::DECIMAL(20,0) AS v`,
      "row 1, column 'v': expected BIGINT, found '9223372036854775808'",
    ],
    ['json', [goodLine(1), '{"t":"2022-01-01","v":1.5}'], "row 1, column 'v': expected BIGINT, found '1.5'"],
    [
      'json',
      ['{"t":"2022-01-01","v":"a\\n\\u001b[31mb"}'],
      "row 0, column 'v': expected BIGINT, found 'a\\u000a\\u001b[31mb'",
    ],
    [
      'json',
      [goodLine(1), goodLine(2), '{"t":"2022-01-0'],
      'row 2: expected a JSON object (RFC 8259), found \'{"t":"2022-01-0\'',
    ],
    ['json', [goodLine(1), '{"k":"b"}'], "row 1, column 't': expected TIMESTAMP NOT NULL, found NULL"],
    [
      'json',
      ['{"t":"2022-01-01 24:00:00"}'],
      "row 0, column 't': expected TIMESTAMP NOT NULL, found '2022-01-01 24:00:00'",
    ],
    ['json', ['{"t":"2022-01-01","v":{"a":1}}'], `row 0, column 'v': expected BIGINT, found '{"a":1}'`],
  ] as const)(
    '%s: the error names object, row, column, expected and found, and nothing counts (S17): %#',
    async (format, content, message) => {
      const key = `b.${format === 'json' ? 'jsonl' : 'parquet'}`
      // The first object is good and in the same epoch: it does not count either.
      if (format === 'json') await lab.lines('a.jsonl', [goodLine(0)])
      else await lab.parquet('a.parquet', good(0))
      const write = (rows: string | readonly string[]) =>
        typeof rows === 'string' ? lab.parquet(key, rows) : lab.lines(key, rows)
      await write(content)
      const error = await failure(run(windowed(lab, lab, { ...flow, format })))
      expect(error).toMatchObject({ kind: 'fatal', code: 'bad-row' })
      expect(error.message).toContain(`object '${key}', ${message}`)
      await expectNothing()
      // After the fix the next run counts everything once.
      await write(format === 'json' ? [goodLine(2)] : good(2))
      const summary = await run(windowed(lab, lab, { ...flow, format }))
      expect(summary.totals).toMatchObject({ rows: 2, objects: 2, quarantined: 0 })
      expect(await counted()).toEqual(['00: 1 1', '02: 1 1'])
    },
  )

  test('epochs before the bad object stay, the next run continues with it after the fix', async () => {
    for (const hour of [0, 1, 3]) await lab.parquet(`${hour}.parquet`, good(hour))
    await lab.parquet('2.parquet', `SELECT TIMESTAMP '2022-01-01 02:00:00' AS t, 'a' AS k, 'x' AS v`)
    await failure(run(windowed(lab, lab, flow), { objectsPerEpoch: 1 }))
    expect((await lab.head()).manifest).toMatchObject({ epoch: 2, engine: { totals: { objects: 2, rows: 2 } } })
    expect(await counted()).toEqual(['00: 1 1'])
    await lab.parquet('2.parquet', good(2, '7'))
    const summary = await run(windowed(lab, lab, flow), { objectsPerEpoch: 1 })
    expect(summary.totals).toMatchObject({ objects: 4, rows: 4, late: 0 })
    expect(await counted()).toEqual(['00: 1 1', '01: 1 1', '02: 1 7', '03: 1 1'])
  })

  test('a row that a where would drop is checked all the same, as read (S17)', async () => {
    await lab.parquet('a.parquet', `SELECT TIMESTAMP '2022-01-01' AS t, 'drop' AS k, 2.5::DOUBLE AS v`)
    const error = await failure(run(windowed(lab, lab, { ...flow, where: "k <> 'drop'" })))
    expect(error.code).toBe('bad-row')
  })

  test('a declared column that no operator uses is checked too (S17)', async () => {
    await lab.parquet('a.parquet', `SELECT TIMESTAMP '2022-01-01' AS t, 'a' AS k, 'x' AS v`)
    const error = await failure(run(windowed(lab, lab, { ...flow, aggregates: { n: count() } })))
    expect(error.message).toContain("column 'v': expected BIGINT, found 'x'")
  })
})

describe('a bad row under onBadRow: quarantine', () => {
  test('the bad rows go to the quarantine with what was expected and found, once a column; the others count (S17)', async () => {
    await lab.parquet(
      'a.parquet',
      `SELECT * FROM (VALUES ('2022-01-01 00:00:00', 'a', '1'), ('then', 'a', 'x'), (NULL, 'a', '2'), ('2022-01-01 00:30:00', NULL, NULL)) AS x(t, k, v)`,
    )
    const summary = await run(windowed(lab, lab, { ...flow, onBadRow: 'quarantine' }))
    expect(summary.totals).toMatchObject({ rows: 4, quarantinedRows: 2, objects: 1, quarantined: 0 })
    expect((await lab.rows()).map(({ k, n, total }) => [k, n, total])).toEqual([
      ['a', '1', '1'],
      [null, '1', null],
    ])
    expect(
      (await lab.channel('quarantine')).map(({ _seq, object, _row, column, expected, found }) => [
        _seq,
        object,
        _row,
        column,
        expected,
        found,
      ]),
    ).toEqual([
      ['1', 'a.parquet', '1', 't', 'TIMESTAMP NOT NULL', 'then'],
      ['1', 'a.parquet', '1', 'v', 'BIGINT', 'x'],
      ['1', 'a.parquet', '2', 't', 'TIMESTAMP NOT NULL', null],
    ])
  })

  test('a bad row moves no watermark and is not late (S2, S17)', async () => {
    await lab.lines('a.jsonl', [goodLine(1), JSON.stringify({ t: '2022-01-01T09:00:00Z', v: 'bad' })])
    await lab.lines('b.jsonl', [goodLine(2), JSON.stringify({ t: '2022-01-01T00:00:00Z', v: 'bad' })])
    const summary = await run(windowed(lab, lab, { ...flow, format: 'json', onBadRow: 'quarantine' }), {
      objectsPerEpoch: 1,
      flush: false,
    })
    expect(summary.totals).toMatchObject({ late: 0, quarantinedRows: 2 })
    expect((await lab.head()).manifest.engine.watermarks).toMatchObject({
      in: { watermarkUs: `${Date.parse('2022-01-01T02:00:00Z')}000` },
    })
  })
})

test('a policy may change between runs: what stopped under fail goes on under quarantine (S17)', async () => {
  await lab.parquet('0.parquet', good(0))
  await lab.parquet('1.parquet', `SELECT TIMESTAMP '2022-01-01 01:00:00' AS t, 'a' AS k, 2.5::DOUBLE AS v`)
  await lab.parquet('2.parquet', good(2))
  expect(await failure(run(windowed(lab, lab, flow), { objectsPerEpoch: 1 }))).toMatchObject({ code: 'bad-row' })
  const summary = await run(windowed(lab, lab, { ...flow, onBadRow: 'quarantine' }), { objectsPerEpoch: 1 })
  expect(summary.totals).toMatchObject({ objects: 3, rows: 3, quarantinedRows: 1 })
  expect(await counted()).toEqual(['00: 1 1', '02: 1 1'])
})

const broken: Readonly<Record<string, { write: () => Promise<unknown>; reason: RegExp }>> = {
  'a missing column': {
    write: () => lab.parquet('1.parquet', `SELECT TIMESTAMP '2022-01-01 01:00:00' AS t, 'a' AS k`),
    reason: /column 'v' is missing; expected BIGINT, the object has t, k/,
  },
  'a column that can never be the declared type': {
    write: () => lab.parquet('1.parquet', `SELECT 1640998800 AS t, 'a' AS k, {'a': 1} AS v`),
    reason: /column 't': BIGINT can never be read as TIMESTAMP|column 'v'/,
  },
  'text that is no Parquet': {
    write: () => writeFile(join(lab.input, '1.parquet'), 'not a parquet file at all'),
    reason: /1\.parquet.*/,
  },
  'an empty file': { write: () => writeFile(join(lab.input, '1.parquet'), ''), reason: /./ },
  'a truncated file': {
    write: async () => {
      const file = await lab.parquet('1.parquet', good(1))
      await truncate(file, (await readFile(file)).length - 20)
    },
    reason: /./,
  },
}

describe.each(Object.keys(broken))('an object that cannot be read: %s', what => {
  const { write, reason } = broken[what] as { write: () => Promise<unknown>; reason: RegExp }
  beforeEach(async () => {
    await lab.parquet('0.parquet', good(0))
    await write()
    await lab.parquet('2.parquet', good(2))
  })

  test.each(['quarantine', 'skip'] as const)(
    '%s: it is in the ledger with the reason, the others count, and it is not tried again (S17)',
    async onBadObject => {
      const summary = await run(windowed(lab, lab, { ...flow, onBadObject }))
      expect(summary.totals).toMatchObject({
        objects: 3,
        rows: 2,
        quarantined: onBadObject === 'quarantine' ? 1 : 0,
        skipped: onBadObject === 'skip' ? 1 : 0,
      })
      expect(await counted()).toEqual(['00: 1 1', '02: 1 1'])
      const [, entry] = await lab.channel('ledger')
      expect(entry).toMatchObject({
        key: '1.parquet',
        outcome: onBadObject === 'skip' ? 'skipped' : 'quarantined',
        rows: '0',
        high_mark_us: null,
      })
      expect(entry?.reason).toMatch(reason)
      expect(entry?.reason).not.toContain(lab.root)
      expect(entry?.reason).not.toMatch(/spool/)
      expect(summary.run.setAside).toEqual([{ key: '1.parquet', reason: entry?.reason }])
      expect(await run(windowed(lab, lab, { ...flow, onBadObject }))).toMatchObject({ nothingToDo: true })
    },
  )

  test('fail: the error names the object, nothing counts, and after the fix the next run counts all (S17)', async () => {
    const error = await failure(run(windowed(lab, lab, { ...flow, onBadObject: 'fail' })))
    expect(error).toMatchObject({ kind: 'fatal', code: 'bad-object' })
    expect(error.message).toContain("object '1.parquet'")
    await expectNothing()
    await lab.parquet('1.parquet', good(1, '5'))
    await run(windowed(lab, lab, { ...flow, onBadObject: 'fail' }))
    expect(await counted()).toEqual(['00: 1 1', '01: 1 5', '02: 1 1'])
  })

  test('a corrected version of a quarantined key counts: nothing of it was counted before (S7)', async () => {
    await run(windowed(lab, lab, flow), { flush: false })
    await lab.parquet('1.parquet', good(5, '7'))
    const summary = await run(windowed(lab, lab, flow))
    expect(summary.totals).toMatchObject({ objects: 4, rows: 3, quarantined: 1 })
    expect(await counted()).toEqual(['00: 1 1', '02: 1 1', '05: 1 7'])
  })
})

describe('drift between months (S17)', () => {
  test('INT32, BIGINT, DOUBLE with whole values, text, DECIMAL and a column of only NULLs are one BIGINT', async () => {
    const month = (hour: number, v: string) =>
      lab.parquet(
        `${hour}.parquet`,
        `SELECT TIMESTAMP '2022-01-01' + INTERVAL (${hour}) HOUR AS t, 'a' AS k, ${v} AS v`,
      )
    await month(0, '1::INTEGER')
    await month(1, '2::BIGINT')
    await month(2, '3::DOUBLE')
    await month(3, `'4'`)
    await month(4, '5.00::DECIMAL(9,2)')
    await month(5, 'NULL')
    await month(6, '7::UTINYINT')
    const whole = await run(windowed(lab, lab, flow))
    expect(whole.totals).toMatchObject({ rows: 7, quarantined: 0, quarantinedRows: 0 })
    expect(await counted()).toEqual(['00: 1 1', '01: 1 2', '02: 1 3', '03: 1 4', '04: 1 5', '05: 1 null', '06: 1 7'])
    // One at a time they are the same: no object's types decide for another's.
    const single = lab.place('single')
    await run(windowed(lab, single, flow), { objectsPerEpoch: 1 })
    expect(await lab.rows(single)).toEqual(await lab.rows())
  })

  test('a column that is written in other case is the same column', async () => {
    await lab.parquet('0.parquet', `SELECT TIMESTAMP '2022-01-01' AS "T", 'a' AS "K", 3::BIGINT AS "V"`)
    await run(windowed(lab, lab, flow))
    expect(await counted()).toEqual(['00: 1 3'])
  })

  test('a column of the name that DuckDB gives to row numbers is a column like any other, and rows keep theirs', async () => {
    const named = { ...flow, columns: { t: 'TIMESTAMP NOT NULL', File_Row_Number: 'BIGINT', v: 'BIGINT' }, keys: [] }
    const aggregates = { n: count(), total: sum('File_Row_Number') }
    await lab.parquet(
      '0.parquet',
      `SELECT TIMESTAMP '2022-01-01' AS t, i * 10 AS file_row_number, if(i = 4321, 'x', '1') AS v FROM range(9000) AS r(i)`,
      'ROW_GROUP_SIZE 2048',
    )
    const summary = await run(windowed(lab, lab, { ...named, aggregates, onBadRow: 'quarantine' }))
    expect(summary.totals).toMatchObject({ rows: 9000, quarantined: 0, quarantinedRows: 1 })
    expect((await lab.rows()).map(({ n, total }) => [n, total])).toEqual([['8999', String(404_955_000 - 43_210)]])
    expect((await lab.channel('quarantine')).map(({ _row }) => _row)).toEqual(['4321'])
  })

  test('a field of a struct is a column by its path, in expressions and as a key; without it the object is bad', async () => {
    const fields = { t: 'TIMESTAMP NOT NULL', 'place.zone.id': 'BIGINT', 'Place.name': 'VARCHAR' }
    const paths: WindowedFlow = { ...flow, columns: fields, keys: ['place.zone.id'], aggregates: { n: count() } }
    const row = (id: string, name: string) =>
      `SELECT TIMESTAMP '2022-01-01' AS t, {'zone': {'id': ${id}}, 'name': ${name}} AS place`
    await lab.parquet('0.parquet', `${row('7', `'a'`)} UNION ALL ${row('8', `'b'`)} UNION ALL ${row('NULL', `'a'`)}`)
    await lab.parquet('1.parquet', `SELECT TIMESTAMP '2022-01-01' AS t, {'name': 'a'} AS place`)
    await lab.parquet('2.parquet', row(`'9.5'`, `'a'`))
    const summary = await run(windowed(lab, lab, { ...paths, onBadRow: 'quarantine', where: `"Place.name" = 'a'` }))
    expect((await lab.rows()).map(rowOf => [rowOf['place.zone.id'], rowOf.n])).toEqual([
      ['7', '1'],
      [null, '1'],
    ])
    expect(summary.run.setAside).toEqual([
      {
        key: '1.parquet',
        reason: "column 'place.zone.id' is missing; expected BIGINT, the object has t, place.name",
      },
    ])
    const [bad] = await lab.channel('quarantine')
    expect(bad).toMatchObject({ object: '2.parquet', column: 'place.zone.id', expected: 'BIGINT', found: '9.5' })
  })

  test('DOUBLE amounts are DECIMAL(18,2) by value, a third digit is a bad row', async () => {
    const declared = { ...flow, columns: { ...flow.columns, v: 'DECIMAL(18,2)' } }
    await lab.parquet(
      '0.parquet',
      `SELECT TIMESTAMP '2022-01-01' AS t, 'a' AS k, v FROM (VALUES (0.1::DOUBLE), (12.35), (-0.01)) AS x(v)`,
    )
    await run(windowed(lab, lab, declared), { flush: false })
    await lab.parquet('1.parquet', `SELECT TIMESTAMP '2022-01-01' AS t, 'a' AS k, 12.345::DOUBLE AS v`)
    const error = await failure(run(windowed(lab, lab, declared)))
    expect(error.message).toContain("object '1.parquet', row 0, column 'v': expected DECIMAL(18,2), found '12.345'")
    await rm(join(lab.input, '1.parquet'))
    await run(windowed(lab, lab, declared))
    expect(await counted()).toEqual(['00: 3 12.44'])
  })

  test('TIMESTAMP, TIMESTAMPTZ, nanoseconds, DATE and text with an offset are one TIMESTAMP, in UTC', async () => {
    const times = [
      `TIMESTAMP '2022-01-01 00:00:00'`,
      `TIMESTAMPTZ '2022-01-01 03:00:00+02:00'`,
      `TIMESTAMP_NS '2022-01-01 02:00:00'`,
      `'2022-01-01T01:00:00-03:00'`,
      `DATE '2022-01-02'`,
    ]
    for (const [index, t] of times.entries())
      await lab.parquet(`${index}.parquet`, `SELECT ${t} AS t, 'a' AS k, 1::BIGINT AS v`)
    await run(windowed(lab, lab, flow))
    expect((await lab.rows()).map(({ window_start }) => window_start?.slice(8, 13))).toEqual([
      '01 00',
      '01 01',
      '01 02',
      '01 04',
      '02 00',
    ])
  })
})

describe('JSON lines as they are sent', () => {
  const json: WindowedFlow = { ...flow, format: 'json', onBadRow: 'quarantine' }
  const put = (key: string, body: string | Uint8Array) => writeFile(join(lab.input, key), body)

  test('plain, with a byte order mark, of gzip and of zstd they count the same, and rows keep their numbers', async () => {
    const text = `${[goodLine(1), goodLine(1, 'x'), '{"t', goodLine(1, 5)].join('\n')}\n`
    await put('a.jsonl', text)
    await put('b.json', `\uFEFF${text}`)
    await put('c.jsonl.gz', Buffer.concat([gzipSync(text.slice(0, 50)), gzipSync(text.slice(50))]))
    await put('d.NDJSON.ZST', Buffer.concat([zstdCompressSync(text.slice(0, 50)), zstdCompressSync(text.slice(50))]))
    const summary = await run(windowed(lab, lab, json))
    expect(summary.totals).toMatchObject({ objects: 4, rows: 16, quarantinedRows: 8, quarantined: 0 })
    expect(await counted()).toEqual(['01: 8 24'])
    const aside = (await lab.channel('quarantine')).map(({ object, _row, found }) => `${object} ${_row} ${found}`)
    expect(aside).toEqual(
      ['a.jsonl', 'b.json', 'c.jsonl.gz', 'd.NDJSON.ZST'].flatMap(key => [`${key} 1 x`, `${key} 2 {"t`]),
    )
  })

  test('a stream that is cut off is a bad object, of which no row counts', async () => {
    const text = Array.from({ length: 5000 }, (_, i) => goodLine(1, i)).join('\n')
    await put('0.jsonl', goodLine(0))
    await put('1.jsonl.gz', gzipSync(text).subarray(0, -9))
    await put('2.jsonl.zst', zstdCompressSync(text).subarray(0, -9))
    const summary = await run(windowed(lab, lab, json))
    expect(summary.totals).toMatchObject({ objects: 3, rows: 1, quarantined: 2 })
    expect(summary.run.setAside).toEqual([
      { key: '1.jsonl.gz', reason: 'its gzip stream is broken: unexpected end of file' },
      { key: '2.jsonl.zst', reason: 'its zstd stream is broken: unexpected end of file' },
    ])
    const again = lab.place('again')
    const error = await failure(run(windowed(lab, again, { ...json, onBadObject: 'fail' })))
    // Objects of a mini-batch are fetched at the same time.
    expect(error.message).toMatch(/object '\d\.jsonl\.\w+' cannot be read: its \w+ stream is broken: unexpected end/)
  })
})

describe('CSV', () => {
  const csvFlow: WindowedFlow = { ...flow, format: csv(), onBadRow: 'quarantine' }
  const text =
    't,k,v,extra\r\n2022-01-01T01:00:00Z,a,1,x\r\n2022-01-01T01:00:00Z,a,1.5,x\r\n2022-01-01T01:00:00Z,a\r\n"2022-01-01 01:30:00",a,"4","two\nlines"\r\n,a,2,x\r\n'

  test('fields are cast by value, bad rows are set aside with their text and number, plain and compressed (S17, S18)', async () => {
    await writeFile(join(lab.input, 'a.csv'), text)
    await writeFile(join(lab.input, 'b.csv.gz'), gzipSync(`\uFEFF${text}`))
    await writeFile(join(lab.input, 'c.CSV.zst'), zstdCompressSync(text))
    await writeFile(join(lab.input, 'd.txt'), text)
    const summary = await run(windowed(lab, lab, csvFlow))
    expect(summary.totals).toMatchObject({ objects: 3, rows: 15, quarantinedRows: 9, quarantined: 0 })
    expect(summary.run.ignored).toBe(1)
    expect(await counted()).toEqual(['01: 6 15'])
    const aside = (await lab.channel('quarantine')).filter(({ object }) => object === 'a.csv')
    expect(aside.map(({ _row, column, expected, found }) => [_row, column, expected, found])).toEqual([
      ['1', 'v', 'BIGINT', '1.5'],
      ['2', '', 'a CSV record of 4 fields, as the header has, and not of 2', '2022-01-01T01:00:00Z,a'],
      ['4', 't', 'TIMESTAMP NOT NULL', null],
    ])
  })

  test('a broken record says what is wrong with it: its length, its encoding, its quotes or its fields', async () => {
    const records = [
      Buffer.from(`2022-01-01,"${'x'.repeat(40_000_000)}",1`),
      Buffer.from('2022-01-01,caf\u00e9,1', 'latin1'),
      Buffer.from('2022-01-01,a"b,1'),
      Buffer.from('2022-01-01,a,1,2'),
    ]
    await writeFile(
      join(lab.input, 'a.csv'),
      Buffer.concat([Buffer.from('t,k,v'), ...records].flatMap(line => [line, Buffer.from('\n')])),
    )
    await writeFile(join(lab.input, 'b.csv'), Buffer.from('t,k,caf\u00e9\n', 'latin1'))
    const summary = await run(windowed(lab, lab, { ...csvFlow, onBadObject: 'quarantine' }))
    expect((await lab.channel('quarantine')).map(({ expected, found }) => [expected, found?.slice(0, 16)])).toEqual([
      ['a CSV record of at most 1 MiB (rows of JSON may be longer)', '2022-01-01,"xxxx'],
      ['a CSV record in UTF-8 (iconv -f WINDOWS-1252 -t UTF-8 converts what Excel writes)', '2022-01-01,caf\uFFFD,'],
      [
        'a CSV record whose quotes stand around whole fields and are closed, with its line end outside of them',
        '2022-01-01,a"b,1',
      ],
      ['a CSV record of 3 fields, as the header has, and not of 4', '2022-01-01,a,1,2'],
    ])
    expect(summary.run.setAside).toEqual([
      {
        key: 'b.csv',
        reason:
          "its header: expected a CSV record in UTF-8 (iconv -f WINDOWS-1252 -t UTF-8 converts what Excel writes), found 't,k,caf\uFFFD'",
      },
    ])
  })

  test('without a header columns have the declared order, and lists are JSON', async () => {
    await writeFile(join(lab.input, 'a.csv'), '2022-01-01 00:00:00;a;1;"[1, 2]"\n2022-01-01 00:00:00;a;NULL;NULL\n')
    const columns = { ...flow.columns, tags: 'BIGINT[]' }
    const format = csv({ header: false, delimiter: ';', nullText: 'NULL' })
    await run(windowed(lab, lab, { ...csvFlow, format, columns, where: 'tags IS NULL OR tags[2] = 2' }))
    expect(await counted()).toEqual(['00: 2 1'])
  })

  test('a broken record under fail is named, and so are objects that are bad as a whole (S17)', async () => {
    await writeFile(join(lab.input, 'a.csv'), text)
    const error = await failure(run(windowed(lab, lab, { ...csvFlow, onBadRow: 'fail' })))
    expect(error.message).toContain("object 'a.csv', row 1, column 'v': expected BIGINT, found '1.5'. 3 such rows")
    await expectNothing()
    await writeFile(join(lab.input, 'a.csv'), 't,k\n2022-01-01,a\n')
    await writeFile(join(lab.input, 'b.csv'), 't,k,v\n2022-01-01,a,"1\n')
    await writeFile(join(lab.input, 'c.csv'), '')
    // A NUL stands in no declared name, and in no name of SQL.
    await writeFile(join(lab.input, 'd.csv'), 't,k,v\0\n2022-01-01,a,1\n')
    await writeFile(join(lab.input, 'e.csv'), 't,k,v,x\0y\n2022-01-01,a,1,2\n')
    const summary = await run(windowed(lab, lab, csvFlow), { objectsPerEpoch: 1 })
    expect(await counted()).toEqual(['00: 1 1'])
    expect(summary.run.setAside.map(({ reason }) => reason)).toEqual([
      "column 'v' is missing; expected BIGINT, the object has t, k",
      'the quote that opens in record 2 is never closed',
      'it is empty; expected a header',
      "column 'v' is missing; expected BIGINT, the object has t, k, v\uFFFD",
    ])
  })

  test('a column of Parquet whose name holds a NUL is quoted in the ledger', async () => {
    await lab.parquet('a.parquet', 'SELECT TIMESTAMP \'2022-01-01\' AS t, 1 AS k, 2 AS "v\uFFFF"')
    const path = join(lab.input, 'a.parquet')
    const bytes = await readFile(path)
    // DuckDB takes no NUL in a name, so three bytes of another one become it.
    for (let at = bytes.indexOf('\uFFFF'); at >= 0; at = bytes.indexOf('\uFFFF')) bytes.set([0, 0, 0], at)
    await writeFile(path, bytes)
    const summary = await run(windowed(lab, lab, { ...flow, onBadRow: 'quarantine' }))
    expect(summary.run.setAside.map(({ reason }) => reason)).toEqual([
      "column 'v' is missing; expected BIGINT, the object has t, k, v\0\0\0",
    ])
  })
})

describe('a corrupt page that stage 1 had no reason to read (S17)', () => {
  // Column `v` has the declared type and may be NULL, so its check is free and its pages are read by stage 2 alone.
  // The bad object has the highest time of all: its mark would make later objects late, so its end must be undone.
  const spoil = async (file: string) => {
    const bytes = await readFile(file)
    const [meta] = await lab.sql(
      `SELECT data_page_offset AS at, total_compressed_size AS size FROM parquet_metadata('${file}') WHERE path_in_schema = 'v'`,
    )
    const at = Number(meta?.at)
    // The page's header stays, its zstd frame does not.
    for (let byte = at + Math.min(60, Number(meta?.size) >> 1); byte < at + Number(meta?.size); byte++)
      bytes[byte] = (bytes[byte] ?? 0) ^ 0xff
    await writeFile(file, bytes)
  }
  const many = (hour: number) =>
    `SELECT TIMESTAMP '2022-01-01' + INTERVAL (${hour}) HOUR AS t, 'a' AS k, CAST(hash(i) >> 1 AS BIGINT) % 1000 AS v FROM range(5000) AS r(i)`

  // 2 comes after 3 and 4 after 5, in time; the mark of 9 would make them late.
  const settings = { columns: flow.columns, delay: '2 hours', keys: ['k'], aggregates: { n: count(), total: sum('v') } }

  test.each([1, 2, 3, 100])(
    'the object is quarantined and everything after it stamped again, %i objects an epoch',
    async objectsPerEpoch => {
      for (const [index, hour] of [1, 9, 3, 2, 5, 4].entries()) {
        const file = await lab.parquet(`${index}.parquet`, many(hour), 'COMPRESSION zstd')
        if (index === 1) await spoil(file)
      }
      const summary = await run(windowed(lab, lab, settings), { objectsPerEpoch })
      expect(summary.totals).toMatchObject({ objects: 6, quarantined: 1, rows: 25_000 })
      const ledger = await lab.channel('ledger')
      expect(ledger.filter(({ is }) => is === 'object').map(({ key, outcome }) => `${key} ${outcome}`)).toEqual(
        [0, 1, 2, 3, 4, 5].map(index => `${index}.parquet ${index === 1 ? 'quarantined' : 'read'}`),
      )
      expect(ledger[1]?.reason).toBeTruthy()
      expect(ledger[1]?.reason).not.toMatch(/spool|_in|SELECT/)

      // The same without the object.
      await rm(join(lab.input, '1.parquet'))
      const without = lab.place('without')
      const clean = await run(windowed(lab, without, settings), { objectsPerEpoch: 1 })
      expect(await lab.rows()).toEqual(await lab.rows(without))
      expect(summary.totals.late).toBe(clean.totals.late)
      expect(clean.totals.late).toBe(0)
    },
  )

  test('onBadObject: fail names it, and nothing of its epoch counts', async () => {
    await lab.parquet('0.parquet', many(1))
    await spoil(await lab.parquet('1.parquet', many(2), 'COMPRESSION zstd'))
    const error = await failure(run(windowed(lab, lab, { ...settings, onBadObject: 'fail' })))
    expect(error).toMatchObject({ code: 'bad-object' })
    expect(error.message).toContain("object '1.parquet'")
    await expectNothing()
  })

  test('a corrupt page of a column that only min and max read, in a shared scan', async () => {
    await lab.parquet('0.parquet', many(1))
    await spoil(await lab.parquet('1.parquet', many(2), 'COMPRESSION zstd'))
    const summary = await run(windowed(lab, lab, { ...settings, aggregates: { top: max('v') } }))
    expect(summary.totals).toMatchObject({ quarantined: 1, rows: 5_000 })
  })
})

describe('a new version of a key (S7)', () => {
  test('overwrite: quarantine sets the second version aside, whatever it holds', async () => {
    await lab.parquet('0.parquet', good(0))
    await run(windowed(lab, lab, flow), { flush: false })
    await lab.parquet('0.parquet', good(1, '5'))
    const summary = await run(windowed(lab, lab, flow))
    expect(summary.totals).toMatchObject({ objects: 2, rows: 1, quarantined: 1 })
    expect(summary.run.setAside[0]?.reason).toContain("overwrite: 'append'")
    expect(await counted()).toEqual(['00: 1 1'])
    expect(await run(windowed(lab, lab, flow))).toMatchObject({ nothingToDo: true })
  })

  test('a bad object before it in the ledger is named rather than it (onBadObject: fail)', async () => {
    await lab.parquet('1.parquet', good(0))
    await run(windowed(lab, lab, flow), { flush: false })
    await lab.parquet('1.parquet', good(1, '5'))
    await lab.lines('0.parquet', ['no parquet'])
    const error = await failure(run(windowed(lab, lab, { ...flow, onBadObject: 'fail' })))
    expect(error.message).toContain("object '0.parquet' cannot be read")
  })

  test('overwrite: append counts it as well', async () => {
    const append = { ...flow, overwrite: 'append' } as const
    await lab.parquet('0.parquet', good(0))
    await run(windowed(lab, lab, append), { flush: false })
    await lab.parquet('0.parquet', good(0, '5'))
    const summary = await run(windowed(lab, lab, append))
    expect(summary.totals).toMatchObject({ objects: 2, rows: 2, quarantined: 0 })
    expect(await counted()).toEqual(['00: 2 6'])
  })

  test('a file replaced between listing and reading is gone, and its new version is read by the next run', async () => {
    for (const hour of [0, 1, 2, 3, 4, 5]) await lab.parquet(`${hour}.parquet`, good(hour))
    let isReplaced = false
    const replaced: Promise<unknown>[] = []
    // Two epochs run ahead of the first commit, so the last file is not read yet when the first epoch is told.
    const summary = await run(windowed(lab, lab, flow), {
      objectsPerEpoch: 1,
      onProgress: ({ objectsDone }) => {
        if (objectsDone !== 1 || isReplaced) return
        isReplaced = true
        replaced.push(rm(join(lab.input, '5.parquet')).then(() => lab.parquet('5.parquet', good(5, '50'))))
      },
    })
    await Promise.all(replaced)
    expect(summary.run.setAside).toEqual([
      { key: '5.parquet', reason: expect.stringMatching(/changed after it was listed|is gone/) },
    ])
    await run(windowed(lab, lab, flow))
    expect(await counted()).toEqual(['00: 1 1', '01: 1 1', '02: 1 1', '03: 1 1', '04: 1 1', '05: 1 50'])
  })

  test('a file that is written to while it is read is gone, and its new version is read by the next run', async () => {
    for (const hour of [0, 1, 2, 3]) await lab.parquet(`${hour}.parquet`, good(hour))
    const next = await readFile(await lab.parquet('new.parquet', good(1, '10')))
    await rm(join(lab.input, 'new.parquet'))
    // The second epoch's object is a hard link to this very file when the first epoch is told.
    const summary = await run(windowed(lab, lab, flow), {
      objectsPerEpoch: 1,
      onProgress: ({ objectsDone }) => {
        if (objectsDone === 1) writeFileSync(join(lab.input, '1.parquet'), next)
      },
    })
    expect(summary.run.setAside).toEqual([
      { key: '1.parquet', reason: expect.stringMatching(/written to while it was read|changed after it was listed/) },
    ])
    expect(await counted()).toEqual(['00: 1 1', '02: 1 1', '03: 1 1'])
    const after = await run(windowed(lab, lab, flow))
    // By now its window has closed.
    expect(after.totals).toMatchObject({ objects: 5, rows: 4, quarantined: 0, gone: 1, late: 1 })
  })
})

describe('expressions that fail on a row', () => {
  test('the error names the object and the expression; a run with a corrected file goes on (S19)', async () => {
    await lab.parquet('0.parquet', good(0))
    await lab.parquet('1.parquet', good(1, '0'))
    const failing = { ...flow, where: "error('refused') IS NULL OR v > 0" }
    const refused = await failure(run(windowed(lab, lab, failing)))
    expect(refused.kind).toBe('user')
    const dividing = { ...flow, where: 'CAST(CASE WHEN v = 0 THEN k ELSE CAST(v AS VARCHAR) END AS BIGINT) > 0' }
    const error = await failure(run(windowed(lab, lab, dividing)))
    expect(error).toMatchObject({ kind: 'fatal', code: 'expression' })
    expect(error.message).toContain("object '1.parquet'")
    await expectNothing()
    await lab.parquet('1.parquet', good(1, '4'))
    await run(windowed(lab, lab, dividing))
    expect(await counted()).toEqual(['00: 1 1', '01: 1 4'])
  })
})

test('a second run of the same good input changes no byte of the output', async () => {
  for (const hour of [0, 1, 2]) await lab.parquet(`${hour}.parquet`, good(hour))
  await run(windowed(lab, lab, flow), { objectsPerEpoch: 1 })
  const before = await outputHashes(lab.output)
  expect(Object.keys(before)).toHaveLength(3)
  await run(windowed(lab, lab, flow))
  expect(await outputHashes(lab.output)).toEqual(before)
})

test('an epoch tells its first bad row, of whatever object and kind', async () => {
  const good = '{"t":"2022-01-01T12:00:00Z","v":1}'
  await lab.lines('a.jsonl', [good])
  await lab.lines('b.jsonl', [good, good, '{"t":"2022-01-01T12:00:00Z","v":"x"}', 'no json'])
  await lab.lines('c.jsonl', ['no json'])
  const flow: WindowedFlow = { columns: { t: 'TIMESTAMP', v: 'BIGINT' }, format: 'json', onBadRow: 'quarantine' }
  const [epoch] = (await followUntil(windowed(lab, lab, { ...flow, delay: '0s' }), 'epoch')).filter(
    event => event.is === 'epoch',
  )
  const firstBadRow = { object: 'b.jsonl', row: 2, column: 'v', expected: 'BIGINT', found: 'x' }
  expect(epoch).toMatchObject({ quarantinedRows: 3, firstBadRow })
})
