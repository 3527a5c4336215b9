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
}

/** What a store is asked with for this version and no other. */
export function askedAs({ eTag, versionId }: Pick<ObjectVersion, 'eTag' | 'versionId'>) {
  return { ifMatch: eTag, ...(versionId === undefined ? {} : { versionId }) }
}

/** The same object version (P1): by versionIds where both sides have one, else by eTags. */
export function isSameVersion(a: ObjectVersion, b: ObjectVersion): boolean {
  if (a.bucket !== b.bucket || a.key !== b.key) return false
  return a.versionId !== undefined && b.versionId !== undefined ? a.versionId === b.versionId : a.eTag === b.eTag
}

/**
 * An object as a notification names it: a hint. What is read, and what the ledger says of it, is what the store
 * answers. Some servers leave out what only a look at the store can tell.
 */
export interface Announced {
  readonly bucket: string
  readonly key: string
  readonly eTag?: string
  readonly versionId?: string
  readonly sizeBytes?: number
  /**
   * It was archived, and can be read from now on: counts even where the ledger has it as one that could not be read.
   */
  readonly isRestored?: true
}

/** An object version that the store is to be asked for. */
export interface Wanted extends ObjectVersion {
  /**
   * A message named it: that there is such a version is not known yet, nor its size and time. `sizeBytes` is the
   * message's word, or 0, and serves to cut mini-batches; `lastModifiedMs` is 0.
   */
  readonly isAnnounced?: true
}
