import type { DeclaredColumn } from '../../plan/declared-column.ts'

/** One declared column of one object, in SQL over its rows. */
export interface ReadColumn extends DeclaredColumn {
  /** As read. */
  readonly raw: string
  /** As text for a record, also where it means nothing in the type that it was read as. */
  readonly shown: string
  /** By declared type: `raw` itself, or a column that is computed beside it. */
  readonly value: string
  /** What `value` is computed as; null where it is `raw`. */
  readonly cast: string | null
  /** Values that do not fit; null where all do. */
  readonly bad: string | null
  /** Of those, what means nothing in the type that it was read as; null where everything means something. */
  readonly outside: string | null
}
