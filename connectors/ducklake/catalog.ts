import { link, open, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { corrupt } from '../../checkpoints/codec.ts'
import { getBytesMax, nameOf } from '../../checkpoints/objects.ts'
import { pauseMs, retrying, unavailable } from '../../checkpoints/retry.ts'
import { errorMessage, isMillraceError } from '../../src/core/errors.ts'
import type { ObjectStore, SqlRow } from '../../src/core/ports.ts'
import type { SinkContext, SinkDuckdb } from '../../src/plan/sink.ts'
import { id, text } from '../../src/plan/sql.ts'

/** Where the catalog lies in the folder of its lake: a database file of DuckDB. */
export const catalogKey = 'catalog.ducklake'

/** A catalog in memory: changes of it are seen by nobody until they are written. */
export interface CatalogDatabase {
  /** Of its tables, for SQL: `${prefix}snapshot`. */
  readonly prefix: string
  readonly name: string
  /** SQL of the time. */
  readonly now: string
  rows(sql: string): Promise<readonly SqlRow[]>
  run(sql: string): Promise<void>
}

/** What work on a catalog came to. */
export interface Worked<T> {
  readonly result: T
  /** It is to be written. */
  readonly isChanged: boolean
}

/** The catalog of a lake: a file that is read as a whole, and replaced by one conditional write (P6). */
export interface Catalog {
  /** As it is now; undefined where there is none. */
  read<T>(work: (database: CatalogDatabase | undefined) => Promise<T>): Promise<T>
  /**
   * Writes what the work has changed, if nobody else has written since it was read; else reads again and works again.
   * `isNew`: there is none, and the database is empty.
   */
  change<T>(work: CatalogWork<T>): Promise<T>
}

/** @param duckdb where the database lies: the work is in its hands already, so it must not ask for it again */
type CatalogWork<T> = (database: CatalogDatabase, isNew: boolean, duckdb: SinkDuckdb) => Promise<Worked<T>>

/** As it was read or written. */
interface Held {
  /** Undefined where there is none. */
  readonly eTag: string | undefined
  /** A copy of it here, as it lies there. */
  readonly file: string
}

/** Another writer was first so often: it is one of many, or something is wrong. */
const triesMax = 40
/** Small blocks: a catalog has many small tables. The version is read by DuckDB 1.2 and later. */
const fileOptions = "BLOCK_SIZE 16384, STORAGE_VERSION 'v1.2.0'"

interface Holder {
  readonly store: ObjectStore
  readonly context: Pick<SinkContext, 'duckdb' | 'newId' | 'nowMs' | 'sleep'>
  readonly address: string
  held: Held | undefined
}

export function openCatalog(store: ObjectStore, context: Holder['context']): Catalog {
  const address = nameOf(store, catalogKey)
  const holder: Holder = { store, context, address, held: undefined }
  let turn: Promise<unknown> = Promise.resolve()

  /** One at a time: what is held is one file. */
  function inTurn<T>(work: (duckdb: SinkDuckdb) => Promise<T>): Promise<T> {
    const result = turn.then(() => context.duckdb(work))
    turn = result.catch(() => {})
    return result
  }

  return {
    read: work =>
      inTurn(async duckdb => {
        const now = await load(holder, duckdb)
        if (now.eTag === undefined) return work(undefined)
        return inMemory(duckdb, context, now, address, work)
      }),
    change: work =>
      inTurn(async duckdb => {
        let cause: unknown
        for (let attempt = 0; attempt < triesMax; attempt++) {
          // The first two are lost to a single other writer.
          if (attempt > 2) await context.sleep(pauseMs(Math.min(attempt - 3, 4)))
          const tried = await tryChange(holder, duckdb, work, attempt > 0)
          if ('result' in tried) return tried.result
          cause = tried.again
        }
        throw unavailable(`Writing ${address}`, cause)
      }),
  }
}

async function hold(holder: Holder, next: Held | undefined): Promise<void> {
  const last = holder.held
  holder.held = next
  if (last && last.file !== next?.file) await rm(last.file, { force: true })
}

/** What is held, unless it lies in the folder of a DuckDB that was lent before: that one may be gone by now. */
function heldIn({ held }: Holder, { folder }: SinkDuckdb): Held | undefined {
  return held && dirname(held.file) === folder ? held : undefined
}

/** What is there now. */
async function load(holder: Holder, duckdb: SinkDuckdb): Promise<Held> {
  const { store } = holder
  const { sleep, newId } = holder.context
  const held = heldIn(holder, duckdb)
  if (held) {
    const seen = await retrying(sleep, () => store.get(catalogKey, { range: [0, 1] }))
    if ((typeof seen === 'string' ? undefined : seen.eTag) === held.eTag) return held
  }
  await hold(holder, undefined)
  const file = join(duckdb.folder, `${newId()}.ducklake`)
  const next = { eTag: await retrying(sleep, () => download(store, file)), file }
  await hold(holder, next)
  return next
}

/** @param isFresh what another has written must be seen; else the write tells, which then has no effect */
async function tryChange<T>(
  holder: Holder,
  duckdb: SinkDuckdb,
  work: CatalogWork<T>,
  isFresh: boolean,
): Promise<{ readonly result: T } | { readonly again: unknown }> {
  const { store, address, context } = holder
  const now = (isFresh ? undefined : heldIn(holder, duckdb)) ?? (await load(holder, duckdb))
  const file = join(duckdb.folder, `${context.newId()}.ducklake`)
  let isKept = false
  try {
    const { result, isChanged } = await inMemory(duckdb, context, now, address, async database => {
      const worked = await work(database, now.eTag === undefined, duckdb)
      if (worked.isChanged) await writeOut(duckdb, database, file)
      return worked
    })
    if (!isChanged) return isFresh ? { result } : { again: undefined }
    const put = await store.put(catalogKey, { file }, now.eTag ?? 'absent')
    isKept = put.is === 'stored'
    await hold(holder, put.is === 'stored' ? { eTag: put.eTag, file } : undefined)
    // Whether an unknown write was applied is told by what is there.
    return put.is === 'stored' ? { result } : { again: put.is === 'unknown' ? put.cause : undefined }
  } catch (error) {
    // What an older catalog says may be over.
    if (!isFresh && isMillraceError(error) && error.kind !== 'retry') return { again: error }
    throw error
  } finally {
    if (!isKept) await rm(file, { force: true })
  }
}

/** The work on a copy in memory, whose changes nobody else sees. */
async function inMemory<T>(
  duckdb: SinkDuckdb,
  { newId, nowMs }: Holder['context'],
  { eTag, file }: Held,
  address: string,
  work: (database: CatalogDatabase) => Promise<T>,
): Promise<T> {
  const { executor } = duckdb
  const name = `lake_${newId()}`
  await executor.run(`ATTACH ':memory:' AS ${id(name)}`)
  try {
    if (eTag !== undefined) await takeIn(duckdb, file, name, address)
    return await work({
      name,
      prefix: `${id(name)}.main.ducklake_`,
      now: `make_timestamptz(${Math.floor(nowMs()) * 1000})`,
      rows: sql => executor.rows(sql),
      run: sql => executor.run(sql),
    })
  } finally {
    await executor.run(`DETACH ${id(name)}`)
  }
}

/** Its eTag; undefined where there is none. */
async function download(store: ObjectStore, to: string): Promise<string | undefined> {
  const file = await open(to, 'w')
  try {
    let eTag: string | undefined
    for (let at = 0; ; ) {
      const range = [at, at + getBytesMax] as const
      const read = await store.get(catalogKey, eTag === undefined ? { range } : { range, ifMatch: eTag })
      if (read === 'missing' && eTag === undefined) return undefined
      if (typeof read === 'string') {
        // Replaced meanwhile: from the beginning.
        await file.truncate()
        at = 0
        eTag = undefined
        continue
      }
      eTag = read.eTag
      await file.write(read.body, 0, read.body.length, at)
      at += read.body.length
      if (at >= read.sizeBytes || read.body.length === 0) return eTag
    }
  } finally {
    await file.close()
  }
}

async function takeIn({ executor, folder }: SinkDuckdb, file: string, name: string, address: string): Promise<void> {
  const from = `${name}_file`
  const own = join(folder, `${from}.ducklake`)
  const damaged = (found: string) => corrupt(address, 'a catalog of DuckLake 1.0', found)
  try {
    // By a name of its own: a query of another flow that looks over all databases may hold the one before for a while
    // after it was detached, and DuckDB opens no file twice.
    await link(file, own)
    await executor.run(`ATTACH ${text(own)} AS ${id(from)} (READ_ONLY)`)
    try {
      await executor.run(`COPY FROM DATABASE ${id(from)} TO ${id(name)}`)
    } finally {
      await executor.run(`DETACH ${id(from)}`)
    }
  } catch (error) {
    if (isMillraceError(error)) throw error
    throw damaged(errorMessage(error).split('\n')[0] as string)
  } finally {
    await rm(own, { force: true })
  }
  const tables = await executor.rows(
    `SELECT 1 FROM duckdb_tables() WHERE database_name = ${text(name)} AND table_name = 'ducklake_metadata'`,
  )
  if (tables.length === 0) throw damaged('a database without ducklake_metadata')
}

/** A fresh file each time, so that nothing is in it which was deleted. */
async function writeOut({ executor }: SinkDuckdb, { name }: CatalogDatabase, file: string): Promise<void> {
  const to = `${name}_out`
  await executor.run(`ATTACH ${text(file)} AS ${id(to)} (${fileOptions})`)
  try {
    await executor.run(`COPY FROM DATABASE ${id(name)} TO ${id(to)}`)
    // DETACH leaves the file as it is while a query of another flow looks over all databases: this one waits for that.
    await executor.run(`FORCE CHECKPOINT ${id(to)}`)
  } finally {
    await executor.run(`DETACH ${id(to)}`)
  }
}
