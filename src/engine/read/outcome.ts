/** What became of an object version, as the ledger has it. Rows were counted of what was `read` only. */
export type Outcome =
  | 'read'
  /** Set aside: it could not be read, was not allowed to, or came over a version that was counted. */
  | 'quarantined'
  /** Set aside as the pipeline asked: a policy of 'skip', or what lay there before the first start. */
  | 'skipped'
  /** It was not there when it was to be read. No count (P13): whatever finds it next has it read. */
  | 'gone'
  /** Processes died while they read it, the last time alone. A start after a clean stop reads it once more (P13). */
  | 'suspect'

export type ReadAgain = 'suspect' | 'retry'
