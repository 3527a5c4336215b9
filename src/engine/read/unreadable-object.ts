import { errorMessage, isMillraceError, MillraceError } from '../../core/errors.ts'
import type { Wanted } from '../../core/object-version.ts'
import {
  badObject,
  deniedObject,
  type FetchContext,
  goneObject,
  isBadObject,
  type MarkedObject,
  reasonOf,
  recorded,
} from './marked-object.ts'

/** What a store says of one object that it cannot give. */
const unreadable = new Set(['object-archived', 'object-refused'])

/** What becomes of an object that failed to be read. @throws the error, where it is not the object's */
export function unreadableObject(context: FetchContext, wanted: Wanted, error: unknown): MarkedObject {
  const version = recorded(wanted)
  const { code } = error as NodeJS.ErrnoException
  if (code === 'EACCES') return deniedObject(context, version, 'permission denied')
  if (code === 'ENOSPC')
    throw new MillraceError(
      'fatal',
      'disk-full',
      `object '${version.key}' of ${wanted.sizeBytes} bytes cannot be fetched: the disk of ${context.spool} ` +
        `is full (${errorMessage(error)}). Nothing of it was counted. ` +
        'Free space, or name another folder with --spill.',
      error,
    )
  if (code === 'EFBIG')
    return badObject(context, version, `no file of the spool may be as large as its ${wanted.sizeBytes} bytes`)
  if (isMillraceError(error) && error.code === 'object-denied') return deniedObject(context, version, error.message)
  // What was refused is the version that a message named: nothing is known of the object that lies there.
  if (isMillraceError(error) && error.code === 'object-refused' && wanted.isAnnounced)
    return goneObject(context, version, error.message)
  if (isMillraceError(error) && unreadable.has(error.code)) return badObject(context, version, error.message)
  if (!isBadObject(error)) throw error
  return badObject(context, version, reasonOf(error, version.key))
}
