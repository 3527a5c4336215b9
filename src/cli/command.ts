import type { Terminal } from './terminal.ts'

/** One command of the command line: one file of `commands/`. */
export interface Command {
  readonly name: string
  /** One line for the list of commands. */
  readonly summary: string
  readonly help: string
  /** Resolves to the exit code. */
  run(args: readonly string[], terminal: Terminal): Promise<number>
}
