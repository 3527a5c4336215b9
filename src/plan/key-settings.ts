/**
 * Which keys of a source's place are its objects. No part of the plan: what was counted is in the ledger, so it may
 * change between runs and holds for what comes.
 */
export interface KeySettings {
  /** Keys that Spark, Hive, Trino and Athena take for no data. */
  readonly hidden: 'ignore' | 'read'
  /** What keys end in, in any case; '' takes any. Absent: the extensions of the format. */
  readonly suffixes?: readonly string[]
  /** Symbolic links of a directory. */
  readonly symlinks: 'inside' | 'follow'
}
