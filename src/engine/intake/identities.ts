import type { ObjectVersion } from '../../core/object-version.ts'
import type { Executor } from '../../core/ports.ts'
import { text } from '../../plan/sql.ts'
import type { Outcome } from '../read/outcome.ts'
import { sameKeySql, sameVersionSql } from '../state/ledger.ts'

/** What the ledger says of an object version; nothing where it has no version of its key. */
export interface Known {
  /** It is not to be read again: it was read, or set aside. What was gone is not settled (P13). */
  readonly isSettled: boolean
  /** Its rows count. */
  readonly isRead: boolean
  /** The last outcome of this version, where the ledger holds it. */
  readonly last?: Outcome
  /** Another version of the key was read. */
  readonly overwrites: boolean
}

/** Looks up object versions in table `ledger` without reading all of it (P2). */
export interface Identities {
  /** @param versions at most about a thousand */
  lookUp(versions: readonly ObjectVersion[]): Promise<ReadonlyMap<ObjectVersion, Known>>
}

/**
 * Look-ups after which what has come since is ordered as well: the rest of the ledger that each one reads stays small.
 */
const refreshAfter = 100_000

/**
 * Of one source. The entries' fingerprints lie in a table that is ordered by them, so that DuckDB's bounds of a row
 * group tell the few groups that can hold one; keys share their first bytes, of which bounds are made, and tell
 * nothing. What was committed since is read as it is.
 *
 * @param table where they lie
 * @param recent a table with all entries that come after this, where the ledger is no table itself
 */
export async function createIdentities(
  executor: Executor,
  source: string,
  table: string,
  recent = 'ledger',
): Promise<Identities> {
  const isOwn = `source = ${text(source)}`
  let orderedTo = await order()
  let lookedUp = 0

  async function order(): Promise<number> {
    const [last] = await executor.rows('SELECT coalesce(max(seq), 0) AS seq FROM ledger')
    const seq = Number(last?.seq)
    await executor.run(
      `CREATE OR REPLACE TABLE ${table} AS SELECT hash(key) AS fingerprint, seq FROM ledger WHERE seq <= ${seq} ` +
        `AND "is" = 'object' AND ${isOwn} ORDER BY fingerprint`,
    )
    return seq
  }

  return {
    async lookUp(versions) {
      const known = new Map<ObjectVersion, Known>()
      if (versions.length === 0) return known
      lookedUp += versions.length
      if (lookedUp > refreshAfter) {
        orderedTo = await order()
        lookedUp = 0
      }
      const hashes = await executor.rows(
        'SELECT DISTINCT CAST(hash(key) AS VARCHAR) AS h FROM (VALUES ' +
          `${versions.map(({ key }) => `(${text(key)})`).join(', ')}) AS v(key)`,
      )
      const found = await executor.rows(
        `SELECT seq FROM ${table} WHERE fingerprint IN ` +
          `(${hashes.map(({ h }) => `${String(h)}::UBIGINT`).join(', ')})`,
      )
      const older =
        found.length === 0
          ? ''
          : `SELECT * FROM ledger WHERE seq IN (${found.map(({ seq }) => String(seq)).join(', ')}) UNION ALL `
      const values = versions.map(
        ({ bucket, key, eTag, versionId }, index) =>
          `(${index}, ${text(source)}, ${text(bucket)}, ${text(key)}, ${text(eTag)}, ` +
          `${versionId === undefined ? 'CAST(NULL AS VARCHAR)' : text(versionId)})`,
      )
      const same = sameVersionSql('l', 'v')
      const rows = await executor.rows(
        `SELECT v.i, arg_max(l.outcome, l.seq) FILTER (${same}) AS last, coalesce(bool_or(${same} AND l.outcome ` +
          `= 'read'), FALSE) AS was_read, ` +
          `coalesce(bool_or(l.outcome = 'read'), FALSE) AS overwrites FROM (VALUES ${values.join(', ')}) AS v(i, ` +
          'source, bucket, key, e_tag, version_id) ' +
          `JOIN (${older}SELECT * FROM ${recent} WHERE seq > ${orderedTo}) AS l ` +
          `ON ${sameKeySql('l', 'v')} GROUP BY v.i`,
      )
      for (const row of rows) {
        const last = row.last as Outcome | null
        const isRead = row.was_read === true
        known.set(versions[Number(row.i)] as ObjectVersion, {
          isSettled: isRead || (last !== null && last !== 'gone'),
          isRead,
          ...(last === null ? {} : { last }),
          overwrites: row.overwrites === true,
        })
      }
      return known
    },
  }
}
