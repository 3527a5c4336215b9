import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type DuckDBConnection, DuckDBInstance } from '@duckdb/node-api'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { jsonFormat } from '../../../connectors/json/format.ts'
import { parseColumnType } from '../../../src/core/types.ts'

let folder: string
let connection: DuckDBConnection
let count = 0
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'millrace-json-'))
  connection = await (await DuckDBInstance.create(':memory:', { threads: '2' })).connect()
})
afterAll(async () => {
  connection.closeSync()
  await rm(folder, { recursive: true })
})

/** The text of one column in each line. */
async function read(lines: readonly string[], name: string, type: string): Promise<readonly unknown[]> {
  const file = join(folder, `${count++}`)
  await writeFile(file, lines.join('\n'))
  const rows = `(SELECT row_number() OVER () - 1 AS _row, * FROM (${jsonFormat.read([file], [{ name }], [name])}))`
  const scan = jsonFormat.scan(rows, [{ name, type: parseColumnType(type, name), at: [0] }], [{ name }])
  const reader = await connection.runAndReadAll(`SELECT ${name} FROM (${scan}) ORDER BY _row`)
  return reader.getRows().map(([value]) => value)
}

test('a number under a DECIMAL column has the digits that its line has', async () => {
  const long = '1234567890123456.78'
  expect(
    await read(
      [
        `{"n":${long}}`,
        `{"x":"m","n"\t:  ${long} ,"y":1}`,
        '{"n":12345678901234567890123456789012345678}',
        `{"n":"${long}"}`,
        `{"m":{"x":1.5},"n":-0.10000000000000000555}`,
        '{"n":1.50}',
        '{"n":15e-1}',
        '{"n":12}',
        '{"n":null}',
        '{"m":1.5}',
        // A nested number of the same name: DuckDB's DOUBLE, where that says all.
        '{"m":{"n":2.5},"n":1.25}',
        `{"n":${long},"m":{"n":2.5}}`,
        `{"\\u006e":${long}}`,
      ],
      'n',
      'DECIMAL(38,2)',
    ),
  ).toEqual([
    long,
    long,
    '12345678901234567890123456789012345678',
    long,
    '-0.10000000000000000555',
    '1.50',
    '15e-1',
    '12',
    null,
    null,
    '1.25',
    expect.stringContaining('write it as a string'),
    expect.stringContaining('write it as a string'),
  ])
})
