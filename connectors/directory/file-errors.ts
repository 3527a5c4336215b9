import { isMillraceError, MillraceError, toError } from '../../src/core/errors.ts'
import { fileErrorCode } from './file-system.ts'

const full = ['ENOSPC', 'EDQUOT']
const transient = ['EAGAIN', 'EBUSY', 'EIO', 'EMFILE', 'ENFILE', 'ESTALE', 'ETIMEDOUT']

/** @param root of the store: an error of a write to an open file names no path */
export function fileSystemError(error: unknown, root: string): Error {
  const code = fileErrorCode(error)
  if (isMillraceError(error) || code === undefined) return toError(error)
  const kind = transient.includes(code) ? 'retry' : 'fatal'
  const { message } = toError(error)
  const where = message.includes(root) ? '' : ` (in ${root})`
  const advice = full.includes(code)
    ? `nothing of this write counts. Free space in ${root}, or raise its quota, and start again: ` +
      'the run goes on from its last commit.'
    : 'check the disk and its permissions.'
  return new MillraceError(kind, 'file-system', `${message}${where}; ${advice}`, error)
}

/** What the work gives; its errors are those of the store at this root. */
export async function guarded<T>(root: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    throw fileSystemError(error, root)
  }
}

/** What a call gives, or this where what it asks for is not there; other errors are those of the store at this root. */
export async function orIfAbsent<T, U>(root: string, call: Promise<T>, otherwise: U): Promise<T | U> {
  try {
    return await call
  } catch (error) {
    if (isAbsent(error)) return otherwise
    throw fileSystemError(error, root)
  }
}

/** A symbolic link that leads to itself leads nowhere, too. */
export function isAbsent(error: unknown): boolean {
  return ['ENOENT', 'ENOTDIR', 'ELOOP'].includes(fileErrorCode(error) ?? '')
}

export function isUnlinkable(error: unknown): boolean {
  return ['EXDEV', 'EPERM', 'EMLINK', 'ENOTSUP', 'ENOSYS'].includes(fileErrorCode(error) ?? '')
}

export async function absentIsFine(call: Promise<void>): Promise<void> {
  try {
    await call
  } catch (error) {
    // A folder is no object, so deleting its name deletes nothing.
    if (!isAbsent(error) && fileErrorCode(error) !== 'EISDIR') throw error
  }
}

/** Tidying up decides nothing: what it leaves is invisible and taken by a later process. */
export async function ignored<T>(call: Promise<T>): Promise<T | undefined> {
  try {
    return await call
  } catch {
    return undefined
  }
}
