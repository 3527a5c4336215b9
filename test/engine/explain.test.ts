import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { gzipSync, zstdCompressSync } from 'node:zlib'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import {
  aggregate,
  avg,
  count,
  files,
  groupBy,
  late,
  pipeline,
  rename,
  select,
  to,
  tumbling,
  union,
  where,
} from '../../src/index.ts'
import { explain } from '../../src/engine/explain.ts'
import { infer } from '../../src/engine/infer/infer.ts'
import { failure, type Lab, openLab, run, sourceOf, windowed } from './harness.ts'

let lab: Lab
beforeEach(async () => {
  lab = await openLab()
})
afterEach(() => lab[Symbol.asyncDispose]())

describe('explain', () => {
  const flow = {
    columns: { t: 'TIMESTAMP', k: 'VARCHAR', v: 'DOUBLE' },
    keys: ['k'],
    aggregates: { n: count(), mean: avg('v') },
  }

  test('tells steps, state and the SQL of each stage, and its state is the one that a run uses', async () => {
    const explained = await explain(windowed(lab, lab, flow))
    const [only] = explained.flows
    expect(only?.steps.map(({ op }) => op)).toEqual(['source', 'tumbling', 'groupBy', 'aggregate', 'to'])
    expect(only?.stages.map(({ stage }) => stage)).toEqual([
      'partial',
      'merge',
      'partial 2',
      'merge 2',
      'late',
      'output',
    ])
    expect(only?.columns).toEqual({
      window_start: 'TIMESTAMP NOT NULL',
      window_end: 'TIMESTAMP NOT NULL',
      k: 'VARCHAR',
      n: 'BIGINT NOT NULL',
      mean: 'DOUBLE',
    })
    await lab.parquet('a.parquet', `SELECT TIMESTAMP '2022-01-01' AS t, 'a' AS k, 1.5::DOUBLE AS v`)
    await run(windowed(lab, lab, flow), { flush: false })
    expect(await lab.channel(`segment-${only?.state}`)).toHaveLength(1)
  })

  test('tells what a flow that gives changes makes of partial rows: results as they were and as they are', async () => {
    const rows = sourceOf(lab, flow).pipe(where('v > 0' as never))
    const changing = rows.pipe(
      tumbling('1 hour'),
      groupBy('k' as never),
      aggregate({ n: count() }),
      where('n > 1'),
      to(files(lab.output, { format: 'json' }), { emit: 'update' }),
    )
    const [only] = (await explain(pipeline('changing', { checkpoint: lab.checkpoint }, changing))).flows
    expect(only?.stages.map(({ stage }) => stage)).toEqual([
      'partial',
      'merge',
      'late',
      'touched',
      'before, after',
      'output',
    ])
    expect(only?.steps.at(-1)).toMatchObject({ op: 'to', options: { emit: 'update' } })
    expect(Object.entries(only?.columns ?? {}).slice(0, 3)).toEqual([
      ['_op', 'VARCHAR NOT NULL'],
      ['_epoch', 'BIGINT NOT NULL'],
      ['window_start', 'TIMESTAMP NOT NULL'],
    ])
  })

  test('claims nothing, and a pipeline that cannot be bound is an error', async () => {
    await explain(windowed(lab, lab, flow))
    await expect(lab.head()).rejects.toThrow('holds no checkpoint')
    const error = await failure(explain(windowed(lab, lab, { ...flow, keys: ['kk'] })))
    expect(error.message).toContain("did you mean 'k'?")
  })
})

