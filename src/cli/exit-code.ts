import { isMillraceError } from '../core/errors.ts'

/** 1 failed, 2 usage or configuration, 3 fenced by another writer. */
export function exitCodeOf(error: unknown): number {
  if (!isMillraceError(error)) return 1
  return error.kind === 'user' ? 2 : error.kind === 'fenced' ? 3 : 1
}
