import { createInterface, type Interface } from 'node:readline'
import { errorMessage } from '../../core/errors.ts'
import type { Terminal } from '../terminal.ts'
import { complete } from './completion.ts'
import { historyFile, historyLinesMax, readHistory, writeHistory } from './history.ts'
import { commandNames, type PromptSession } from './session.ts'
import { splitStatements } from './split-statements.ts'

const first = 'millrace> '
const further = '     ...> '

/**
 * Reads statements up to their semicolon, over several lines, and commands, one a line. On a terminal it is a prompt;
 * else what stdin has, the last statement also without a semicolon.
 *
 * @returns the exit code: on a terminal 0, as whoever sits there has seen what went wrong
 */
export function runPrompt(session: PromptSession, terminal: Terminal): Promise<number> {
  const isTerminal = process.stdin.isTTY === true && process.stdout.isTTY === true
  return isTerminal ? onTerminal(session, terminal) : fromStdin(session)
}

/** What has been written of a statement that has not ended. */
class Unfinished {
  text = ''
  readonly #session: PromptSession

  constructor(session: PromptSession) {
    this.#session = session
  }

  async take(line: string): Promise<void> {
    if (this.text === '' && line.trimStart().startsWith('.')) return this.#session.run(line.trim())
    const { whole, rest } = splitStatements(`${this.text}${line}\n`)
    this.text = rest
    for (const statement of whole) await this.#session.run(statement)
  }
}

async function fromStdin(session: PromptSession): Promise<number> {
  const unfinished = new Unfinished(session)
  for await (const line of createInterface({ input: process.stdin })) {
    await unfinished.take(line)
    if (session.isOver) return session.exitCode
  }
  const last = unfinished.text.trim()
  if (last !== '') await session.run(last)
  return session.exitCode
}

async function onTerminal(session: PromptSession, terminal: Terminal): Promise<number> {
  const file = historyFile(process.env)
  const reader = createInterface({
    input: process.stdin,
    output: process.stdout,
    prompt: first,
    history: await readHistory(file),
    historySize: historyLinesMax,
    removeHistoryDuplicates: true,
    completer: (line: string) => complete(line, session.names(), commandNames),
  })
  let history: readonly string[] = []
  reader.on('history', lines => (history = lines))
  await untilClosed(reader, session, terminal)
  if (history.length > 0)
    await writeHistory(file, history).catch((error: unknown) =>
      terminal.err(`The lines are not kept for the next prompt: ${errorMessage(error)}\n`),
    )
  return 0
}

function untilClosed(reader: Interface, session: PromptSession, terminal: Terminal): Promise<void> {
  const unfinished = new Unfinished(session)
  const ask = () => {
    reader.setPrompt(unfinished.text === '' ? first : further)
    reader.prompt()
  }
  return new Promise((resolve, reject) => {
    let work = Promise.resolve()
    let isClosed = false
    reader.on('line', line => {
      // Lines that are pasted wait for those before them.
      work = work.then(async () => {
        if (session.isOver) return
        await unfinished.take(line)
        if (session.isOver) reader.close()
        else if (!isClosed) ask()
      })
      work.catch(reject)
    })
    reader.on('SIGINT', () => {
      unfinished.text = ''
      terminal.out('\n')
      // Ctrl-E and Ctrl-U: what stands in the line goes.
      reader.write(null, { ctrl: true, name: 'e' })
      reader.write(null, { ctrl: true, name: 'u' })
      ask()
    })
    reader.on('close', () => {
      isClosed = true
      void work.then(() => {
        if (!session.isOver) terminal.out('\n')
        resolve()
      }, reject)
    })
    ask()
  })
}
