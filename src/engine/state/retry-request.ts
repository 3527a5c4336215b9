import { text } from '../../plan/sql.ts'
import { setAsideSql } from './ledger.ts'

/**
 * What `retry` asked for. HEAD keeps it until the commit that reads the last of it. It names objects by what the ledger
 * says of them: those that were read since, or were set aside anew, are none of it any more, so a crash loses and
 * doubles nothing, and it is small however many they are.
 */
export interface RetryRequest {
  /** Every object that is set aside, but what was skipped on purpose and what has another version that counts. */
  readonly all: boolean
  /** Keys of objects that were asked for by name, whatever they were set aside for. */
  readonly objects: readonly string[]
  /** Those that are set aside by an entry of the ledger before this one. */
  readonly beforeSeq: number
}

/** The request with another one, of which the ledger's entries so far are meant. */
export function joinRequests(
  pending: RetryRequest | null,
  asked: Pick<RetryRequest, 'all' | 'objects'>,
  beforeSeq: number,
): RetryRequest {
  return {
    all: asked.all || pending?.all === true,
    objects: [...new Set([...(pending?.objects ?? []), ...asked.objects])].toSorted(),
    beforeSeq,
  }
}

/**
 * The entries that are asked for, over table `ledger`, in its order: of each object the last, and what was gone only
 * where nothing else is set aside. An object that has an entry since the request was made is done with.
 */
export function requestedSql({ all, objects, beforeSeq }: RetryRequest): string {
  const named = objects.length === 0 ? [] : [`key IN (${objects.map(text).join(', ')})`]
  const any = all ? [`(outcome <> 'skipped' AND NOT overwrites)`] : []
  return (
    `SELECT * FROM (SELECT * FROM (${setAsideSql('ledger')}) WHERE (source, bucket, key) NOT IN ` +
    `(SELECT (source, bucket, key) FROM ledger WHERE "is" = 'object' AND seq >= ${beforeSeq}) ` +
    `QUALIFY row_number() OVER (PARTITION BY source, bucket, key ORDER BY outcome = 'gone', seq DESC) = 1) ` +
    `WHERE ${[...named, ...any].join(' OR ')} ORDER BY seq`
  )
}
