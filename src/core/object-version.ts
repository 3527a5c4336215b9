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

/**
 * An object as a notification names it: some servers leave out what only a look at the store can tell. The time of a
 * notification stands in for the last modification, except after a restore, which comes long after it.
 */
export type Announced = Omit<ObjectVersion, 'eTag' | 'sizeBytes' | 'lastModifiedMs'> &
  Partial<Pick<ObjectVersion, 'eTag' | 'sizeBytes' | 'lastModifiedMs'>>
