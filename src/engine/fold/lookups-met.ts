import {
  type LookupDefinition,
  type LookupRows,
  lookupRows,
  type LookupVersion,
  versionColumn,
} from '../../plan/lookup.ts'
import type { Executor } from '../../core/ports.ts'
import type { LedgerPosition } from '../state/engine-state.ts'
import type { AdmittedVersion, StampedMark } from '../state/ledger.ts'
import { lookupChannel } from '../state/lookup-versions.ts'
import type { Work } from './work.ts'

/** By name of the lookup, in the order of the ledger: the versions that rows of an epoch may meet (S25). */
export type LookupsMet = ReadonlyMap<string, readonly LookupVersion[]>

/** Those that a ledger ends with. */
export function lookupsAt({ lookups }: Pick<LedgerPosition, 'lookups'>): LookupsMet {
  return new Map(Object.entries(lookups).map(([name, version]) => [name, [version]]))
}

/** With those that come as entries of the epoch. */
export function lookupsMet(from: Pick<LedgerPosition, 'lookups'>, marks: readonly StampedMark[]): LookupsMet {
  const met = new Map(lookupsAt(from))
  for (const mark of marks)
    if (mark.is === 'lookup') met.set(mark.source, [...(met.get(mark.source) ?? []), stampedVersion(mark)])
  return met
}

export function stampedVersion({ seq, version }: AdmittedVersion & { readonly seq: number }): LookupVersion {
  return { seq, table: version.table }
}

/** What steps see of them. */
export function lookupIn(met: LookupsMet): (of: LookupDefinition) => LookupRows {
  return ({ settings: { name } }) => {
    const versions = met.get(name)
    if (!versions) throw new Error(`unreachable: no version of lookup ${name} comes before the rows that meet it`)
    return lookupRows(versions)
  }
}

/** The rows of new versions go into the checkpoint, each once, beside the entry that names them. */
export async function writeVersions(
  executor: Pick<Executor, 'rows'>,
  work: Work,
  marks: readonly StampedMark[],
): Promise<void> {
  for (const mark of marks) {
    if (mark.is !== 'lookup') continue
    const { seq, table } = stampedVersion(mark)
    const [count] = await executor.rows(`SELECT count(*) AS n FROM ${table}`)
    if (Number(count?.n) === 0) continue
    const rows = `SELECT CAST(${seq} AS BIGINT) AS ${versionColumn}, * FROM ${table}`
    work.channels.push({ channel: lookupChannel(mark.source), kept: await work.keep(rows, [], Number(count?.n)) })
  }
}
