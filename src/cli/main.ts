import { errorMessage, isMillraceError, MillraceError } from '../core/errors.ts'
import { type Command, helpOf } from './command.ts'
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
import { retryCommand } from './commands/retry.ts'
import { runCommand } from './commands/run.ts'
import { sqlCommand } from './commands/sql.ts'
import { verifyCommand } from './commands/verify.ts'
import { nearestName } from '../core/nearest.ts'
import { readArguments } from './options.ts'
import { processTerminal, type Terminal } from './terminal.ts'
import { withoutVariables } from './variables.ts'

const commands: readonly Command[] = [
  runCommand,
  backfillCommand,
  verifyCommand,
  explainCommand,
  inspectCommand,
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
    terminal.out(help)
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

/** What follows `--` is no option. */
function optionsIn(args: readonly string[]): readonly string[] {
  return args.includes('--') ? args.slice(0, args.indexOf('--')) : args
}

const asksForJson = (args: readonly string[]) => optionsIn(args).includes('--json')

/** Of what ended a command that was asked for JSON. Its names are a public format. */
function errorJson(error: unknown) {
  const { kind, code } = isMillraceError(error) ? error : { kind: 'fatal', code: 'unexpected' }
  return { kind, code, message: errorMessage(error) }
}

function unknownCommand(name: string): MillraceError {
  const near = nearestName(name, name.startsWith('-') ? ['--help', '--version'] : commands.map(command => command.name))
  const what = name.startsWith('-') ? 'option' : 'command'
  return new MillraceError(
    'user',
    'usage',
    `unknown ${what} ${name}${near ? `; did you mean ${near}?` : '.'} See 'millrace --help'.`,
  )
}

/** One line, and for SQL a frame of its text; the stack, causes included, only on request. */
function describeError(error: unknown): string {
  if (process.env.MILLRACE_DEBUG === '1' && error instanceof Error) {
    const cause = error.cause instanceof Error ? `\ncaused by: ${error.cause.stack}` : ''
    return `${error.stack}${cause}`
  }
  const line = errorMessage(error)
    .trim()
    .replaceAll(/\s*\n\s*/g, ' ')
  if (!isMillraceError(error)) return `${line} (unexpected; MILLRACE_DEBUG=1 shows where)`
  return error.at?.frame === undefined ? line : `${line}\n\n${error.at.frame}`
}
