import type { LakeReaders } from '../../servers/lake-readers.ts'

export type Row = Readonly<Record<string, unknown>>

const script = `
from deltalake import DeltaTable
import datetime, math

def plain(value):
    if isinstance(value, datetime.datetime):
        utc = value.astimezone(datetime.timezone.utc).replace(tzinfo=None) if value.tzinfo else value
        return utc.isoformat(sep=' ') + ('+00' if value.tzinfo else '')
    if isinstance(value, bytes): return value.hex()
    if isinstance(value, float) and not math.isfinite(value): return str(value)
    if value is None or isinstance(value, (bool, str, float)): return value
    if isinstance(value, dict): return {name: plain(one) for name, one in value.items()}
    if isinstance(value, list): return [plain(one) for one in value]
    return str(value)

def rows(table):
    found = [plain(row) for row in table.to_pylist()]
    return sorted(found, key=lambda row: json.dumps(row, sort_keys=True))

where = args[1] if len(args) > 1 else ''
theirs = DeltaTable(args[0]).to_pyarrow_table()
connection = duckdb_with('delta')
ours = connection.execute(f"SELECT * FROM delta_scan('{args[0]}') {where}").to_arrow_table()
answer([rows(theirs), rows(ours)])
`

/** Rows of a table in a folder, as deltalake and DuckDB's extension have them, in an order that both have. */
export async function readTable(
  readers: LakeReaders,
  folder: string,
  where = '',
): Promise<readonly [deltalake: readonly Row[], duckdb: readonly Row[]]> {
  return (await readers.ask(script, folder, where)) as [readonly Row[], readonly Row[]]
}
