import { retrying } from '../../checkpoints/retry.ts'
import type { Catalog } from './catalog.ts'
import { entryStatus, readManifest } from './manifests.ts'
import { currentSnapshot, mainBranch, type Snapshot, snapshotById, type TableMetadata } from './metadata.ts'
import { manifestsOf } from './snapshot.ts'
import type { TableFiles } from './table-files.ts'

/** Which snapshots a table keeps. */
export interface Retention {
  readonly ageMsMax: number
  readonly countMax: number
}

/** Snapshots go so many at a time, so that most commits are one commit. */
const batchMin = 20

/** The oldest snapshots, and the one after them. */
interface Due {
  readonly gone: readonly Snapshot[]
  readonly next: Snapshot
}

/** Undefined where too few snapshots are over to be taken out. */
export function dueSnapshots(table: TableMetadata, retention: Retention, nowMs: number): Due | undefined {
  const line = lineOf(table) ?? []
  const old = line.slice(0, -1).filter((snapshot, index) => {
    const isOverCount = line.length - index > retention.countMax
    return isOverCount || nowMs - snapshot['timestamp-ms'] > retention.ageMsMax
  })
  // The oldest ones in a row: time may run backwards between writers.
  if (old.length < batchMin) return undefined
  return { gone: line.slice(0, old.length), next: line[old.length] as Snapshot }
}

/**
 * Takes old snapshots out of the table, then deletes what none that is left has. Killed in between, it leaves files
 * that nobody reads.
 */
export async function expireSnapshots(
  catalog: Catalog,
  files: TableFiles,
  table: TableMetadata,
  retention: Retention,
  nowMs: number,
): Promise<void> {
  const due = dueSnapshots(table, retention, nowMs)
  if (!due) return
  const { gone, next } = due
  const garbage = await onlyIn(files, gone, next)
  const ids = gone.map(snapshot => snapshot['snapshot-id'])
  const committed = await catalog.commit(table, [{ action: 'remove-snapshots', 'snapshot-ids': ids }])
  if (committed.is !== 'committed') return
  await retrying(files.sleep, () => files.store.delete(garbage))
}

/**
 * The snapshots from the oldest to the current one. Undefined where there are others: branches and tags are somebody's,
 * and what they need stays.
 */
function lineOf(table: TableMetadata): readonly Snapshot[] | undefined {
  if (Object.keys(table.refs ?? {}).some(name => name !== mainBranch)) return undefined
  const line: Snapshot[] = []
  for (let one = currentSnapshot(table); one !== undefined; ) {
    line.unshift(one)
    const parent = one['parent-snapshot-id']
    one = parent === undefined || parent === null ? undefined : snapshotById(table, parent)
  }
  return line.length === (table.snapshots ?? []).length && line.length > 0 ? line : undefined
}

/** Keys of files that snapshots in a row have and the one after them has not, nor any later one. */
async function onlyIn(files: TableFiles, gone: readonly Snapshot[], next: Snapshot): Promise<readonly string[]> {
  const kept = await manifestsOf(files, next)
  const keptPaths = new Set(kept.map(({ manifest_path: path }) => path))
  const garbage = new Set<string>()
  const [first] = gone
  for (const snapshot of [...gone, next]) {
    const manifests = snapshot === next ? kept : await manifestsOf(files, snapshot)
    if (snapshot !== next) garbage.add(snapshot['manifest-list'])
    for (const manifest of manifests) {
      if (!keptPaths.has(manifest.manifest_path)) garbage.add(manifest.manifest_path)
      // What the oldest one took out was the affair of those before it.
      const isOwn = manifest.added_snapshot_id === BigInt(snapshot['snapshot-id'])
      if (snapshot === first || !isOwn || manifest.deleted_files_count === 0) continue
      const { bytes, at } = await files.read(manifest.manifest_path)
      for (const { status, data_file: file } of await readManifest(bytes, at))
        if (status === entryStatus.deleted) garbage.add(file.file_path)
    }
  }
  return [...garbage].map(address => files.keyOf(address))
}
