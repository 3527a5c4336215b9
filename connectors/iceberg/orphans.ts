import { dataPrefix, parseDataKey } from './data-files.ts'
import { currentSnapshot, type TableMetadata } from './metadata.ts'
import { entriesOf, manifestsOf } from './snapshot.ts'
import { epochOf } from './token.ts'
import type { TableFiles } from './table-files.ts'

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
 * @param through the last epoch that the table has
 */
export async function lostFiles(
  files: TableFiles,
  table: TableMetadata,
  through: number,
  isTriedInPlace: boolean,
): Promise<readonly LostFile[]> {
  const last = isTriedInPlace ? await namedByLast(files, table, through) : undefined
  const lost: LostFile[] = []
  // `~` is above all that follows the number of an epoch.
  for await (const { key } of files.store.list('data/', last ? dataPrefix(through) : `${dataPrefix(through)}~`)) {
    const file = parseDataKey(key)
    if (file && (file.epoch > through || (file.epoch === through && last && !last.has(key))))
      lost.push({ key, ...file })
  }
  return lost
}

/** Undefined where somebody has written since: an older snapshot may name what the current one does not. */
async function namedByLast(
  files: TableFiles,
  table: TableMetadata,
  through: number,
): Promise<ReadonlySet<string> | undefined> {
  const snapshot = currentSnapshot(table)
  if (snapshot === undefined || epochOf(snapshot) !== through) return undefined
  const named = new Set<string>()
  for (const manifest of await manifestsOf(files, snapshot))
    for (const { data_file: file } of await entriesOf(files, manifest))
      if (file.file_path.startsWith(files.addressOf(dataPrefix(through)))) named.add(files.keyOf(file.file_path))
  return named
}
