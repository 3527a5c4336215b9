import type { ObjectStore } from '../../src/core/ports.ts'
import type { NewTable, TableMetadata, Update } from './metadata.ts'

/**
 * What became of a commit. 'conflict': another one came first. 'unknown': it may have been made, which reading the
 * table again tells.
 */
export type Committed =
  | { readonly is: 'committed' }
  | { readonly is: 'conflict' }
  | { readonly is: 'unknown'; readonly cause: unknown }

/** What knows the current metadata of a table, and replaces them in one step. */
export interface Catalog {
  /** Names the table in messages. */
  readonly address: string
  /** Undefined where there is no such table. */
  load(): Promise<TableMetadata | undefined>
  create(table: NewTable): Promise<Committed>
  /** @param base as it was loaded: where the table is another by now, that is a conflict */
  commit(base: TableMetadata, updates: readonly Update[]): Promise<Committed>
  /** Where the table's files lie. */
  storeOf(table: Pick<TableMetadata, 'location'>): Promise<ObjectStore>
  /** Deletes metadata that are no longer in force, and tells readers of those that are. After a commit. */
  tidy(): Promise<void>
}
