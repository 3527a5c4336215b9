import { chmod, mkdir, readFile, writeFile } from 'node:fs/promises'
import { homedir } from 'node:os'
import { dirname, join } from 'node:path'

/** Lines that are remembered. */
export const historyLinesMax = 1_000

/** Where the lines of earlier prompts lie: a file of the user's own, as XDG has it. */
export function historyFile(environment: Readonly<Record<string, string | undefined>>): string {
  const { XDG_STATE_HOME: state, HOME: home } = environment
  return join(state || join(home || homedir(), '.local/state'), 'millrace/sql-history')
}

/** The lines, newest first. A file that is not there or cannot be read holds none: the prompt goes on without. */
export async function readHistory(file: string): Promise<string[]> {
  const text = await readFile(file, 'utf8').catch(() => '')
  return text.split('\n').filter(Boolean).toReversed()
}

/**
 * Keeps the lines for the next prompt. Only the user can read the file, as literals may be anything.
 *
 * @param lines newest first
 * @throws where the folder or the file cannot be written
 */
export async function writeHistory(file: string, lines: readonly string[]): Promise<void> {
  await mkdir(dirname(file), { recursive: true, mode: 0o700 })
  const text = lines.slice(0, historyLinesMax).toReversed().join('\n')
  await writeFile(file, `${text}\n`, { mode: 0o600 })
  // The mode above is that of a file that is made.
  await chmod(file, 0o600)
}
