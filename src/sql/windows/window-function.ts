/** A window as SQL says it: `TUMBLE(trips, INTERVAL '1 hour')`. One a file. */
export interface WindowFunction {
  /** In capitals. */
  readonly name: string
  /** The whole of it, for messages. */
  readonly form: string
  /** The operator that it stands for. */
  readonly op: string
  /** What may stand behind the rows, in order: lengths of time, or words in quotes. */
  readonly takes: readonly WindowArgument[]
  /** Makes the operator. @param given by name; what was left out is not there */
  make(given: Readonly<Record<string, string>>): unknown
  /** `window_start` alone does not tell its windows apart. */
  readonly needsEnd?: true
  /** It has no `window_start` and `window_end`. */
  readonly isEndless?: true
}

/** An argument, by the name of the operator's option. */
export interface WindowArgument {
  readonly name: string
  readonly is: 'interval' | 'text'
  readonly isOptional?: true
}

/** The offset of windows that have one. */
export const offsetArgument: WindowArgument = { name: 'offset', is: 'interval', isOptional: true }
