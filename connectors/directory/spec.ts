import { resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { configError } from '../../src/core/errors.ts'

const expected = "a local directory, such as './data' or 'file:///data'"

/**
 * The absolute path of a local directory named by `file:///abs/path`, or by an absolute or relative path.
 *
 * @param field The option that holds the address, for the message.
 * @throws MillraceError of kind 'user' for other schemes and malformed addresses.
 */
export function parseDirectoryAddress(address: string, field: string): string {
  if (address.trim() === '' || address.includes('\0')) throw configError(field, address, expected)
  // One letter before the colon is a Windows drive, not a scheme.
  const scheme = /^([a-z][a-z0-9+.-]+):/i.exec(address)?.[1]?.toLowerCase()
  if (scheme === undefined) return resolve(address)
  if (scheme !== 'file' || !address.toLowerCase().startsWith('file://')) {
    throw configError(
      field,
      address,
      `${expected}; this version reads local directories, ` +
        'and buckets as s3://bucket/prefix/ (of a server of your own with ?endpoint=https://host)',
    )
  }
  try {
    const url = new URL(address)
    if (url.search !== '' || url.hash !== '') {
      throw configError(field, address, `${expected}, with '?' and '#' in a name written as %3F and %23`)
    }
    // `fileURLToPath` refuses a host: 'file://data/in' names a machine called data, most likely by mistake.
    return resolve(fileURLToPath(url))
  } catch (error) {
    if (error instanceof TypeError) throw configError(field, address, `${expected} (three slashes)`, error)
    throw error
  }
}
