import { configError } from '../../core/errors.ts'
import type { Executor } from '../../core/ports.ts'
import { type LookupDefinition, type LookupVersion, versionColumn } from '../../plan/lookup.ts'
import { plainTypes } from '../../plan/relation.ts'
import { id, text } from '../../plan/sql.ts'
import { type ChannelReader, eachPart } from './channels.ts'

/** Rows of every version that a ledger entry names: they are kept as long as the ledger is, as a replay needs them. */
export function lookupChannel(name: string): string {
  return `lookup-${name}`
}

/** The table of a version that comes from a checkpoint. */
export function storedTable(name: string, seq: number): string {
  return id(`lookup ${name} ${seq}`)
}

/** A version as the ledger names it. */
export interface StoredVersion {
  readonly seq: number
  readonly epoch: number
  readonly digest: string
}

/** The last version of a lookup in the run's ledger; undefined where there is none. */
export async function lastVersion(executor: Pick<Executor, 'rows'>, name: string): Promise<StoredVersion | undefined> {
  const [last] = await executor.rows(
    `SELECT seq, epoch, e_tag FROM ledger WHERE "is" = 'lookup' AND source = ${text(name)} ORDER BY seq DESC LIMIT 1`,
  )
  return last && { seq: Number(last.seq), epoch: Number(last.epoch), digest: String(last.e_tag) }
}

/**
 * Makes tables of versions that a checkpoint holds. Only the files of their epochs are brought here.
 *
 * @param field names the checkpoint in errors
 * @throws MillraceError `user` where the versions have other columns than the lookup
 */
export async function loadVersions(
  reader: ChannelReader,
  executor: Pick<Executor, 'run' | 'rows' | 'append' | 'describe'>,
  { settings: { name, columns } }: LookupDefinition,
  versions: readonly Pick<StoredVersion, 'seq' | 'epoch'>[],
  field: string,
): Promise<readonly LookupVersion[]> {
  const types = Object.entries(plainTypes(columns))
  for (const { seq } of versions)
    await executor.run(
      `CREATE TABLE ${storedTable(name, seq)} (${types.map(([column, type]) => `${id(column)} ${type}`).join(', ')})`,
    )
  const channel = lookupChannel(name)
  const parts = (reader.manifest.channels[channel] ?? []).filter(({ epochs: [from, to] }) =>
    versions.some(({ epoch }) => from <= epoch && epoch <= to),
  )
  const narrowed = { ...reader, manifest: { ...reader.manifest, channels: { [channel]: parts } } }
  await eachPart(narrowed, executor, channel, async rows => {
    const found = await executor.describe(`SELECT * FROM ${rows}`)
    const other = types.find(([column, type]) => sameType(found[column]) !== type)
    if (other)
      throw configError(
        field,
        `lookup ${name} with ${other[0]} ${found[other[0]] ?? 'missing'}`,
        `versions of the lookup as the pipeline declares it, with ${other[0]} ${other[1]}`,
      )
    for (const { seq } of versions)
      await executor.run(
        `INSERT INTO ${storedTable(name, seq)} BY NAME SELECT * EXCLUDE (${versionColumn}) FROM ${rows} ` +
          `WHERE ${versionColumn} = ${seq}`,
      )
  })
  return versions.map(({ seq }) => ({ seq, table: storedTable(name, seq) }))
}

function sameType(type: string | undefined): string | undefined {
  return type?.replaceAll('TIMESTAMP WITH TIME ZONE', 'TIMESTAMPTZ')
}
