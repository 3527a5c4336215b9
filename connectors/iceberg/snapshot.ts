import { randomBytes } from 'node:crypto'
import type { SinkContext } from '../../src/plan/sink.ts'
import {
  type DataFile,
  entryStatus,
  type ManifestContext,
  type ManifestEntry,
  type ManifestFile,
  readManifest,
  readManifestList,
  writeManifest,
  writeManifestList,
} from './manifests.ts'
import {
  currentSchema,
  currentSnapshot,
  isRowLineage,
  type Snapshot,
  specById,
  type TableMetadata,
} from './metadata.ts'
import type { TableFiles } from './table-files.ts'

/** What a commit does to the files of a table. */
export interface FileChange {
  readonly added: readonly DataFile[]
  /** Addresses of data files that go, by the address of the manifest that names them. */
  readonly removed: ReadonlyMap<string, ReadonlySet<string>>
  /** Of the snapshot, for people who look at it. */
  readonly summary: Readonly<Record<string, string>>
}

/** A snapshot that is written and not yet committed. */
export interface PreparedSnapshot {
  readonly snapshot: Snapshot
  /** Keys of the files that were written for it: garbage when it is not committed. */
  readonly written: readonly string[]
}

/** So many manifests are merged into one: what a reader opens stays bounded. */
export const manifestsMax = 100
/** Manifests of this size are left as they are. */
const manifestBytesMax = 8n * 1024n * 1024n

/** Manifests that are data files' own, of the spec that files are parted by now. */
const isMergeable = (manifest: ManifestFile, specId: number) =>
  manifest.content === 0 && manifest.partition_spec_id === specId && manifest.manifest_length < manifestBytesMax

/** Writes manifests, and the list of them, of the table after the change. */
export async function prepareSnapshot(
  files: TableFiles,
  table: TableMetadata,
  change: FileChange,
  newId: SinkContext['newId'],
  nowMs: number,
): Promise<PreparedSnapshot> {
  const parent = currentSnapshot(table)
  const id = randomBytes(8).readBigUInt64BE() >> 1n
  const sequence = BigInt(table['last-sequence-number']) + 1n
  const context: ManifestContext = {
    formatVersion: table['format-version'],
    schema: currentSchema(table),
    spec: specById(table, table['default-spec-id']) as ManifestContext['spec'],
  }
  const written: string[] = []
  const write = async (entries: readonly ManifestEntry[]): Promise<ManifestFile> => {
    const key = `metadata/${newId()}-m0.avro`
    const of = { manifest_path: files.addressOf(key), sequence_number: sequence, added_snapshot_id: id }
    const { bytes, manifest } = await writeManifest(context, entries, of)
    await files.write(key, bytes)
    written.push(key)
    return manifest
  }

  const before = parent ? await manifestsOf(files, parent) : []
  const kept = await withoutRemoved(files, before, change.removed, write)
  const added = change.added.map(file => ({ ...newEntry(id), data_file: file }))
  const all = [...(added.length > 0 ? [await write(added)] : []), ...kept]
  const merged = await mergeManifests(files, all, { id, specId: context.spec['spec-id'] }, write)
  const { manifests, rows } = withRowIds(merged, table)
  const listKey = `metadata/snap-${id}-${newId()}.avro`
  const parentId = parent && BigInt(parent['snapshot-id'])
  const list = await writeManifestList(context.formatVersion, manifests, { id, parent: parentId, sequence })
  await files.write(listKey, list)
  written.push(listKey)
  return {
    written,
    snapshot: {
      'snapshot-id': id,
      ...(parentId !== undefined && { 'parent-snapshot-id': parentId }),
      'sequence-number': sequence,
      'timestamp-ms': Math.max(nowMs, table['last-updated-ms']),
      'manifest-list': files.addressOf(listKey),
      'schema-id': context.schema['schema-id'],
      summary: summaryOf(parent, before, manifests, change),
      ...(isRowLineage(table) && { 'first-row-id': table['next-row-id'] ?? 0, 'added-rows': rows }),
    },
  }
}

export async function manifestsOf(
  files: TableFiles,
  snapshot: Pick<Snapshot, 'manifest-list'>,
): Promise<readonly ManifestFile[]> {
  const { bytes, at } = await files.read(snapshot['manifest-list'])
  return readManifestList(bytes, at)
}

