import { id } from '../../plan/sql.ts'
import type { FetchContext } from './marked-object.ts'
import type { SpooledVersion } from './spooled-version.ts'

/** The tables of objects that are marked together. They go with the last object that holds them. */
export interface GroupTables {
  /** The name for rows as read. */
  readonly raw: string
  /** The name for values by declared type. */
  readonly typed: string
  create(name: string, sql: string): Promise<void>
  /** The object needs the tables no more; its files stay. */
  leave(object: SpooledVersion): Promise<void>
  /** Neither tables nor files. */
  release(object: SpooledVersion): Promise<void>
  /** After a failure, whoever holds them. */
  drop(): Promise<void>
}

/** @param table a name that nothing else uses */
export function createGroupTables(
  { executor, signal }: Pick<FetchContext, 'executor' | 'signal'>,
  table: string,
  objects: readonly SpooledVersion[],
): GroupTables {
  const tables = new Set<string>()
  const held = new Set(objects)
  const drop = async (name: string) => {
    if (tables.delete(name)) await executor.run(`DROP TABLE IF EXISTS ${id(name)}`)
  }
  /** @returns whether it was held */
  const leave = async (object: SpooledVersion) => {
    const wasHeld = held.delete(object)
    if (wasHeld && held.size === 0) for (const name of tables) await drop(name)
    return wasHeld
  }
  return {
    raw: `${table}_raw`,
    typed: `${table}_typed`,
    async create(name, sql) {
      tables.add(name)
      await executor.run(`CREATE TABLE ${id(name)} AS ${sql}`, signal)
    },
    async leave(object) {
      await leave(object)
    },
    async release(object) {
      if (await leave(object)) await object.discard()
    },
    async drop() {
      // The failure itself says why.
      for (const name of tables) await drop(name).catch(() => {})
    },
  }
}
