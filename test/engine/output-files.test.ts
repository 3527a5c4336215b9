import { cp, readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { backfillWith } from '../../src/engine/backfill.ts'
import { type Components, components } from '../../src/engine/components.ts'
import {
  aggregate,
  backfill,
  collect,
  count,
  files,
  type FilesOptions,
  groupBy,
  inspect,
  json,
  max,
  pipeline,
  query,
  source,
  to,
  tumbling,
  verify,
} from '../../src/index.ts'
import { createMemoryStore } from '../../src/testing/index.ts'
import { type Lab, openLab, quoted } from './harness.ts'

let lab: Lab
beforeEach(async () => {
  lab = await openLab()
})
afterEach(() => lab[Symbol.asyncDispose]())

const columns = { t: 'TIMESTAMP NOT NULL', zone: 'VARCHAR', n: 'BIGINT', x: 'DOUBLE', note: 'VARCHAR' } as const
const head = () =>
  source('in', { objects: lab.input, format: json(), columns, time: 't', watermark: { delay: '0s' }, suffix: '' })
/** The rows as they are. */
const passing = (options: FilesOptions) =>
  pipeline('passing', { checkpoint: lab.checkpoint }, head().pipe(to(files(lab.output, options))))

/** Values that folders and text have to carry, and their rows. */
const zones = ['a', 'b/c', 'k=v', '100%', "o'clock", 'é😀', ' x ', 'a"b', '__HIVE_DEFAULT_PARTITION__', '.', '..', 'A']
const values = [...zones, '', null]
const rows = values.map((zone, index) => ({
  t: `2024-0${1 + (index % 2)}-28 0${index % 10}:30:00`,
  zone,
  n: index % 3 === 0 ? null : index,
  x: index % 4 === 0 ? null : index / 7 + 0.25,
  note: [null, '', 'x,y', 'two\nlines', '"q"', 'null', ' '][index % 7] ?? null,
}))
const writeRows = async (given: readonly object[] = rows) => {
  // Two objects, and an epoch each: a folder may have files of several epochs.
  for (const part of [0, 1])
    await lab.lines(
      `part-${part}`,
      given.filter((_, index) => index % 2 === part).map(row => JSON.stringify(row)),
    )
}
const run = (flow: ReturnType<typeof passing>, more: { readonly memory?: string } = {}) =>
  backfill(flow, { threads: 2, objectsPerEpoch: 1, memory: '500MB', ...more })

/** Rows as text, in an order of their own. */
const sorted = (found: readonly object[]) => found.map(row => JSON.stringify(row)).toSorted()
const asText = ({ t, zone, n, x, note }: (typeof rows)[number]) => ({
  t,
  zone,
  n: n === null ? null : String(n),
  x: x === null ? null : String(x),
  note,
})
const items = 't::VARCHAR AS t, zone, n::VARCHAR AS n, x::VARCHAR AS x, note'
const visible = async () =>
  (await readdir(lab.output, { recursive: true, withFileTypes: true }))
    .filter(entry => entry.isFile() && !entry.parentPath.includes('_millrace'))
    .map(({ parentPath, name }) => join(parentPath, name).slice(lab.output.length + 1))
    .toSorted()
/** What DuckDB itself reads of the folders, which knows nothing of millrace. */
const hive = (read: string, more = '') =>
  lab.sql(`SELECT ${items} FROM ${read}(${quoted(`${lab.output}/**/part-*`)}, hive_partitioning = true${more})`)
const viewed = async (columns: string) => {
  const { rows } = await query(lab.checkpoint, `SELECT ${columns} FROM output`)
  return rows
}

describe('folders in the form of Hive', () => {
  test.each(['path', 'path-and-file'] as const)('of a text column, which is in the %s', async partitionColumns => {
    await writeRows()
    await run(passing({ format: 'parquet', partitionBy: ['zone'], partitionColumns }))
    const found = await visible()
    expect(found).toContain('zone=b%2Fc/part-00000002-flow-1.parquet')
    expect(found).toContain('zone=%5F_HIVE_DEFAULT_PARTITION__/part-00000001-flow-1.parquet')
    // NULL and the empty text of two epochs.
    expect(found.filter(key => key.startsWith('zone=__HIVE'))).toHaveLength(2)
    // An empty text is no name of a folder: Hive, Spark and DuckDB read NULL.
    const read = rows.map(row => asText({ ...row, zone: row.zone === '' ? null : row.zone }))
    expect(sorted(await hive('read_parquet', ', hive_types_autocast = false'))).toEqual(sorted(read))
    const kept = partitionColumns === 'path' ? read : rows.map(asText)
    expect(sorted(await viewed(items))).toEqual(sorted(kept))
    expect(await verify(passing({ format: 'parquet', partitionBy: ['zone'], partitionColumns }))).toMatchObject({
      differences: [],
      rows: rows.length,
    })
  })

  test('of the calendar and of numbers, in UTC, whose columns have their types again', async () => {
    await writeRows()
    const how: FilesOptions = { format: 'parquet', partitionBy: [{ year: 't', month: 't' }, 'n'] }
    await run(passing(how))
    expect(await visible()).toContain('year=2024/month=02/n=1/part-00000002-flow-1.parquet')
    expect(await visible()).toContain('year=2024/month=01/n=__HIVE_DEFAULT_PARTITION__/part-00000001-flow-1.parquet')
    expect(sorted(await hive('read_parquet'))).toEqual(sorted(rows.map(asText)))
    expect(sorted(await viewed(items))).toEqual(sorted(rows.map(asText)))
    expect(await viewed(`DISTINCT typeof(n) AS n, typeof(t) AS t`)).toEqual([{ n: 'BIGINT', t: 'TIMESTAMP' }])
    expect((await verify(passing(how))).differences).toEqual([])
  })

  test('their addresses lead to the files, with what a folder has to escape', async () => {
    await writeRows()
    const flow = passing({ format: 'json', partitionBy: ['zone'] })
    await run(flow)
    const { outputFiles } = await inspect(lab.checkpoint)
    const found = outputFiles.map(address => fileURLToPath(address).slice(lab.output.length + 1))
    expect(found.toSorted()).toEqual(await visible())
    expect(found.filter(key => key.startsWith('zone=b%2Fc/'))).toHaveLength(1)
  })

  test('are refused before anything is claimed where no column has what they are named after', async () => {
    await writeRows()
    await expect(run(passing({ format: 'json', partitionBy: ['zoen'] }))).rejects.toMatchObject({
      kind: 'user',
      message: expect.stringMatching(/^flow-1: files: partitionBy: 'zoen' is not valid; .*did you mean 'zone'/),
    })
    expect(await readdir(lab.checkpoint).catch(() => [])).toEqual([])
  })

  test('an output that is newer than its checkpoint is found in them (I1)', async () => {
    const flow = passing({ format: 'parquet', partitionBy: ['zone'] })
    await lab.lines('part-0', [JSON.stringify(rows[0])])
    await run(flow)
    const older = join(lab.root, 'older')
    await cp(lab.checkpoint, older, { recursive: true })
    await lab.lines('part-1', [JSON.stringify(rows[1])])
    await run(flow)
    await rm(lab.checkpoint, { recursive: true })
    await cp(older, lab.checkpoint, { recursive: true })
    await expect(run(flow)).rejects.toMatchObject({
      code: 'output-beyond',
      message: expect.stringContaining('zone=b%2Fc/part-'),
    })
  })

  test('thousands of them in one epoch, with little memory', async () => {
    const zones = 3_000
    const line = (n: number) => `{"t":"2024-01-01 00:30:00","zone":"zone ${n % zones}","n":${n},"x":0.5,"note":"n"}`
    await lab.lines(
      'many',
      Array.from({ length: 3 * zones }, (_, n) => line(n)),
    )
    // A disk would take minutes for as many files.
    const output = createMemoryStore()
    const parts: Components = {
      ...components,
      openWritable: async (address, field) =>
        address === lab.output ? output : components.openWritable(address, field),
    }
    const flow = passing({ format: 'parquet', partitionBy: ['zone'] })
    await backfillWith(parts, flow, { threads: 2, memory: '128MB' })
    const found = (await lab.channel('outputs')).map(({ key, rows }) => `${key} ${rows}`)
    const expected = Array.from({ length: zones }, (_, n) => `zone=zone ${n}/part-00000001-flow-1.parquet`)
    expect(found.toSorted()).toEqual(expected.map(key => `${key} 3`).toSorted())
    const keys: string[] = []
    for await (const { key } of output.list('zone=')) keys.push(key)
    expect(keys.toSorted()).toEqual(expected.toSorted())
    // Each is a statement of its own: 20 seconds alone, minutes on a busy machine.
  }, 900_000)
})

describe('formats of files', () => {
  const csvRead =
    ", header = true, allow_quoted_nulls = false, columns = {t: 'TIMESTAMP', zone: 'VARCHAR', n: 'BIGINT', x: 'DOUBLE', note: 'VARCHAR'}, auto_detect = false, delim = ',', quote = '\"', escape = '\"'"

  test.each([
    ['csv', 'none', 'csv'],
    ['csv', 'gzip', 'csv.gz'],
    ['csv', 'zstd', 'csv.zst'],
  ] as const)('%s with %s: NULL is NULL and an empty text empty', async (format, compression, ending) => {
    await writeRows()
    await run(passing({ format, compression }))
    expect(await visible()).toEqual([`part-00000001-flow-1.${ending}`, `part-00000002-flow-1.${ending}`])
    expect(sorted(await hive('read_csv', csvRead))).toEqual(sorted(rows.map(asText)))
    expect(sorted(await viewed(items))).toEqual(sorted(rows.map(asText)))
    expect((await verify(passing({ format, compression }))).differences).toEqual([])
  })

  test('CSV has lists as JSON, and numbers that are none by their names', async () => {
    await lab.lines('a', [
      '{"t":"2024-01-01 00:10:00","zone":"a","x":"Infinity","note":"x, y"}',
      '{"t":"2024-01-01 00:20:00","zone":"a","x":1.5,"note":null}',
    ])
    const flow = pipeline(
      'lists',
      { checkpoint: lab.checkpoint },
      head().pipe(
        tumbling('1 hour'),
        groupBy('zone'),
        aggregate({ notes: collect('note', { max: 10 }), most: max('x'), rows: count() }),
        to(files(lab.output, { format: 'csv', partitionBy: ['zone'] })),
      ),
    )
    await backfill(flow, { threads: 1 })
    const text = await lab.sql(
      `FROM read_csv(${quoted(`${lab.output}/*/*.csv`)}, all_varchar = true, hive_partitioning = true)`,
    )
    expect(text).toMatchObject([{ zone: 'a', notes: '["x, y"]', most: 'inf', rows: '2' }])
    expect(await viewed('zone, notes[1] AS note, most, rows::INTEGER AS rows, typeof(notes) AS type')).toEqual([
      { zone: 'a', note: 'x, y', most: Number.POSITIVE_INFINITY, rows: 2, type: 'VARCHAR[]' },
    ])
    expect((await verify(flow)).differences).toEqual([])
  })

  test.each([
    ['none', 'jsonl'],
    ['gzip', 'jsonl.gz'],
    ['zstd', 'jsonl.zst'],
  ] as const)('JSON lines in folders with %s are read back', async (compression, ending) => {
    await writeRows()
    const how: FilesOptions = { format: 'json', compression, partitionBy: ['zone', { day: 't' }] }
    await run(passing(how))
    expect(await visible()).toContain(`zone=a/day=2024-01-28/part-00000001-flow-1.${ending}`)
    const kept = rows.map(row => asText({ ...row, zone: row.zone === '' ? null : row.zone }))
    expect(sorted(await viewed(items))).toEqual(sorted(kept))
    expect((await verify(passing(how))).differences).toEqual([])
  })

  test.each([
    ['zstd', 'ZSTD'],
    ['snappy', 'SNAPPY'],
    ['gzip', 'GZIP'],
    ['none', 'UNCOMPRESSED'],
  ] as const)('Parquet with %s, in row groups of the size that was asked for', async (compression, expected) => {
    await writeRows(Array.from({ length: 10_000 }, (_, n) => ({ ...rows[0], n })))
    await run(passing({ format: 'parquet', compression, rowGroupRows: 2_048 }))
    const [found] = await lab.sql(
      `SELECT min(compression) AS least, max(compression) AS most, max(row_group_num_rows) AS size, count(DISTINCT row_group_id) AS groups FROM parquet_metadata(${quoted(`${lab.output}/part-00000001-flow-1.parquet`)})`,
    )
    expect(found).toEqual({ least: expected, most: expected, size: '2048', groups: '3' })
  })
})
