import type { Put } from '../../src/core/ports.ts'
import { isMissing, unquoted } from './answers.ts'
import { failureOf, isTransient, type Request, toMillrace } from './errors.ts'

/** One conditional write, sent once: its outcome as the port tells it (P6). */
export async function written(
  request: Request,
  ifMatch: string,
  work: () => Promise<{ readonly ETag?: string | undefined }>,
): Promise<Put> {
  try {
    return { is: 'stored', eTag: unquoted((await work()).ETag) }
  } catch (error) {
    const failure = failureOf(error)
    const { code, status } = failure
    // 409 ConditionalRequestConflict: another write of the key was under way. The caller reads and decides.
    if (status === 412 || (status === 409 && code !== 'OperationAborted')) return { is: 'conflict' }
    // If-Match on a key that is not there.
    if (ifMatch !== 'absent' && isMissing(failure)) return { is: 'conflict' }
    if (isTransient(failure) || failure.error.name === 'AbortError') return { is: 'unknown', cause: failure.error }
    throw toMillrace(error, request)
  }
}
