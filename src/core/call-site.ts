import { fileURLToPath, pathToFileURL } from 'node:url'
import { nearPath } from './near-path.ts'
import { ownRoot } from './own-root.ts'

/** A place in a file of the user's. Lines and columns are counted from 1. */
export interface CallSite {
  /** Absolute path. */
  readonly file: string
  readonly line: number
  readonly column: number
  /** Of a file that is no code of JavaScript: the line as it is written, and a caret below the place. */
  readonly frame?: string
}

/** The place that `callSite` gives meanwhile: that of what is written in another language. */
let elsewhere: CallSite | undefined

/** Calls what asks for its caller's place, which is this one: a statement of SQL has no frame on the stack. */
export function calledAt<T>(site: CallSite, call: () => T): T {
  const before = elsewhere
  elsewhere = site
  try {
    return call()
  } finally {
    elsewhere = before
  }
}

/** millrace itself, from source or from the build: what its frames begin with. */
const own = ['src/', 'operators/', 'connectors/', 'checkpoints/'].map(folder => ownRoot + folder)

/** Where the user's code calls what calls this; undefined where no frame of the stack is the user's. */
export function callSite(): CallSite | undefined {
  if (elsewhere) return elsewhere
  const here = { stack: '' }
  Error.captureStackTrace(here, callSite)
  return callSiteIn(here.stack)
}

/** The innermost frame of a stack that is a file, and none of millrace's own. */
export function callSiteIn(stack: unknown): CallSite | undefined {
  if (typeof stack !== 'string') return undefined
  for (const line of stack.split('\n')) {
    const [, place, atLine, atColumn] =
      /^ +at (?:.*? \(|async )?((?:file:\/\/|\/|[A-Z]:\\).*):(\d+):(\d+)\)?$/.exec(line) ?? []
    if (place === undefined) continue
    const url = place.startsWith('file://') ? place.replace(/\?.*$/, '') : pathToFileURL(place).href
    if (!own.some(folder => url.startsWith(folder)))
      return { file: fileURLToPath(url), line: Number(atLine), column: Number(atColumn) }
  }
  return undefined
}

/** 'pipeline.ts:12:5', as editors and terminals link it. */
export function showCallSite({ file, line, column }: CallSite): string {
  return `${nearPath(file)}:${line}:${column}`
}
