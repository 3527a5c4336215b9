import type { Terminal } from './terminal.ts'

/** The signals of one run. */
export interface Stopping {
  /** Aborted by the first SIGINT or SIGTERM: finish what is in flight. */
  readonly drain: AbortSignal
  /** Aborted by the second: stop now. */
  readonly stop: AbortSignal
  /** 130 or 143 after the first, as shells count them: a drained run has not done all that it was asked. */
  exitCode(): number | undefined
  /** Whether the second has come. */
  isStopped(): boolean
  /** Leaves signals to Node again. */
  close(): void
}

/** npm passes on a Ctrl-C that the terminal has sent to this process as well: both are one. */
const sameKeyMs = 100

const numbers = { SIGINT: 2, SIGTERM: 15 } as const

export function listenForSignals(terminal: Pick<Terminal, 'err' | 'nowMs'>): Stopping {
  const drain = new AbortController()
  const stop = new AbortController()
  let exitCode: number | undefined
  let last: { readonly signal: NodeJS.Signals; readonly atMs: number } | undefined

  const listen = (signal: keyof typeof numbers) => {
    const atMs = terminal.nowMs()
    if (signal === 'SIGINT' && last?.signal === signal && atMs - last.atMs < sameKeyMs) return
    last = { signal, atMs }
    const code = 128 + numbers[signal]
    if (stop.signal.aborted) process.exit(exitCode)
    exitCode = code
    if (drain.signal.aborted) {
      terminal.err(`\n${signal}: stopping now; what is not committed is left for the next run.\n`)
      stop.abort(new Error(`Stopped by ${signal}.`))
    } else {
      terminal.err(`\n${signal}: finishing the epoch in flight, then stopping. Once more stops at once.\n`)
      drain.abort(new Error(`Drained by ${signal}.`))
    }
  }
  for (const signal of Object.keys(numbers)) process.on(signal, listen)
  return {
    drain: drain.signal,
    stop: stop.signal,
    exitCode: () => exitCode,
    isStopped: () => stop.signal.aborted,
    close: () => {
      for (const signal of Object.keys(numbers)) process.off(signal, listen)
    },
  }
}