test('explain tells which steps feed one in which several meet, and the SQL of late rows', async () => {
  const head = sourceOf(lab, { columns: { t: 'TIMESTAMP', k: 'VARCHAR' } })
  const counted = head.pipe(tumbling('1 hour'), aggregate({ n: count() }))
  const aside = union(late(counted).pipe(select('late_watermark')), late(counted).pipe(select('late_watermark')))
  const [only] = (
    await explain(
      pipeline('aside', { checkpoint: lab.checkpoint }, aside.pipe(to(files(lab.output, { format: 'json' })))),
    )
  ).flows
  expect(only?.steps.map(({ op, inputs }) => [op, inputs])).toEqual([
    ['source', undefined],
    ['tumbling', undefined],
    ['groupBy', undefined],
    ['aggregate', undefined],
    ['late', undefined],
    ['select', undefined],
    ['tumbling', [0]],
    ['groupBy', undefined],
    ['aggregate', undefined],
    ['late', undefined],
    ['select', undefined],
    ['union', [5, 10]],
    ['to', undefined],
  ])
  expect(only?.stages.map(({ stage }) => stage)).toEqual(['partial', 'merge', 'late', 'output'])
})

describe('explain of declared names', () => {
  test('shows defaults and other names of the source, and rename as a step of SQL', async () => {
    const flow = sourceOf(lab, {
      columns: { t: 'TIMESTAMP FROM at', k: "VARCHAR DEFAULT 'x'", object_key: 'VARCHAR FROM META' },
    })
    const renamed = flow.pipe(rename({ k: 'key' } as never), to(files(lab.output, { format: 'json' })))
    const [only] = (await explain(pipeline('named', { checkpoint: lab.checkpoint }, renamed))).flows
    expect(only?.steps).toMatchObject([
      { op: 'source', options: { defaults: { k: 'x' }, from: { t: 'at' }, facts: { object_key: 'meta' } } },
      { op: 'rename', options: { k: 'key' } },
      { op: 'to' },
    ])
    expect(only?.columns).toEqual({ t: 'TIMESTAMP', key: 'VARCHAR', object_key: 'VARCHAR' })
    expect(only?.stages.at(-1)?.sql).toContain('"_in"."k" AS "key"')
  })
})

