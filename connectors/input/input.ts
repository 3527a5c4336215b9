import picomatch from 'picomatch'

/** Where objects are read from: a root, and which of its keys are meant. */
export interface Input {
  readonly root: string
  matches(key: string): boolean
  /** The address names one object and no folder. */
  readonly isOne?: true
}

/** A wildcard matches names that begin with a dot as well: whether hidden keys are read is asked of all keys alike. */
export function matchGlob(glob: string): Input['matches'] {
  return picomatch(glob, { dot: true })
}
