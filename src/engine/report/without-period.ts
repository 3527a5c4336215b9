import { showCounted } from '../../core/quantity.ts'
import type { Counted } from './ignored-keys.ts'

/** Objects of a listing whose keys do not fit the pattern of `watermark.bounds`: their rows move no watermark (S3). */
export interface WithoutPeriod extends Counted {
  readonly source: string
  readonly pattern: string
  /** Objects of the listing in all. */
  readonly of: number
}

export function isEveryWithoutPeriod({ count, of }: WithoutPeriod): boolean {
  return count === of
}

export function withoutPeriodText(found: WithoutPeriod): string {
  const { source, pattern, count, of, first } = found
  const bounds = `watermark.bounds '${pattern}' of source ${source}`
  if (isEveryWithoutPeriod(found))
    return (
      `${bounds} fits none of ${showCounted(of, 'object')}, such as '${first}': their rows move no watermark, so ` +
      'no window closes. Is the pattern right?'
    )
  return (
    `${bounds} does not fit ${count} of ${showCounted(of, 'object')}, such as '${first}': their rows are counted, ` +
    'but move no watermark.'
  )
}