/** Files that a manifest names and that are in the table, with what they take over from the manifest. */
export async function entriesOf(files: TableFiles, manifest: ManifestFile): Promise<readonly ManifestEntry[]> {
  const { bytes, at } = await files.read(manifest.manifest_path)
  const entries = await readManifest(bytes, at)
  let rowId = manifest.first_row_id ?? undefined
  return entries
    .map(entry => {
      const { data_file: file } = entry
      const own = (file.first_row_id ?? undefined) as bigint | undefined
      const first = own ?? rowId
      if (own === undefined && rowId !== undefined && entry.status !== entryStatus.deleted) rowId += file.record_count
      return {
        status: entry.status,
        snapshot_id: entry.snapshot_id ?? manifest.added_snapshot_id,
        sequence_number: entry.sequence_number ?? manifest.sequence_number,
        file_sequence_number: entry.file_sequence_number ?? manifest.sequence_number,
        data_file: first === undefined ? file : { ...file, first_row_id: first },
      }
    })
    .filter(({ status }) => status !== entryStatus.deleted)
}

const newEntry = (id: bigint): Omit<ManifestEntry, 'data_file'> => ({
  status: entryStatus.added,
  snapshot_id: id,
  // Those of the commit: a reader takes them from the list.
  sequence_number: null,
  file_sequence_number: null,
})

const existing = (entry: ManifestEntry): ManifestEntry => ({ ...entry, status: entryStatus.existing })

async function withoutRemoved(
  files: TableFiles,
  manifests: readonly ManifestFile[],
  removed: FileChange['removed'],
  write: (entries: readonly ManifestEntry[]) => Promise<ManifestFile>,
): Promise<readonly ManifestFile[]> {
  const result: ManifestFile[] = []
  for (const manifest of manifests) {
    const gone = removed.get(manifest.manifest_path)
    if (!gone) {
      // One of which all files are gone tells nothing any more.
      if (manifest.content !== 0 || manifest.added_files_count + manifest.existing_files_count > 0)
        result.push(manifest)
      continue
    }
    const entries = await entriesOf(files, manifest)
    result.push(
      await write(
        entries.map(entry =>
          gone.has(entry.data_file.file_path) ? { ...entry, status: entryStatus.deleted } : existing(entry),
        ),
      ),
    )
  }
  return result
}

async function mergeManifests(
  files: TableFiles,
  manifests: readonly ManifestFile[],
  { id, specId }: { readonly id: bigint; readonly specId: number },
  write: (entries: readonly ManifestEntry[]) => Promise<ManifestFile>,
): Promise<readonly ManifestFile[]> {
  // What this snapshot takes out of the table must be told by its own manifests.
  const tells = ({ added_snapshot_id: by, deleted_files_count: deleted }: ManifestFile) => by === id && deleted > 0
  const merged = manifests.filter(manifest => isMergeable(manifest, specId) && !tells(manifest))
  if (merged.length < manifestsMax) return manifests
  const entries: ManifestEntry[] = []
  for (const manifest of merged) entries.push(...(await entriesOf(files, manifest)))
  const one = await write(entries.map(existing))
  return [one, ...manifests.filter(manifest => !merged.includes(manifest))]
}

/** Format 3: a manifest without a first id of its rows gets one. */
function withRowIds(
  manifests: readonly ManifestFile[],
  table: TableMetadata,
): { readonly manifests: readonly ManifestFile[]; readonly rows: bigint } {
  if (!isRowLineage(table)) return { manifests, rows: 0n }
  const first = BigInt(table['next-row-id'] ?? 0)
  let next = first
  const numbered = manifests.map(manifest => {
    if (manifest.content !== 0 || (manifest.first_row_id ?? null) !== null) return manifest
    const own = { ...manifest, first_row_id: next }
    next += manifest.added_rows_count + manifest.existing_rows_count
    return own
  })
  return { manifests: numbered, rows: next - first }
}

function summaryOf(
  parent: Snapshot | undefined,
  before: readonly ManifestFile[],
  after: readonly ManifestFile[],
  { added, removed, summary }: FileChange,
): Readonly<Record<string, string>> {
  const totals = (manifests: readonly ManifestFile[]) => {
    const data = manifests.filter(({ content }) => content === 0)
    return {
      files: data.reduce((sum, each) => sum + each.added_files_count + each.existing_files_count, 0),
      rows: data.reduce((sum, each) => sum + each.added_rows_count + each.existing_rows_count, 0n),
    }
  }
  const [old, now] = [totals(before), totals(after)]
  const addedRows = added.reduce((sum, file) => sum + file.record_count, 0n)
  const gone = [...removed.values()].reduce((sum, one) => sum + one.size, 0)
  return {
    operation: gone === 0 ? 'append' : added.length === 0 ? 'delete' : 'overwrite',
    ...summary,
    'added-data-files': String(added.length),
    'added-records': String(addedRows),
    ...(gone > 0 && {
      'deleted-data-files': String(gone),
      'deleted-records': String(old.rows + addedRows - now.rows),
    }),
    'total-data-files': String(now.files),
    'total-records': String(now.rows),
    'total-delete-files': parent?.summary['total-delete-files'] ?? '0',
  }
}
