import { createRequire } from 'node:module'

/** By the package's own name, so that source and build find the same file. */
export function version(): string {
  const { version } = createRequire(import.meta.url)('millrace/package.json') as { version: string }
  return version
}
