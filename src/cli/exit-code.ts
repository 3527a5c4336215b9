import { isMillraceError } from '../core/errors.ts'
import type { Summary } from '../engine/summary.ts'

/** 1 failed, 2 usage or configuration, 3 fenced by another writer. */
export function exitCodeOf(error: unknown): number {
  if (!isMillraceError(error)) return 1
  return error.kind === 'user' ? 2 : error.kind === 'fenced' ? 3 : 1
}

/** 4: the run came to its end, and every object that it took was set aside. A script must not go on as if there were results. */
export function exitCodeOfSummary({ run }: Summary): number {
  return isNoneRead(run) ? 4 : 0
}

export function isNoneRead({ objects, setAside }: Summary['run']): boolean {
  return objects > 0 && setAside.length === objects
}
