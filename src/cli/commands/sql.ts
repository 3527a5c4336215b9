import type { Command } from '../command.ts'
import { type Options, readArguments, renderOptions, usageError } from '../options.ts'
import { renderTable } from '../table.ts'

const options = {
  json: { help: 'a line of JSON for each row instead of a table' },
} satisfies Options

export const sqlCommand: Command = {
  name: 'sql',
  summary: 'query ledger, late rows, state and output of a checkpoint',
  help: `Usage: millrace sql CHECKPOINT 'SELECT ...' [OPTIONS]

Runs one DuckDB query over what the checkpoint holds:

  ledger      object versions and flushes, in order, with outcome, marks and counts
  epochs      one row for each epoch
  late        rows that came too late, with window, object and row number
  quarantine  rows set aside, with column, expected and found
  state       partial rows of windows that are open
  outputs     published files
  output      their rows

Of several steps or flows each has its own: late_<step>, state_<step>, output_<flow>.
It claims nothing: a run that writes there goes on.

${renderOptions(options)}
`,
  async run(args, terminal) {
    const { positionals, values } = readArguments('sql', options, args)
    const [address, sql, extra] = positionals
    if (address === undefined) throw usageError('sql', 'the checkpoint is missing; expected its folder.')
    if (sql === undefined)
      throw usageError('sql', "the query is missing; expected one in quotes, such as 'SELECT * FROM late'.")
    if (extra !== undefined) throw usageError('sql', `found '${extra}' after the query; put the whole query in quotes.`)
    const { query } = await import('../../engine/query.ts')
    const { rows } = await query(address, sql)
    if (values.json) for (const row of rows) terminal.out(`${JSON.stringify(row, asText)}\n`)
    else
      terminal.out(
        `${renderTable(
          Object.keys(rows[0] ?? {}),
          rows.map(row => Object.values(row).map(cell)),
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
