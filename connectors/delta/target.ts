import type { ObjectStore } from '../../src/core/ports.ts'
import type { SinkContext } from '../../src/plan/sink.ts'
import { type Action, keyOf, type Snapshot } from './actions.ts'
import type { DeltaLog } from './log.ts'
import { fence, isTakenBy, type TableOwner } from './owner.ts'
import type { Column } from './rows.ts'
import { fittingFields, type WantedTable } from './schema.ts'
import type { DeltaSink } from './spec.ts'
import type { DeltaField } from './types.ts'

/** A table, and all that is needed to write to it. */
export interface Target {
  readonly sink: DeltaSink
  readonly store: ObjectStore
  readonly log: DeltaLog
  readonly owner: TableOwner
  readonly wanted: WantedTable
  readonly columns: readonly Column[]
  readonly context: Pick<SinkContext, 'duckdb' | 'newId' | 'nowMs' | 'sleep'>
}

export interface Judged {
  readonly table: Snapshot | undefined
  /** The table is this flow's already. */
  readonly isTaken: boolean
  /** Its columns, with those that are to be added; undefined where there is no table. */
  readonly fields: readonly DeltaField[] | undefined
}

/** @throws MillraceError `user` where the table is another's, gone or unfit */
export async function judge({ log, owner, wanted }: Target, isNewCheckpoint: boolean): Promise<Judged> {
  const table = await log.read()
  const isTaken = isTakenBy(owner, table, isNewCheckpoint)
  return { table, isTaken, fields: table && fittingFields(wanted, table.metadata, table.protocol) }
}

/**
 * The newest version, to be written to.
 *
 * @throws MillraceError `fenced` where a later process has taken it
 */
export async function writable(target: Target, term: number): Promise<Snapshot> {
  const { table } = await judge(target, false)
  // Without one, `judge` has thrown.
  fence(target.owner, table as Snapshot, term)
  return table as Snapshot
}

/** Files of an epoch, and what they take the place of. */
export interface Changes {
  readonly actions: readonly Action[]
  /** Names of what was put into the table for it. */
  readonly keys: readonly string[]
  readonly operation: string
}

/** What an entry tells people of itself. */
export function commitInfo({ context }: Target, operation: string, more: object = {}): Action {
  const told = { timestamp: context.nowMs(), operation, operationParameters: {}, engineInfo: 'millrace', ...more }
  return { commitInfo: told }
}

/** Deletes files of which it is known that no entry of the log names them, now or ever. */
export async function deleteUnnamed({ store, log }: Target, keys: readonly string[], tried: number): Promise<void> {
  if (keys.length === 0) return
  const table = await log.read()
  // The entry may still be under way, as long as none has its number.
  if (!table || table.version < tried) return
  const named = namedKeys(table)
  await store.delete(keys.filter(key => !named.has(key)))
}

/** Every file that the log still tells of. */
export function namedKeys({ files, removed }: Snapshot): ReadonlySet<string> {
  return new Set([...files.keys(), ...removed.keys()].flatMap(path => keyOf(path) ?? []))
}
