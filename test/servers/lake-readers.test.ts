import { describe, expect, test } from 'vitest'
import { serverFor } from './for-tests.ts'
import { openLakeReaders } from './lake-readers.ts'

const readers = await serverFor(openLakeReaders)

describe.skipIf(!readers)('readers of lake tables', () => {
  test('have their packages, and DuckDB its extensions', async () => {
    const script = `
import deltalake, pyiceberg, datetime
connection = duckdb_with('delta', 'ducklake', 'avro', 'iceberg', 'httpfs')
loaded = connection.execute("SELECT extension_name FROM duckdb_extensions() WHERE loaded").fetchall()
answer([args, sorted(name for name, in loaded if name in ('delta', 'ducklake', 'iceberg')), datetime.date(2024, 2, 29)])`
    expect(await readers?.ask(script, 'a b')).toEqual([['a b'], ['delta', 'ducklake', 'iceberg'], '2024-02-29'])
  })

  test('a script that fails says what Python said', async () => {
    await expect(readers?.ask('raise ValueError("no such table")')).rejects.toThrow('ValueError: no such table')
  })
})
