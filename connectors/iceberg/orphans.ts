import type { Token } from '../lake/owner.ts'
import { dataPrefix, parseDataKey } from './data-files.ts'
import { currentSnapshot, type TableMetadata } from './metadata.ts'
import { entriesOf, manifestsOf } from './snapshot.ts'
import { epochOf } from './token.ts'
import type { TableFiles } from './table-files.ts'

type Epoch = Pick<Token, 'checkpointId' | 'epoch'>

/** A data file of this sink that no snapshot names. */
export interface LostFile {
  readonly key: string
  readonly term: number
  readonly epoch: number
}

/**
 * Data files of epochs that the table does not have yet, and those of its last epoch that a try left behind whose
 * answer was lost. Earlier ones were looked for when their epoch was the last one.
 *
 * @param last the last epoch that the table has, and whose it is
 * @param isTriedInPlace its files are put into the table when it is published, so that a try may leave some
 */
export async function lostFiles(
  files: TableFiles,
  table: TableMetadata,
  last: Epoch,
  isTriedInPlace: boolean,
): Promise<readonly LostFile[]> {
  const { epoch: through } = last
  const named = isTriedInPlace ? await namedByLast(files, table, last) : undefined
  const lost: LostFile[] = []
  // `~` is above all that follows the number of an epoch.
  for await (const { key } of files.store.list('data/', named ? dataPrefix(through) : `${dataPrefix(through)}~`)) {
    const file = parseDataKey(key)
    if (file && (file.epoch > through || (file.epoch === through && named && !named.has(key))))
      lost.push({ key, ...file })
  }
  return lost
}

/** Undefined where somebody has written since: an older snapshot may name what the current one does not. */
async function namedByLast(
  files: TableFiles,
  table: TableMetadata,
  { checkpointId, epoch }: Epoch,
): Promise<ReadonlySet<string> | undefined> {
  const snapshot = currentSnapshot(table)
  if (snapshot === undefined || epochOf(snapshot, checkpointId) !== epoch) return undefined
  const own = files.addressOf(dataPrefix(epoch))
  const named = new Set<string>()
  for (const manifest of await manifestsOf(files, snapshot)) {
    // What came with it stands in the manifests that were written for it.
    if (manifest.added_snapshot_id !== BigInt(snapshot['snapshot-id'])) continue
    for (const { data_file: file } of await entriesOf(files, manifest))
      if (file.file_path.startsWith(own)) named.add(files.keyOf(file.file_path))
  }
  return named
}
