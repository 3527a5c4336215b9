import type { OptionTable } from '../core/options.ts'
import { type Arguments, renderOptions, usageOf } from './options.ts'
import type { Terminal } from './terminal.ts'

/** One command of the command line: one file of `commands/`. */
export interface Command<T extends OptionTable = any> {
  readonly name: string
  /** One line for the list of commands. */
  readonly summary: string
  /** What it does, for its own help. */
  readonly about: string
  /** What it takes. Its arguments are read, and its help is written, by this table. */
  readonly options: T
  /** What its help says after the options. */
  readonly notes?: string
  /** Resolves to the exit code. */
  run(given: Arguments<T>, terminal: Terminal): Promise<number>
}

export function helpOf({ name, about, options, notes }: Command): string {
  const parts = [`Usage: ${usageOf(name, options)}`, about, renderOptions(options), ...(notes ? [notes] : [])]
  return `${parts.join('\n\n')}\n`
}
