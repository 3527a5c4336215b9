import { flag, text } from '../../core/option-kinds.ts'
import type { Command } from '../command.ts'
import { checkpointArgument, namedFile, usageError } from '../options.ts'
import { renderTable } from '../table.ts'

const options = {
  checkpoint: checkpointArgument,
  query: {
    kind: text("one query in quotes, such as 'SELECT * FROM late'"),
    isRequired: true,
    isPositional: true,
    placeholder: "'SELECT ...'",
    about: 'The query.',
  },
  with: {
    kind: namedFile,
    isRepeated: true,
    about: 'A CSV or Parquet file, or object of S3, that the query may read by this name. May be given several times.',
  },
  json: { kind: flag, about: 'Print a line of JSON for each row instead of a table.' },
} as const

export const sqlCommand: Command<typeof options> = {
  name: 'sql',
  summary: 'query ledger, late rows, state and output of a checkpoint',
  about: `Runs one SELECT of DuckDB over what the checkpoint holds:

  ledger      object versions and flushes, in order, with outcome, marks and counts
  epochs      one row for each epoch
  late        rows that came too late, with window, object and row number
  quarantine  rows set aside, with column, expected and found
  state       partial rows of windows that are open
  outputs     published files
  afterwards  what became of objects, where the source says after
  output      their rows
  latest      results as they are now, where a flow gives changes (emit: 'update')

Each step or flow has its own as well: late_<step>, state_<step>, output_<flow>, latest_<flow>. SHOW TABLES lists
all, DESCRIBE late shows the columns of one. It claims and changes nothing: a run that writes there goes on.`,
  options,
  async run({ checkpoint, query: sql, with: named = [], json }, terminal) {
    const { query } = await import('../../engine/inspect/query.ts')
    const files = Object.fromEntries(named.map(({ name, file }) => [name, file]))
    const twice = named.find(({ name, file }) => files[name] !== file)
    if (twice) throw usageError('sql', `--with: '${twice.name}' names two files; expected one for each name.`)
    const { columns, rows } = await query(checkpoint, sql, { with: files })
    if (json) for (const row of rows) terminal.out(`${JSON.stringify(row, asText)}\n`)
    else
      terminal.out(
        `${renderTable(
          columns,
          rows.map(row => columns.map(name => cell(row[name]))),
        )}\n`,
      )
    return 0
  },
}

/** BIGINT as digits: JSON numbers lose them. */
function asText(_key: string, value: unknown): unknown {
  return typeof value === 'bigint' ? String(value) : value
}

function cell(value: unknown): string {
  if (value === null || value === undefined) return 'NULL'
  if (value instanceof Date) return value.toISOString()
  return typeof value === 'object' ? JSON.stringify(value, asText) : String(value as string | number | bigint | boolean)
}
