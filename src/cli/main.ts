import { allCodes } from '../core/error-codes/index.ts'
import { MillraceError } from '../core/errors.ts'
import { type Command, helpOf } from './command.ts'
import { describeError, errorJson, helpForCode } from './error-text.ts'
import { exitCodeOf } from './exit-code.ts'
import { version } from './version.ts'
import { backfillCommand } from './commands/backfill.ts'
import { demoCommand } from './commands/demo.ts'
import { doctorCommand } from './commands/doctor.ts'
import { explainCommand } from './commands/explain.ts'
import { inferCommand } from './commands/infer.ts'
import { inspectCommand } from './commands/inspect.ts'
import { repairCommand } from './commands/repair.ts'
import { applyLateCommand } from './commands/apply-late.ts'
import { reportCommand } from './commands/report.ts'
import { retryCommand } from './commands/retry.ts'
import { runCommand } from './commands/run.ts'
import { sqlCommand } from './commands/sql.ts'
import { verifyCommand } from './commands/verify.ts'
import { whyCommand } from './commands/why.ts'
import { nearestName } from '../core/nearest.ts'
import { readArguments } from './options.ts'
import { processTerminal, type Terminal } from './terminal.ts'
import { withoutVariables } from './variables.ts'

export const commands: readonly Command[] = [
  runCommand,
  backfillCommand,
  verifyCommand,
  explainCommand,
  inspectCommand,
  reportCommand,
  whyCommand,
  sqlCommand,
  retryCommand,
  applyLateCommand,
  repairCommand,
  inferCommand,
  doctorCommand,
  demoCommand,
]

const help = `millrace: a streaming micro-batch processor over DuckDB

Usage: millrace COMMAND [OPTIONS]

${commands.map(({ name, summary }) => `  ${name.padEnd(12)}${summary}`).join('\n')}

  --help      this text; 'millrace COMMAND --help' for a command's own
  help CODE   what the code of an error means, and what to do
  --version   the version

Exit codes: 0 done, 1 failed, 2 usage or configuration, 3 fenced by another writer,
4 a backfill whose ledger holds no object that could be read.
MILLRACE_DEBUG=1 adds the stack to an error.
`

/** Runs one command line. Resolves to the exit code; throws nothing. */
export async function main(args: readonly string[], given: Terminal): Promise<number> {
  const terminal = withoutVariables(given)
  try {
    return await dispatch(args, terminal)
  } catch (error) {
    if (asksForJson(args)) terminal.out(`${JSON.stringify({ error: errorJson(error) })}\n`)
    terminal.err(`millrace: ${describeError(error)}\n`)
    return exitCodeOf(error)
  }
}

/** The process's own start: writes to its streams and leaves the exit code, so that pending output is still written. */
export async function runMain(args: readonly string[]): Promise<void> {
  // `millrace ... | head` closes the pipe early: no error of ours.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error
  })
  process.exitCode = await main(args, processTerminal())
}

async function dispatch(args: readonly string[], terminal: Terminal): Promise<number> {
  const [name, ...rest] = args
  if (name === undefined) {
    terminal.err(help)
    return 2
  }
  if (name === '--help' || name === '-h' || name === 'help') {
    terminal.out(helpAbout(rest[0]))
    return 0
  }
  if (name === '--version' || name === '-v') {
    terminal.out(`${version()}\n`)
    return 0
  }
  const command = commands.find(candidate => candidate.name === name)
  if (!command) throw unknownCommand(name)
  const asked = optionsIn(rest)
  if (asked.includes('--help') || asked.includes('-h')) {
    terminal.out(helpOf(command))
    return 0
  }
  return command.run(readArguments(command.name, command.options, rest), terminal)
}

/** 'millrace help', 'millrace help COMMAND' and 'millrace help CODE'. */
function helpAbout(subject: string | undefined): string {
  if (subject === undefined) return help
  const command = commands.find(({ name }) => name === subject)
  const found = command ? helpOf(command) : helpForCode(subject)
  if (found !== undefined) return found
  const near = nearestName(subject, [...commands.map(({ name }) => name), ...allCodes])
  throw new MillraceError(
    'user',
    'usage',
    `help: no command and no code of an error is called ${subject}${near ? `; did you mean ${near}?` : '.'} See ` +
      "'millrace --help'.",
  )
}

/** What follows `--` is no option. */
function optionsIn(args: readonly string[]): readonly string[] {
  return args.includes('--') ? args.slice(0, args.indexOf('--')) : args
}

const asksForJson = (args: readonly string[]) => optionsIn(args).includes('--json')

function unknownCommand(name: string): MillraceError {
  const near = nearestName(name, name.startsWith('-') ? ['--help', '--version'] : commands.map(command => command.name))
  const what = name.startsWith('-') ? 'option' : 'command'
  return new MillraceError(
    'user',
    'usage',
    `unknown ${what} ${name}${near ? `; did you mean ${near}?` : '.'} See 'millrace --help'.`,
  )
}
