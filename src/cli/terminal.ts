import { createLiveLines, type LiveLines } from './live-lines.ts'
import { visible } from '../core/visible.ts'

/** Where a command writes and what it needs to know of its surroundings; a test gives its own. */
export interface Terminal {
  /** Results: stdout. */
  out(text: string): void
  /** Everything said to a person meanwhile: stderr. */
  err(text: string): void
  /** True when a person reads stderr on a terminal. */
  readonly interactive: boolean
  /** Lines that are drawn again in their place; undefined where stdout or stderr is no terminal, or a simple one. */
  readonly live: LiveLines | undefined
  readonly columns: number
  /** A clock that only moves forward, for rates and redraws. */
  nowMs(): number
}

export function processTerminal(): Terminal {
  const { stdout, stderr, env } = process
  const interactive = stderr.isTTY === true && env.TERM !== 'dumb'
  return {
    out: text => writeTo(stdout, text),
    err: text => writeTo(stderr, text),
    interactive,
    live:
      interactive && stdout.isTTY === true
        ? createLiveLines({
            screen: stderr,
            others: [stdout],
            isColoured: !env.NO_COLOR && stderr.hasColors(),
            process,
          })
        : undefined,
    get columns() {
      return stderr.columns || 80
    },
    nowMs: () => performance.now(),
  }
}

/** Keys, values and messages of servers may hold anything; a file takes it as it is. */
function writeTo(stream: NodeJS.WriteStream, text: string): void {
  stream.write(stream.isTTY ? visible(text, '\n\t') : text)
}
