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

/** P1: the same key, and equal versionIds where both sides have one, else equal eTags. */
export function isSameVersion(a: ObjectVersion, b: ObjectVersion): boolean {
  if (a.bucket !== b.bucket || a.key !== b.key) return false
  return a.versionId !== undefined && b.versionId !== undefined ? a.versionId === b.versionId : a.eTag === b.eTag
}
