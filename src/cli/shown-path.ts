import { fileURLToPath } from 'node:url'
import { nearPath } from '../core/near-path.ts'

/** A `file://` address as a path; a path, and an address that is no file, as it is. */
export function addressToPath(address: string): string {
  return address.startsWith('file://') ? fileURLToPath(address) : address
}

/** An address or path as short as it can be said here: relative when it lies in the working directory. */
export function shownPath(address: string): string {
  return nearPath(addressToPath(address))
}

/** How this millrace is started: from its own checkout by npm's script, else by npx. */
export const invocation = import.meta.url.endsWith('.ts') ? 'npm run millrace --' : 'npx millrace'
