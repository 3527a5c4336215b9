import type { Terminal } from '../../src/cli/terminal.ts'

/** A terminal that keeps what it is told; its clock stands still until the test moves it. */
export interface RecordingTerminal extends Terminal {
  stdout: string
  stderr: string
  clockMs: number
}

export function recordingTerminal(columns = 120): RecordingTerminal {
  return {
    stdout: '',
    stderr: '',
    clockMs: 0,
    interactive: false,
    live: undefined,
    columns,
    out(text) {
      this.stdout += text
    },
    err(text) {
      this.stderr += text
    },
    nowMs() {
      return this.clockMs
    },
  }
}
