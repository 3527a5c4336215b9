import { dirname } from 'node:path'
import { configError } from '../../src/core/errors.ts'
import { fileSystemError, isAbsent } from './file-errors.ts'
import { type FileSystem, nodeFileSystem } from './file-system.ts'

/** statfs types of network file systems, on which `rename` and `link` may be applied twice or seen late. */
const networkFileSystems: ReadonlyMap<number, string> = new Map([
  [0x6969, 'NFS'],
  [0x517b, 'SMB'],
  [0xff534d42, 'CIFS'],
  [0xfe534d42, 'SMB2'],
])

/**
 * Refuses a directory for checkpoints or output on a network file system (P7).
 *
 * @throws MillraceError of kind 'user'.
 */
export async function checkFileSystem(root: string, fs: FileSystem = nodeFileSystem): Promise<void> {
  for (let path = root; ; path = dirname(path)) {
    let type: number
    try {
      type = await fs.type(path)
    } catch (error) {
      // The directory may not exist yet: its nearest ancestor tells.
      if (isAbsent(error) && dirname(path) !== path) continue
      throw fileSystemError(error, root)
    }
    // The number is signed on some platforms.
    const name = networkFileSystems.get(type >>> 0)
    if (name === undefined) return
    throw configError('directory', root, `a local disk: ${path} lies on ${name}, where a rename does not decide races`)
  }
}
