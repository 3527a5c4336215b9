import { corrupt } from '../../checkpoints/codec.ts'
import { nameOf } from '../../checkpoints/objects.ts'
import type { ObjectStore, StoredBody } from '../../src/core/ports.ts'
import type { SinkContext } from '../../src/plan/sink.ts'
import { type Action, applyActions, parseActions, serializeActions, type Snapshot } from './actions.ts'
import { type LogFiles, logFiles } from './log-files.ts'
import { lastCheckpoint, logFolder, readCheckpoint, writeCheckpoint } from './log-checkpoint.ts'

/** So many entries after a checkpoint of the log the next is written: whoever opens the table reads no more of them. */
export const checkpointEvery = 20

/** The log of a table, as far as this process has read it. */
export interface DeltaLog {
  /** The newest version of the table, whoever wrote it; undefined where there is none. */
  read(): Promise<Snapshot | undefined>
  /**
   * Puts the entry that follows what `read` gave, if there is none yet.
   *
   * @returns whether it is known to be there; else `read` tells
   */
  commit(actions: readonly Action[]): Promise<boolean>
  /** Writes a checkpoint of the log where it is due. Whether it was. */
  checkpoint(): Promise<boolean>
}

type LogContext = Pick<SinkContext, 'duckdb' | 'sleep'>

/** How far this process has read. */
interface Reading {
  readonly table?: Snapshot
  /** The eTag of the newest entry; absent where a checkpoint of the log stands for it. */
  readonly newest?: string
  /** The version of the newest checkpoint of the log. */
  readonly checkpointed: number
}

const nothing: Reading = { checkpointed: 0 }

const entryKey = (version: number) => `${logFolder}${String(version).padStart(20, '0')}.json`

export function createLog(store: ObjectStore, context: LogContext): DeltaLog {
  let reading = nothing

  return {
    async read() {
      const before = reading
      // Of an entry that cannot be read a part may have been taken: it is all read anew then.
      reading = nothing
      reading = await catchUp(store, context, before)
      return reading.table
    },
    async commit(actions) {
      const { table, checkpointed } = reading
      const version = (table?.version ?? -1) + 1
      const key = entryKey(version)
      const put = await store.put(key, serializeActions(actions), 'absent')
      if (put.is !== 'stored') return false
      const next = applyActions(table, version, actions, nameOf(store, key))
      reading = { table: next, newest: put.eTag, checkpointed }
      return true
    },
    async checkpoint() {
      const { table, checkpointed } = reading
      if (!table || table.version - checkpointed < checkpointEvery) return false
      await writeCheckpoint(store, context, table)
      reading = { ...reading, checkpointed: table.version }
      return true
    },
  }
}

async function catchUp(store: ObjectStore, context: LogContext, before: Reading): Promise<Reading> {
  let reading = (await isStillThere(store, before)) ? before : await open(store, context)
  while (reading.table) {
    const found = await entryOf(store, reading.table.version + 1)
    if (!found) break
    reading = withEntry(store, reading, reading.table.version + 1, found)
  }
  return reading
}

/** The table may have been dropped, and made anew, since. */
async function isStillThere(store: ObjectStore, { table, newest }: Reading): Promise<boolean> {
  if (!table) return false
  const range = [0, 1] as const
  const options = newest === undefined ? { range } : { range, ifMatch: newest }
  return typeof (await store.get(entryKey(table.version), options)) !== 'string'
}

async function open(store: ObjectStore, context: LogContext): Promise<Reading> {
  const { checkpoint, entries } = await filesOf(store)
  let reading: Reading = checkpoint
    ? { table: await readCheckpoint(store, context, checkpoint), checkpointed: checkpoint.version }
    : nothing
  for (const version of entries) {
    const expected = (reading.table?.version ?? -1) + 1
    if (version < expected) continue
    const found = version === expected ? await entryOf(store, version) : undefined
    if (!found) throw corrupt(nameOf(store, entryKey(expected)), 'an entry of the log', 'no object')
    reading = withEntry(store, reading, version, found)
  }
  if (!reading.table || reading.newest !== undefined) return reading
  const own = await entryOf(store, reading.table.version)
  return own ? { ...reading, newest: own.eTag } : reading
}

async function entryOf(store: ObjectStore, version: number): Promise<StoredBody | undefined> {
  const found = await store.get(entryKey(version))
  return typeof found === 'string' ? undefined : found
}

/** What an entry says; nothing where it is gone. */
export async function entryActions(store: ObjectStore, version: number): Promise<readonly Action[]> {
  const found = await entryOf(store, version)
  return found ? parseActions(Buffer.from(found.body).toString(), nameOf(store, entryKey(version))) : []
}

function withEntry(store: ObjectStore, { table, checkpointed }: Reading, version: number, found: StoredBody): Reading {
  const object = nameOf(store, entryKey(version))
  const actions = parseActions(Buffer.from(found.body).toString(), object)
  return { table: applyActions(table, version, actions, object), newest: found.eTag, checkpointed }
}

/** What opening needs of the log: nothing before its newest checkpoint. */
async function filesOf(store: ObjectStore): Promise<LogFiles> {
  const hint = await lastCheckpoint(store)
  if (hint !== undefined) {
    const since = await logFiles(store, hint)
    if (since.checkpoint) return since
  }
  return logFiles(store, undefined)
}
