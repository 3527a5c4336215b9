import { writeFile } from 'node:fs/promises'
import { flag, oneOf, text } from '../../core/option-kinds.ts'
import type { Command } from '../command.ts'
import { newFile, newFileOption } from '../new-file.ts'
import { checkpointArgument, namedFile, usageError } from '../options.ts'
import { resultText } from '../result-text.ts'

const options = {
  checkpoint: checkpointArgument,
  query: {
    kind: text("one query in quotes, such as 'SELECT * FROM late'"),
    isPositional: true,
    placeholder: "['SELECT ...']",
    about: 'The query. Absent: a prompt.',
  },
  with: {
    kind: namedFile,
    isRepeated: true,
    about: 'A CSV or Parquet file, or object of S3, that the query may read by this name. May be given several times.',
  },
  json: { kind: flag, about: 'Print a line of JSON for each row instead of a table.' },
  format: {
    kind: oneOf('table', 'csv', 'json', 'parquet'),
    otherwise: 'table, or parquet for an --output that ends in .parquet',
    about: 'How the rows are written: table, csv, json (a line for each row), or parquet to a file.',
  },
  output: newFileOption('Write the rows to this new file.'),
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
  outputs     published files, and which version of a table has which epoch
  afterwards  what became of objects, where the source says after
  output      their rows, or those of a table
  latest      results as they are now, where a flow gives changes (emit: 'update')

Each step or flow has its own as well: late_<step>, state_<step>, output_<flow>, latest_<flow>. SHOW TABLES lists
all, DESCRIBE late shows the columns of one. Without a query it is a prompt, where .help says more; without a
terminal the statements are those of stdin, each up to its semicolon. It claims and changes nothing: a run that
writes there goes on.`,
  options,
  async run({ checkpoint, query: sql, with: named = [], json, format: asked, output }, terminal) {
    const format = json ? 'json' : (asked ?? (output?.endsWith('.parquet') ? 'parquet' : 'table'))
    if (format === 'parquet' && output === undefined)
      throw usageError('sql', '--format: parquet is for files; expected --output FILE beside it.')
    const { query, queryToParquet } = await import('../../engine/inspect/query.ts')
    const files = Object.fromEntries(named.map(({ name, file }) => [name, file]))
    const twice = named.find(({ name, file }) => files[name] !== file)
    if (twice) throw usageError('sql', `--with: '${twice.name}' names two files; expected one for each name.`)
    if (sql === undefined) {
      if (output !== undefined || format === 'parquet')
        throw usageError('sql', '--output: is for one query; expected it behind the checkpoint.')
      const { openPromptSession } = await import('../sql-prompt/session.ts')
      const { runPrompt } = await import('../sql-prompt/run-prompt.ts')
      const ask = (statement: string) => query(checkpoint, statement, { with: files })
      return runPrompt(await openPromptSession(ask, format, terminal), terminal)
    }
    const tell = (notes: readonly string[]) => {
      for (const note of notes) terminal.err(`${note}\n`)
    }
    if (format === 'parquet') {
      const write = (file: string) => queryToParquet(checkpoint, sql, file, { with: files })
      tell((await newFile('sql', output as string, write)).notes)
      return 0
    }
    const { columns, rows, notes } = await query(checkpoint, sql, { with: files })
    tell(notes)
    const written = resultText(format, columns, rows)
    if (output === undefined) terminal.out(written)
    else await newFile('sql', output, file => writeFile(file, written, { flag: 'wx' }))
    return 0
  },
}
