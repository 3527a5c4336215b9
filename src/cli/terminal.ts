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

export function processTerminal(): Terminal {
  return {
    out: text => void process.stdout.write(text),
    err: text => void process.stderr.write(text),
    interactive: process.stderr.isTTY === true && process.env.TERM !== 'dumb',
    get columns() {
      return process.stderr.columns || 80
    },
    nowMs: () => performance.now(),
  }
}
