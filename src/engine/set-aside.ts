import type { Wanted } from '../core/object-version.ts'
import type { Row } from '../core/ports.ts'
import { versionOf } from './admit.ts'
import { sameVersionSql } from './ledger.ts'

/**
 * Objects that are set aside as table `ledger` stands: of each key the last entry whose version was never read, so no row
 * of it was counted (I5). With `overwrites`: another version of its key was read.
 *
 * @param condition over the ledger's columns and `overwrites`
 */
export function setAsideSql(condition: string): string {
  return (
    `WITH aside AS (SELECT * FROM ledger AS a WHERE a."is" = 'object' AND a.outcome <> 'read' ` +
    `AND NOT EXISTS (SELECT 1 FROM ledger AS r WHERE r.outcome = 'read' AND ${sameVersionSql('r', 'a')})), ` +
    `last AS (SELECT *, EXISTS (SELECT 1 FROM ledger AS r WHERE r.outcome = 'read' AND r.bucket = a.bucket AND r.key = a.key) AS overwrites ` +
    `FROM aside AS a WHERE seq IN (SELECT max(seq) FROM aside GROUP BY bucket, key)) SELECT * FROM last WHERE ${condition}`
  )
}

/** The version of a row of that, to be asked for. Of what only a message has told the ledger has no size. */
export function wantedOf(row: Row): Wanted {
  const version = versionOf(row)
  return version.sizeBytes === 0 ? { ...version, isAnnounced: true } : version
}
