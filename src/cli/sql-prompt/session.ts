import { MillraceError } from '../../core/errors.ts'
import { didYouMean } from '../../core/nearest.ts'
import { id } from '../../plan/sql.ts'
import type { QueryResult } from '../../engine/inspect/query.ts'
import { describeError } from '../error-text.ts'
import { exitCodeOf } from '../exit-code.ts'
import { resultText } from '../result-text.ts'
import type { Terminal } from '../terminal.ts'

export const formats = ['table', 'csv', 'json'] as const
export type Format = (typeof formats)[number]

/** Runs one query of the checkpoint as it is now. */
export type Ask = (sql: string) => Promise<QueryResult>

/** What a prompt does with what was written; it knows no terminal. */
export interface PromptSession {
  /** Names of views, and of the columns that are known of them. */
  names(): Iterable<string>
  /** Runs one statement, or one command such as `.help`. What goes wrong is told, and the prompt goes on. */
  run(text: string): Promise<void>
  /** Set by `.quit`. */
  readonly isOver: boolean
  /** 0, or the exit code of the first that went wrong. */
  readonly exitCode: number
}

/** What stands at the beginning of a line and is no SQL: its name, what it takes, what it does. */
const commands: readonly (readonly [name: string, takes: string, about: string])[] = [
  ['.help', '', 'this text'],
  ['.tables', '', 'the views of the checkpoint'],
  ['.views', '', 'the same'],
  ['.schema', 'VIEW', 'the columns of one view'],
  ['.format', formats.join('|'), 'how rows are written from now on'],
  ['.quit', '', 'end; so does Ctrl-D'],
]

export const commandNames: readonly string[] = commands.map(([name]) => name)

const help = `${commands.map(([name, takes, about]) => `${`${name} ${takes}`.padEnd(26)}${about}`).join('\n')}
Anything else is one SELECT of DuckDB, over as many lines as you like, up to a semicolon.
Ctrl-C abandons what was begun, Tab completes names of views and columns.
`

/** @throws what the checkpoint cannot be opened for */
export async function openPromptSession(ask: Ask, first: Format, terminal: Terminal): Promise<PromptSession> {
  let format = first
  let isOver = false
  let exitCode = 0
  const { tables } = await ask('SELECT 1')
  const names = new Set(tables)
  const learn = (columns: Iterable<string>) => {
    for (const column of columns) names.add(column)
  }
  // Rows of output may be many, and are brought only where a statement names them.
  const cheap = tables.filter(table => !/^(output|latest|corrections)(_|$)/.test(table))
  const parts = cheap.map(table => `SELECT column_name FROM (DESCRIBE ${id(table)})`)
  if (parts.length > 0) learn((await ask(parts.join(' UNION '))).rows.map(row => String(row.column_name)))

  const show = async (sql: string) => {
    const { columns, rows, notes } = await ask(sql)
    for (const note of notes) terminal.err(`${note}\n`)
    terminal.out(resultText(format, columns, rows))
    learn(columns)
  }
  const command = async (text: string) => {
    const [name = '', ...given] = text.replace(/;$/, '').trim().split(/\s+/)
    const found = commands.find(([own]) => own === name)
    if (!found) throw wrong(`there is no ${name} here${didYouMean(name, commandNames)}; .help lists all`)
    const [, takes] = found
    if (given.length !== (takes === '' ? 0 : 1)) throw wrong(`expected ${name}${takes && ` ${takes}`}`)
    const [argument = ''] = given
    if (name === '.help') terminal.out(help)
    else if (name === '.quit') isOver = true
    else if (name === '.schema') await show(`SELECT column_name, column_type FROM (DESCRIBE ${id(argument)})`)
    else if (name === '.format') {
      const wanted = formats.find(each => each === argument)
      if (!wanted) throw wrong(`expected .format ${formats.join('|')}, found ${argument}`)
      format = wanted
    } else terminal.out(tables.map(table => `${table}\n`).join(''))
  }
  return {
    names: () => names,
    async run(text) {
      try {
        await (text.startsWith('.') ? command(text) : show(text))
      } catch (error) {
        terminal.err(`${describeError(error)}\n`)
        exitCode ||= exitCodeOf(error)
      }
    },
    get isOver() {
      return isOver
    },
    get exitCode() {
      return exitCode
    },
  }
}

function wrong(what: string): MillraceError {
  return new MillraceError('user', 'usage', `${what}.`)
}
