/** One version of one object: what the ledger counts exactly once (P1). */
export interface ObjectVersion {
  /** Bucket, or '' for a local directory. */
  readonly bucket: string
  /** Key relative to the source's root, forward slashes. */
  readonly key: string
  /** Unquoted eTag; for a local file `size-mtimeNs`. */
  readonly eTag: string
  readonly versionId?: string
  readonly sizeBytes: number
  readonly lastModifiedMs: number
  readonly sequencer?: string
}

/** The same object version (P1): by versionIds where both sides have one, else by eTags. */
export function isSameVersion(a: ObjectVersion, b: ObjectVersion): boolean {
  if (a.bucket !== b.bucket || a.key !== b.key) return false
  return a.versionId !== undefined && b.versionId !== undefined ? a.versionId === b.versionId : a.eTag === b.eTag
}

/**
 * An object as a notification names it: some servers leave out what only a look at the store can tell. The time of a
 * notification stands in for the last modification, except after a restore, which comes long after it.
 */
export interface Announced extends Omit<ObjectVersion, 'eTag' | 'sizeBytes' | 'lastModifiedMs'> {
  readonly eTag?: string
  readonly sizeBytes?: number
  readonly lastModifiedMs?: number
  /** It was archived, and can be read from now on: counts even where the ledger has it as one that could not be read. */
  readonly isRestored?: true
}
