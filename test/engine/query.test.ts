import { existsSync, writeFileSync } from 'node:fs'
import { link, mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { gzipSync, zstdCompressSync } from 'node:zlib'
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { openReadOnly, openSession } from '../../src/engine/duckdb/session.ts'
import { checkOneSelect } from '../../src/engine/inspect/one-select.ts'
import { queryToParquet } from '../../src/engine/inspect/query.ts'
import {
  aggregate,
  count,
  derive,
  files,
  groupBy,
  hopping,
  pipeline,
  query,
  sum,
  to,
  tumbling,
  type RunEvent,
} from '../../src/index.ts'
import { runMillrace } from '../cli/child.ts'
import { failure, type Lab, openLab, outputFiles, quoted, run, runs, sourceOf, windowed } from './harness.ts'

let lab: Lab
beforeEach(async () => {
  lab = await openLab()
})
afterEach(() => lab[Symbol.asyncDispose]())

const columns = { t: 'TIMESTAMP', k: 'VARCHAR', v: 'BIGINT' } as const

/** Rows at hours of 1 January 2022 (those of the second file are late after the first) and one bad row. */
async function twoFiles(): Promise<void> {
  const rows = (hours: string) =>
    `SELECT TIMESTAMP '2022-01-01' + unnest([${hours}]) * INTERVAL 1 HOUR AS t, 'a' AS k, 1::BIGINT AS v`
  await lab.parquet('1.parquet', rows('0, 1, 30'))
  await lab.parquet('2.parquet', rows('2, 3, 31, NULL'))
}

const rowsOf = async (sql: string) => (await query(lab.checkpoint, sql)).rows
const onlyRow = async (sql: string) => (await rowsOf(sql))[0]
const columnsOf = async (view: string) =>
  Object.fromEntries((await rowsOf(`DESCRIBE ${view}`)).map(row => [row.column_name, row.column_type]))

describe('a result as Parquet', () => {
  beforeEach(async () => {
    await twoFiles()
    await run(windowed(lab, lab, { columns }))
  })
  const asked = `SELECT 12345678901234567890.12::DECIMAL(22,2) AS d, [1, NULL] AS l, TIMESTAMPTZ '2024-05-01 12:00:00+02' AS t,
    NULL::BIGINT AS nothing, {'a': 'x'} AS s FROM ledger LIMIT 2; `
  const to = () => join(lab.root, 'rows.parquet')

  test('keeps the types, and is one file', async () => {
    const { count: rows } = await queryToParquet(lab.checkpoint, asked, to())
    expect(rows).toBe(2)
    const found = await query(lab.checkpoint, 'DESCRIBE rows', { with: { rows: to() } })
    expect(found.rows.map(row => row.column_type)).toEqual([
      'DECIMAL(22,2)',
      'INTEGER[]',
      'TIMESTAMP WITH TIME ZONE',
      'BIGINT',
      'STRUCT(a VARCHAR)',
    ])
    const [first] = (await query(lab.checkpoint, 'SELECT d::VARCHAR AS d FROM rows', { with: { rows: to() } })).rows
    expect(first).toEqual({ d: '12345678901234567890.12' })
  })

  test('never takes the place of a file, and a query that is refused makes none', async () => {
    for (const sql of ['SELECT 1) TO $$x$$ --', 'DROP TABLE ledger', 'SELECT 1; SELECT 2', 'SELECT nothing_there'])
      expect(await failure(queryToParquet(lab.checkpoint, sql, to()))).toMatchObject({ kind: 'user', code: 'sql' })
    expect(existsSync(to())).toBe(false)
    await writeFile(to(), 'mine')
    await expect(queryToParquet(lab.checkpoint, 'SELECT 1', to())).rejects.toMatchObject({ code: 'EEXIST' })
    expect(await readFile(to(), 'utf8')).toBe('mine')
  })

  test('is what the command line writes to a file that ends in .parquet', async () => {
    const sql = async (...args: readonly string[]) => runMillrace(['sql', lab.checkpoint, ...args])
    expect(await sql('FROM ledger', '--output', to())).toEqual({ code: 0, stdout: '', stderr: '' })
    expect((await query(lab.checkpoint, 'SELECT count(*) AS n FROM rows', { with: { rows: to() } })).rows).toEqual([
      { n: 3n },
    ])
    expect((await sql('FROM ledger', '--output', to())).stderr).toContain('rows.parquet is there already')
    expect((await sql('FROM ledger', '--format', 'parquet')).stderr).toContain('expected --output FILE beside it')
    expect((await sql('FROM ledger', '--output', join(lab.root, 'no/where.parquet'))).stderr).toContain('ENOENT')
  })
})

describe('the one statement', () => {
  beforeEach(async () => {
    await twoFiles()
    await run(windowed(lab, lab, { columns }))
  })

  test.each([
    ['SELECT count(*) AS n FROM ledger', 3n],
    ['FROM ledger SELECT count(*) AS n', 3n],
    ['WITH x AS (FROM ledger) SELECT count(*) AS n FROM x', 3n],
    ['(SELECT count(*) AS n FROM ledger)', 3n],
    ["SELECT count(*) AS n FROM ledger; -- the ';' of a habit", 3n],
    ['VALUES (3::BIGINT)', 3n],
    ['SELECT count(*) FROM (DESCRIBE outputs)', 9n],
    ['SELECT count(*) FROM (SUMMARIZE outputs)', 9n],
    ['SELECT sum(range)::BIGINT FROM range(3)', 3n],
    ["SELECT count(*) FROM (PIVOT ledger ON outcome IN ('read') USING count(*) GROUP BY seq)", 3n],
  ])('is a SELECT in any of its forms: %s', async (sql, value) => {
    expect(Object.values((await onlyRow(sql)) ?? {})).toEqual([value])
  })

  test('tells its columns also where there are no rows', async () => {
    expect(await query(lab.checkpoint, 'SELECT key, reason FROM ledger WHERE false')).toMatchObject({
      columns: ['key', 'reason'],
      rows: [],
    })
    expect((await rowsOf('SHOW TABLES')).map(({ name }) => name)).toEqual(
      expect.arrayContaining(['epochs', 'late', 'ledger', 'output', 'outputs', 'quarantine', 'state']),
    )
  })

  test('is refused when it is anything else, and an error names what there is', async () => {
    const target = join(lab.root, 'written')
    const refused = [
      ['', 'found no statement'],
      ['-- nothing', 'found no statement'],
      ['SELECT 1; SELECT 2', 'found 2 statements'],
      [`SELECT 1); COPY (SELECT 1) TO ${quoted(target)}; SELECT (1`, 'syntax error'],
      [`SELECT 1; COPY (SELECT 1) TO ${quoted(target)}`, 'another statement'],
      [`COPY ledger TO ${quoted(target)}`, 'another statement'],
      [`ATTACH ${quoted(target)} AS x`, 'another statement'],
      [`EXPORT DATABASE ${quoted(target)}`, 'another statement'],
      ['DROP VIEW ledger', 'another statement'],
      ['CREATE TEMP TABLE x AS SELECT 1', 'another statement'],
      ['EXPLAIN ANALYZE SELECT 1', 'another statement'],
      ['PRAGMA database_list', 'another statement'],
      ['CALL range(1)', 'another statement'],
      ['SET threads = 1', 'another statement'],
      ['SELECT 1\0; SELECT 2', 'NUL'],
      ["SELECT * FROM read_text('/etc/hostname')", "table function 'read_text'"],
      ["SELECT (SELECT count(*) FROM Main.GLOB('/*'))", "table function 'glob'"],
      [`FROM enable_logging(storage := 'file', storage_path := ${quoted(target)})`, "table function 'enable_logging'"],
      [`DESCRIBE FROM enable_profiling(save_location := ${quoted(target)})`, "table function 'enable_profiling'"],
      ["FROM query('SELECT 1')", "table function 'query'"],
      ['SELECT * FROM nothing', 'nothing does not exist'],
      [`FROM ${quoted(join(lab.output, 'part-00000001-flow-1.parquet'))}`, 'Permission Error'],
    ] as const
    for (const [sql, why] of refused) {
      const error = await failure(query(lab.checkpoint, sql))
      expect(error, sql).toMatchObject({ kind: 'user', code: 'sql' })
      expect(error.message).toContain(why)
      expect(error.message).toContain('ledger')
    }
    expect(await readdir(lab.root)).toEqual(['a-ck', 'a-out', 'in'])
  })

  test('even where it is judged wrongly, the session writes nowhere: not the published files, nor its own tables', async () => {
    const session = await openSession({})
    try {
      const published = join(lab.output, (await outputFiles(lab.output))[0] as string)
      const linked = join(session.stage, 'linked.parquet')
      await link(published, linked)
      const before = await readFile(published)
      const executor = await session.executor(new AbortController().signal)
      const file = join(session.stage, 'x.duckdb')
      for (const sql of [`ATTACH ${quoted(file)} AS x`, 'CREATE TABLE x.t AS SELECT 1 AS a', 'DETACH x'])
        await executor.run(sql)
      const results = join(session.stage, 'results')
      await mkdir(results)
      const database = await openReadOnly(file, results, {})
      for (const sql of [
        `COPY (SELECT 1) TO ${quoted(linked)}`,
        `COPY (SELECT 1) TO ${quoted(join(session.stage, 'new'))}`,
        `COPY (SELECT 1) TO ${quoted(file)}`,
        `ATTACH ${quoted(join(session.stage, 'y.duckdb'))}`,
        'INSERT INTO t VALUES (2)',
        'CREATE TABLE u AS SELECT 1',
        'SELECT 1; SELECT 2',
        "SET allowed_directories = ['/']",
        `FROM read_parquet(${quoted(linked)})`,
        `FROM read_parquet(${quoted(published)})`,
      ])
        await expect(database.select(sql), sql).rejects.toThrow(/Error|no SELECT/)
      expect((await database.select('FROM t')).rows).toEqual([{ a: 1 }])
      database.close()
      expect(await readFile(published)).toEqual(before)
      expect((await readdir(session.stage)).filter(name => !name.startsWith('x.duckdb'))).toEqual([
        'linked.parquet',
        'results',
      ])
    } finally {
      await session.close()
    }
  })

  test('whatever text is made of such pieces, no file is written and no table changes', async () => {
    const folder = join(lab.root, 'attacked')
    await mkdir(folder)
    await writeFile(join(folder, 'there'), 'as it was')
    const target = quoted(join(folder, 'there'))
    const pieces = [
      'SELECT',
      ' 1 ',
      '(',
      ')',
      ';',
      ',',
      '--',
      '/*',
      '*/',
      "'",
      '"',
      '$$',
      '\n',
      '\\',
      ' * ',
      ' FROM t ',
    ]
    pieces.push(' WITH x AS ', ' VALUES (1)', ' UNION ALL ', 'DESCRIBE ', 'EXPLAIN ', 'PREPARE p AS ', 'EXECUTE p')
    pieces.push(`COPY t TO ${target} `, `COPY (SELECT 1) TO ${target} `, `ATTACH ${target} AS y `, 'DROP TABLE t')
    pieces.push(
      ' INSERT INTO t VALUES (2) ',
      ' DELETE FROM t ',
      ' RETURNING a ',
      `FROM read_text(${target})`,
      'FROM glob(x)',
    )
    const session = await openSession({ threads: 1 })
    try {
      const executor = await session.executor(new AbortController().signal)
      const file = join(session.stage, 'x.duckdb')
      for (const sql of [`ATTACH ${quoted(file)} AS x`, 'CREATE TABLE x.t AS SELECT 1 AS a', 'DETACH x'])
        await executor.run(sql)
      const database = await openReadOnly(file, join(session.stage, 'results'), { threads: 1 })
      let taken = 0
      await fc.assert(
        fc.asyncProperty(fc.array(fc.constantFrom(...pieces), { minLength: 1, maxLength: 8 }), async parts => {
          const sql = parts.join('')
          const isTaken = await checkOneSelect(executor, sql).then(
            () => true,
            () => false,
          )
          if (isTaken) taken++
          // Also what the judge has refused: the session stands alone.
          await database.select(sql).catch(() => {})
        }),
        { ...runs(2_000), examples: [[['SELECT', ' 1 ']]] },
      )
      expect(taken).toBeGreaterThan(0)
      expect((await database.select('FROM t')).rows).toEqual([{ a: 1 }])
      database.close()
      expect(await readdir(folder)).toEqual(['there'])
      expect(await readFile(join(folder, 'there'), 'utf8')).toBe('as it was')
    } finally {
      await session.close()
    }
  })
})

describe('the views', () => {
  test('of one flow count what the run did; an object has one name, and times are times', async () => {
    await twoFiles()
    const { totals } = await run(windowed(lab, lab, { columns, delay: '0 seconds' }), { flush: false })
    expect(await onlyRow(`SELECT count(*) AS n FROM ledger WHERE "is" = 'object'`)).toEqual({ n: 2n })
    expect(await onlyRow('SELECT count(*) AS n, sum(late)::BIGINT AS late FROM epochs')).toEqual({
      n: BigInt(totals.epochs),
      late: BigInt(totals.late),
    })
    const times = (hour: number) => new Date(Date.UTC(2022, 0, 1, hour))
    expect(await rowsOf('SELECT key, high_mark FROM ledger ORDER BY seq')).toEqual([
      { key: '1.parquet', high_mark: times(30) },
      { key: '2.parquet', high_mark: times(31) },
    ])
    const late = 'SELECT key, flow, _seq, _row, _watermark, _window_start, _window_end, k FROM late ORDER BY _row'
    expect(await rowsOf(late)).toEqual(
      [2, 3].map((hour, row) => ({
        key: '2.parquet',
        flow: 'flow-1',
        _seq: 2n,
        _row: BigInt(row),
        _watermark: times(30),
        _window_start: times(hour),
        _window_end: times(hour + 1),
        k: 'a',
      })),
    )
    expect(await rowsOf('SELECT key, "column", found FROM quarantine')).toEqual([
      { key: '2.parquet', column: 't', found: null },
    ])
    expect(await rowsOf('SELECT flow, _start FROM state')).toEqual([{ flow: 'flow-1', _start: times(31) }])
    expect(await rowsOf('SELECT flow, key FROM outputs')).toEqual([
      { flow: 'flow-1', key: 'part-00000001-flow-1.parquet' },
    ])
    expect(await rowsOf('FROM output ORDER BY ALL')).toEqual(
      [0, 1, 30].map(hour => ({ window_start: times(hour), window_end: times(hour + 1), n: 1n })),
    )
    // By the names that they had at first.
    const older = 'l.high_mark_us, l.last_modified_ms > 0 AS m, r._object, q.object'
    expect(
      await rowsOf(
        `SELECT DISTINCT ${older} FROM ledger AS l JOIN late AS r ON l.seq = r._seq CROSS JOIN quarantine AS q`,
      ),
    ).toEqual([{ high_mark_us: BigInt(+times(31)) * 1000n, m: true, _object: '2.parquet', object: '2.parquet' }])
  })

  test('are there before the first epoch has any row for them', async () => {
    await run(windowed(lab, lab, { columns }))
    expect(Object.keys(await columnsOf('late'))).toEqual(
      expect.arrayContaining(['flow', 'step', 'key', '_seq', '_row', '_window_start', '_reason']),
    )
    for (const view of ['ledger', 'epochs', 'late', 'quarantine', 'state', 'outputs', 'output'])
      expect(await onlyRow(`SELECT count(*) AS n FROM ${view}`), view).toEqual({ n: 0n })
  })

  const head = () => sourceOf(lab, { columns, delay: '0 seconds', onBadRow: 'quarantine' })

  test('of several flows hold the rows of all, with flow and step; output is their union where the columns agree', async () => {
    await twoFiles()
    const rows = head()
    const hourly = rows.pipe(tumbling('1 hour'), groupBy(), aggregate({ n: count() }))
    const { totals } = await run(
      pipeline(
        'three',
        { checkpoint: lab.checkpoint },
        hourly.pipe(to(files(`${lab.output}-1`, { format: 'parquet' }))),
        // The same step as the first: late rows and state count once.
        hourly.pipe(to(files(`${lab.output}-2`, { format: 'json' }))),
        rows.pipe(
          derive({ key: ['BIGINT', '1'], k: ['BIGINT', '7'] }),
          hopping('1 day', '12 hours'),
          groupBy('k'),
          aggregate({ n: sum('key') }),
          to(files(`${lab.output}-3`, { format: 'parquet' })),
        ),
      ),
      { flush: false },
    )
    const byFlow = await rowsOf('SELECT flow, count(*) AS n FROM late GROUP BY ALL ORDER BY ALL')
    expect(byFlow).toEqual([
      { flow: 'flow-1, flow-2', n: 2n },
      { flow: 'flow-3', n: 4n },
    ])
    expect(totals.late).toBe(6)
    // A column of the rows by the name of one of ours; k is text in one flow and a number in the other.
    expect(await rowsOf("SELECT DISTINCT key, row_key, k FROM late WHERE flow = 'flow-3'")).toEqual([
      { key: '2.parquet', row_key: 1n, k: '7' },
    ])
    expect(await rowsOf("SELECT DISTINCT key, row_key, k FROM late WHERE flow <> 'flow-3'")).toEqual([
      { key: '2.parquet', row_key: null, k: 'a' },
    ])
    const [step] = await rowsOf("SELECT DISTINCT step FROM late WHERE flow = 'flow-3'")
    expect(await onlyRow(`SELECT count(*) AS n, any_value(k) AS k FROM late_${String(step?.step)}`)).toEqual({
      n: 4n,
      k: 7n,
    })
    expect(await rowsOf('SELECT DISTINCT flow FROM state ORDER BY ALL')).toEqual([
      { flow: 'flow-1, flow-2' },
      { flow: 'flow-3' },
    ])
    // The columns of the third differ.
    const error = await failure(query(lab.checkpoint, 'FROM output'))
    expect(error.message).toContain('output_flow_1 (window_start, window_end, n)')
    expect(error.message).toContain('output_flow_3 (window_start, window_end, k, n)')
    expect(error.message).not.toMatch(/Tables here:[^.]*\boutput[,.]/)
    const first = await rowsOf('FROM output_flow_1 ORDER BY ALL')
    expect(first).toHaveLength(3)
    expect(await rowsOf('FROM output_flow_2 ORDER BY ALL')).toEqual(first)
  })

  test('output is the union of flows whose columns agree', async () => {
    await twoFiles()
    const rows = head()
    await run(
      pipeline(
        'two',
        { checkpoint: lab.checkpoint },
        rows.pipe(
          tumbling('1 hour'),
          groupBy(),
          aggregate({ n: count() }),
          to(files(`${lab.output}-1`, { format: 'parquet' })),
        ),
        rows.pipe(
          tumbling('1 day'),
          groupBy(),
          aggregate({ n: count() }),
          to(files(`${lab.output}-2`, { format: 'json' })),
        ),
      ),
    )
    expect(await rowsOf('SELECT flow, sum(n)::BIGINT AS n FROM output GROUP BY ALL ORDER BY ALL')).toEqual([
      { flow: 'flow-1', n: 4n },
      { flow: 'flow-2', n: 4n },
    ])
    expect((await query(lab.checkpoint, 'FROM output')).tables).toContain('output')
  })

  test('JSON output has the types of the columns, as Parquet has', async () => {
    const types = {
      t: 'TIMESTAMPTZ',
      b: 'BOOLEAN',
      i: 'BIGINT',
      u: 'UBIGINT',
      d: 'DECIMAL(18,2)',
      x: 'DOUBLE',
      s: 'VARCHAR',
      day: 'DATE',
      at: 'TIMESTAMP',
      id: 'UUID',
      l: 'BIGINT[]',
      j: 'JSON',
    } as const
    await lab.parquet(
      '1.parquet',
      `SELECT TIMESTAMPTZ '2022-01-01 00:00:00Z' AS t, true AS b, 9007199254740993::BIGINT AS i, 18446744073709551615::UBIGINT AS u,
        12.30::DECIMAL(18,2) AS d, 'NaN'::DOUBLE AS x, '2022-01-01' AS s, DATE '2022-01-01' AS day, TIMESTAMP '2022-01-01 00:00:00.5' AS at,
        uuid() AS id, [1, NULL]::BIGINT[] AS l, '{"a":1}' AS j
       UNION ALL BY NAME SELECT TIMESTAMPTZ '2022-01-01 00:00:00Z' AS t`,
    )
    const rows = sourceOf(lab, { columns: types })
    await run(
      pipeline(
        'types',
        { checkpoint: lab.checkpoint },
        rows.pipe(to(files(`${lab.output}-1`, { format: 'parquet' }))),
        rows.pipe(to(files(`${lab.output}-2`, { format: 'json' }))),
      ),
    )
    const [parquet, json] = [await columnsOf('output_flow_1'), await columnsOf('output_flow_2')]
    expect(json).toEqual(parquet)
    expect(json).toMatchObject({ t: 'TIMESTAMP WITH TIME ZONE', u: 'UBIGINT', d: 'DECIMAL(18,2)', s: 'VARCHAR' })
    expect(await rowsOf('FROM output_flow_2 ORDER BY i')).toEqual(await rowsOf('FROM output_flow_1 ORDER BY i'))
  })

  test('output that is committed and cannot be published yet is there (P8)', async () => {
    await twoFiles()
    // Where the flush after the first epoch publishes, taken when the output was looked at already.
    const taken = join(lab.output, 'part-00000002-flow-1.parquet')
    const onEvent = (event: RunEvent) => {
      if (event.is === 'phase' && event.phase === 'commit' && !existsSync(taken))
        writeFileSync(taken, 'of another hand')
    }
    expect(await failure(run(windowed(lab, lab, { columns }), { onEvent }))).toMatchObject({ code: 'object-exists' })
    expect((await lab.head()).manifest.unpublished).toHaveLength(1)
    expect(await onlyRow('SELECT sum(n)::BIGINT AS n FROM output')).toEqual({ n: 6n })
  })
})

describe('files beside the checkpoint', () => {
  beforeEach(async () => {
    await twoFiles()
    await run(windowed(lab, lab, { columns, keys: ['k'] }))
  })

  const csv = 'k;name;since\na;Alpha;2020-01-02\nb;"B; the second";\n'
  const files = async () => {
    const at = (name: string) => join(lab.root, name)
    await writeFile(at('names.csv'), csv)
    await writeFile(at('NAMES.CSV.GZ'), gzipSync(csv))
    await writeFile(at('names.csv.zst'), zstdCompressSync(csv))
    await lab.parquet('../factors.parquet', `SELECT 'a' AS k, 1.50::DECIMAL(9,2) AS factor`)
    return at
  }

  test('are tables by the names that they are given, with the types that DuckDB finds', async () => {
    const at = await files()
    for (const name of ['names.csv', 'NAMES.CSV.GZ', 'names.csv.zst']) {
      const { rows, tables } = await query(
        lab.checkpoint,
        'SELECT name, since, sum(n * factor)::VARCHAR AS s FROM output JOIN names USING (k) JOIN factors USING (k) GROUP BY ALL',
        { with: { names: at(name), factors: at('factors.parquet') } },
      )
      expect(rows, name).toEqual([{ name: 'Alpha', since: '2020-01-02', s: '9.00' }])
      expect(tables).toEqual(expect.arrayContaining(['factors', 'names', 'output']))
    }
    expect(await readFile(at('names.csv'), 'utf8')).toBe(csv)
  })

  test.each([
    ['a name of the checkpoint', { Late: 'names.csv' }, /with: 'Late' is not valid; expected another name/],
    ['a name that is none', { 'x"; y': 'names.csv' }, /with: 'x"; y' is not valid; expected a name of letters/],
    ['a file that is not there', { x: 'no.csv' }, /with x: '.*no\.csv' is not valid; .*it does not exist/],
    ['a folder', { x: 'a-out' }, /with x: .* expected one file; it is a folder/],
    [
      'another kind of file',
      { x: 'a.txt' },
      /with x: .* expected a CSV or Parquet file, of a name that ends in \.parquet/,
    ],
    ['Parquet that is none', { x: 'broken.parquet' }, /with x: .* expected a file that can be read; DuckDB: /],
    [
      'gzip that is cut off',
      { x: 'gzip.csv' },
      /with x: .* expected a file that can be read; its gzip stream is broken/,
    ],
    ['no object', 'names.csv', /query: with: 'names.csv' is not valid; expected an object of table names and files/],
  ])('%s is refused, naming the table', async (_, named, message) => {
    const at = await files()
    await writeFile(at('a.txt'), 'x')
    await writeFile(at('broken.parquet'), 'x')
    await writeFile(at('gzip.csv'), gzipSync(csv).subarray(0, -9))
    const given =
      typeof named === 'string' ? named : Object.fromEntries(Object.entries(named).map(([n, f]) => [n, at(f)]))
    const error = await failure(query(lab.checkpoint, 'SELECT 1', { with: given as Record<string, string> }))
    expect(error.kind).toBe('user')
    expect(error.message).toMatch(message)
  })

  test('the command takes several, each once', async () => {
    const at = await files()
    const command = (...args: readonly string[]) => runMillrace(['sql', lab.checkpoint, ...args])
    const named = ['--with', `names=${at('names.csv')}`, '--with', `factors=${at('factors.parquet')}`]
    const { stdout, stderr } = await command(
      'SELECT factor::VARCHAR AS f FROM factors JOIN names USING (k)',
      ...named,
      '--json',
    )
    expect([stdout, stderr]).toEqual(['{"f":"1.50"}\n', ''])
    for (const [args, message] of [
      [['--with', 'names=a.csv', '--with', 'names=b.csv'], "'names' names two files"],
      [['--with', 'names.csv'], "--with: 'names.csv' is not valid; expected NAME=FILE"],
    ] as const) {
      const ended = await command('SELECT 1', ...args)
      expect([ended.code, ended.stderr]).toEqual([2, expect.stringContaining(message)])
    }
  })
})
