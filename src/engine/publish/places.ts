import { realpath } from 'node:fs/promises'
import { dirname, isAbsolute, join, relative, sep } from 'node:path'
import { parseDirectoryAddress } from '../../../connectors/directory/spec.ts'
import { isS3Address, parseS3Address, toSpec } from '../../../connectors/s3/spec.ts'

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

/** Whether one address lies at or below the other, also by the links of a directory. */
export async function isOverlap(a: string, aField: string, b: string, bField: string): Promise<boolean> {
  const within = (outer: string, inner: string) => pathWithin(outer, aField, inner, bField) !== undefined
  if (isS3Address(a) || isS3Address(b)) return within(a, b) || within(b, a)
  const real = [await realAddress(a, aField), await realAddress(b, bField)] as const
  const pairs = [[a, b], real, [a, real[1]], [real[0], b]] as const
  return pairs.some(([one, other]) => within(one, other) || within(other, one))
}

/** Without links, as far as the directory is there. */
async function realAddress(address: string, field: string): Promise<string> {
  const path = parseDirectoryAddress(address, field)
  for (let there = path; ; there = dirname(there)) {
    try {
      return join(await realpath(there), relative(there, path))
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code ?? ''
      if (!['ENOENT', 'ENOTDIR'].includes(code) || dirname(there) === there) throw error
    }
  }
}
