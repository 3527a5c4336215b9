import { visible } from '../core/visible.ts'

/** Where a command writes and what it needs to know of its surroundings; a test gives its own. */
export interface Terminal {
  /** Results: stdout. */
  out(text: string): void
  /** Everything said to a person meanwhile: stderr. */
  err(text: string): void
  /** True when stderr is a terminal that can redraw a line. */
  readonly interactive: boolean
  readonly columns: number
  /** A clock that only moves forward, for rates and redraws. */
  nowMs(): number
}

/** Clears the line that the cursor stands in. */
export const clearLine = '\r\x1b[2K'

export function processTerminal(): Terminal {
  return {
    out: text => writeTo(process.stdout, text),
    err: text => writeTo(process.stderr, text),
    interactive: process.stderr.isTTY === true && process.env.TERM !== 'dumb',
    get columns() {
      return process.stderr.columns || 80
    },
    nowMs: () => performance.now(),
  }
}

/** Keys, values and messages of servers may hold anything; a file takes it as it is. */
function writeTo(stream: NodeJS.WriteStream, text: string): void {
  const clear = text.startsWith(clearLine) ? clearLine : ''
  stream.write(stream.isTTY ? clear + visible(text.slice(clear.length), '\n\t') : text)
}