describe('infer', () => {
  test('gives a declarable type for each column', async () => {
    const file = await lab.parquet(
      'a.parquet',
      `SELECT 1::UINTEGER AS u, TIMESTAMP_NS '2022-01-01' AS ns, TIMESTAMPTZ '2022-01-01' AS tz, 1.5::DECIMAL(9,3) AS d, ['a'] AS l, {'a': 1, 'B c': {'d': 1.5::DOUBLE}} AS s, {'a.b': 1} AS dotted, [{'a': 1}] AS structs, map {1: 2} AS m, TIME '10:00' AS clock, {'a': 1}::VARIANT AS v, 'POINT (1 2)'::GEOMETRY AS g, 1 AS _id`,
    )
    expect((await infer(file)).map(({ name, type }) => [name, type])).toEqual([
      ['u', 'BIGINT'],
      ['ns', 'TIMESTAMP'],
      ['tz', 'TIMESTAMPTZ'],
      ['d', 'DECIMAL(9,3)'],
      ['l', 'VARCHAR[]'],
      ['s.a', 'INTEGER'],
      ['s.B c.d', 'DOUBLE'],
      ['dotted.a.b', 'INTEGER'],
      ['structs', 'JSON'],
      ['m', 'JSON'],
      ['clock', 'VARCHAR'],
      ['v', 'JSON'],
      ['g', 'VARCHAR'],
      ['_id', null],
    ])
    // What it says can be declared.
    const columns = (await infer(file)).flatMap(({ name, type }) => (type === null ? [] : [[name, type]]))
    const summary = await run(windowed(lab, lab, { columns: Object.fromEntries(columns), time: 'ns' }))
    expect(summary.totals).toMatchObject({ rows: 1, quarantined: 0, quarantinedRows: 0 })
  })

  test('reads CSV and compressed text', async () => {
    await writeFile(join(lab.root, 'a.csv'), 'at;n;name\n2022-01-01 10:00:00;1;a\n')
    await writeFile(join(lab.root, 'b.jsonl.gz'), gzipSync('\uFEFF{"n":1,"tags":["a"]}\n'))
    await writeFile(join(lab.root, 'c.csv.gz'), gzipSync('a,b\n1,2\n').subarray(0, -9))
    const types = async (file: string) => (await infer(join(lab.root, file))).map(({ name, type }) => `${name} ${type}`)
    expect(await types('a.csv')).toEqual(['at TIMESTAMP', 'n BIGINT', 'name VARCHAR'])
    expect(await types('b.jsonl.gz')).toEqual(['n BIGINT', 'tags VARCHAR[]'])
    expect((await failure(types('c.csv.gz'))).message).toContain('its gzip stream is broken')
  })

  test('tells by its content what a file is whose name does not say it', async () => {
    const types = async (name: string, body: Uint8Array | string, records?: string) => {
      const file = join(lab.root, name)
      await writeFile(file, body)
      return (await infer(file, records)).map(({ name, type }) => `${name} ${type}`)
    }
    const parquet = await readFile(await lab.parquet('p.parquet', 'SELECT 1::BIGINT AS n'))
    expect(await types('stream-1-2024-01-01-00-00-1b4e', parquet)).toEqual(['n BIGINT'])
    const lines = '\n\n {"n":1}\n{"n":2}'
    for (const [name, body] of [
      ['a', lines],
      ['b.1', gzipSync(lines)],
      ['c.gz', zstdCompressSync(`\uFEFF${lines}`)],
      ['d', '[{"n":1}]'],
      ['e', 'n,m\n1,x\n'],
    ] as const)
      expect((await types(name, body))[0]).toBe('n BIGINT')
    expect(await types('f', '{"Records":[{"n":1}]}', 'Records')).toEqual(['n BIGINT'])
    expect((await failure(types('g', gzipSync(lines).subarray(0, -9)))).message).toContain('its gzip stream is broken')
    expect((await failure(types('h', ''))).message).toContain('a Parquet, JSON or CSV file')
  })

  test('reads JSON however it lies, and leaves out what is broken', async () => {
    const row = '{"at":"2024-01-01T00:00:00Z","n":1.5}'
    await writeFile(join(lab.root, 'a.json'), `[${row},\n{"n":,},${row}]`)
    await writeFile(join(lab.root, 'b.json'), `{"Records":[${row}],"x":{"y":[${row}]}}`)
    const types = async (file: string, records?: string) =>
      (await infer(join(lab.root, file), records)).map(({ name, type }) => `${name} ${type}`)
    expect(await types('a.json')).toEqual(['at TIMESTAMP', 'n DOUBLE'])
    expect(await types('b.json')).toEqual(['Records JSON', 'x JSON'])
    expect(await types('b.json', 'x.y')).toEqual(['at TIMESTAMP', 'n DOUBLE'])
    expect((await failure(types('b.json', 'y'))).message).toContain(
      "a JSON object in an array of a field 'y'; it has none",
    )
    const parquet = await lab.parquet('c.parquet', 'SELECT 1 AS a')
    expect((await failure(infer(parquet, 'a'))).message).toContain('which is no JSON')
  })

  test('refuses what is no file, and a file that is neither Parquet nor JSON', async () => {
    const message = async (path: string) => (await failure(infer(path))).message
    expect(await failure(infer(lab.root))).toMatchObject({ kind: 'user' })
    expect(await message(lab.root)).toMatch(/expected one file; it is a folder\.$/)
    expect(await message(join(lab.root, 'none.parquet'))).toMatch(/it does not exist\.$/)
    const file = join(lab.root, 'a.txt')
    await writeFile(file, 'no Parquet at all')
    expect(await message(file)).toContain('a Parquet, JSON or CSV file')
  })

  test('names the file of a user, never its copy', async () => {
    const message = async (name: string, ...texts: readonly string[]) => {
      const path = join(lab.root, name)
      await writeFile(path, texts.join('\n'))
      const told = (await failure(infer(path))).message
      expect(told).not.toContain('spool')
      return told
    }
    expect(await message('a.parquet', 'PAR1, cut off')).toContain(join(lab.root, 'a.parquet'))
    expect(await message('b.jsonl', '{"a":')).toMatch(
      /b\.jsonl' is not valid; expected a file with a JSON object; it has none\.$/,
    )
    expect(await message('c.json', '[{"a":1}')).toMatch(
      /it ends inside an array or object that is never closed, after 0 rows\.$/,
    )
  })
})
