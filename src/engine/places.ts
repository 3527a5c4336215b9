import { isAbsolute, relative, sep } from 'node:path'
import { parseDirectoryAddress } from '../../connectors/directory/spec.ts'
import { isS3Address, parseS3Address, toSpec } from '../../connectors/s3/spec.ts'

/**
 * Where an address lies as seen from a root: '' for the root itself, a relative path with forward slashes below it,
 * undefined elsewhere.
 *
 * @throws MillraceError `user` that names the field of a malformed address
 */
export function pathWithin(root: string, rootField: string, address: string, field: string): string | undefined {
  if (isS3Address(root) || isS3Address(address)) {
    if (!isS3Address(root) || !isS3Address(address)) return undefined
    const outer = toSpec(parseS3Address(root, rootField))
    const inner = toSpec(parseS3Address(address, field))
    // One bucket behind two endpoints cannot be told from two buckets of one name.
    if (outer.bucket !== inner.bucket || outer.endpoint !== inner.endpoint) return undefined
    return inner.prefix.startsWith(outer.prefix)
      ? inner.prefix.slice(outer.prefix.length).replace(/\/$/, '')
      : undefined
  }
  const path = relative(parseDirectoryAddress(root, rootField), parseDirectoryAddress(address, field))
  if (path === '..' || path.startsWith(`..${sep}`) || isAbsolute(path)) return undefined
  return path.split(sep).join('/')
}
