import { expect } from 'vitest'
import type { LakeReaders } from '../servers/lake-readers.ts'

export const lakes = ['delta', 'iceberg', 'ducklake'] as const
export type Lake = (typeof lakes)[number]

/** Python: what the readers of each lake make of the table in `folder`, by their names, as relations of `connection`. */
const scripts: Readonly<Record<Lake, string>> = {
  delta: `
from deltalake import DeltaTable
connection = duckdb_with('delta')
arrow = DeltaTable(folder + '/' + table).to_pyarrow_table()
found = {'deltalake': 'arrow', 'DuckDB': f"delta_scan('{folder}/{table}')"}`,
  iceberg: `
import re
from pyiceberg.table import StaticTable
connection = duckdb_with('avro', 'iceberg')
number = lambda path: int(re.search(r'v(\\d+)[.]metadata', path).group(1))
newest = max(glob.glob(f'{folder}/{table}/metadata/v*.metadata.json'), key=number)
arrow = StaticTable.from_metadata(newest).scan().to_arrow()
found = {'pyiceberg': 'arrow', 'DuckDB': f"iceberg_scan('{folder}/{table}')"}`,
  ducklake: `
connection = duckdb_with('ducklake')
connection.execute(f"ATTACH 'ducklake:{folder}/catalog.ducklake' AS lake (READ_ONLY)")
found = {'DuckDB': f'lake.{table}'}`,
}

/**
 * A line for each row of a table, by every reader of that lake which is not ours.
 *
 * @param items SQL of what a line has, parted by commas
 */
export async function readLines(
  readers: LakeReaders,
  lake: Lake,
  folder: string,
  table: string,
  items: string,
): Promise<readonly (readonly [reader: string, lines: readonly string[]])[]> {
  const script = `
folder, table, items = args
${scripts[lake]}
lines = lambda relation: [row[0] for row in connection.execute(f"SELECT concat_ws('|', {items}) FROM {relation}").fetchall()]
answer({reader: lines(relation) for reader, relation in found.items()})`
  const found = Object.entries((await readers.ask(script, folder, table, items)) as Record<string, string[]>)
  expect(found.length).toBeGreaterThan(0)
  return found
}
