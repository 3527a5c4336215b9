import { isAbsolute, relative } from 'node:path'

/** A path as short as it can be said here: relative when it lies in the working directory. */
export function nearPath(path: string): string {
  if (!isAbsolute(path)) return path
  const near = relative(process.cwd(), path)
  return near !== '' && !near.startsWith('..') && !isAbsolute(near) ? near : path
}
