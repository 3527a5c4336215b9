import { mkdtemp, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { createMemoryStore } from '../../src/testing/index.ts'
import { systemClock } from '../../src/core/clock.ts'
import type { ObjectVersion } from '../../src/core/object-version.ts'
import { parseColumnType } from '../../src/core/types.ts'
import { openSession } from '../../src/engine/duckdb/session.ts'
import { createFetch } from '../../src/engine/read/fetch.ts'
import { type MarkedObject, reasonOf, type RowSource, type StampedPart } from '../../src/engine/read/marked-object.ts'
import type { Format } from '../../src/plan/format.ts'
import { name } from '../engine/harness.ts'

/** Values as text, by the names of columns. */
export type Cells = Readonly<Record<string, unknown>>

/** What became of one object. */
export interface Reading {
  /** Why the object is a bad one; null where it was read. */
  readonly reason: string | null
  /** Good rows in their order, with their numbers as `_row`. */
  readonly rows: readonly Cells[]
  /** Rows set aside: `_row`, column, what was expected and found. */
  readonly aside: readonly Cells[]
}

/** Reads objects of any format by the engine's own stage 1. */
export interface ObjectReader extends AsyncDisposable {
  /** Reads objects as one mini-batch, in the order of their keys. */
  read(
    format: Format,
    columns: Readonly<Record<string, string>>,
    objects: Readonly<Record<string, string | Uint8Array>>,
  ): Promise<readonly Reading[]>
}

const time = 'reader_time'

/** A file of the spool, whose name is the object's in messages, does not lie in a folder of its own elsewhere. */
const ownFolder = /[^'"]*\/read-\w+\/\d+(\.rows)?/g

/** Objects that have no event time: each row gets the same one. */
function timed(format: Format): Format {
  const { types, readProven } = format
  const constant = `${types ? 'TIMESTAMP ' : ''}'2022-01-01' AS ${time}`
  return {
    ...format,
    async ready(object) {
      const { declared = [] } = object
      const columns = object.columns.filter(name => name !== time)
      const ready = await format.ready({ ...object, columns, declared: withoutTime(declared) })
      return 'columns' in ready ? { ...ready, columns: [...(ready.columns ?? []), { name: time }] } : ready
    },
    ...(types && {
      types: (file, columns, own) =>
        `SELECT *, ${constant} FROM (${types(file, withoutTime(columns), withoutTime(own))})`,
    }),
    ...(readProven && {
      readProven: (files, columns) =>
        `SELECT *, TIMESTAMP '2022-01-01' AS ${time} FROM (${readProven(files, withoutTime(columns))})`,
    }),
    read: (files, own, declared) =>
      format.read(
        files,
        withoutTime(own),
        declared.filter(name => name !== time),
      ),
    scan: (file, columns, own) =>
      `SELECT *, ${constant} FROM (${format.scan(file, withoutTime(columns), withoutTime(own))})`,
  }
}

function withoutTime<C extends { readonly name: string }>(columns: readonly C[]): readonly C[] {
  return columns.filter(column => column.name !== time)
}

export async function openObjectReader(memory = '1GB'): Promise<ObjectReader> {
  const session = await openSession({ threads: 2, memory })
  const { signal } = new AbortController()
  const executor = await session.executor(signal)

  /** Good rows of objects by their place in the mini-batch: a statement for those that lie together, as stage 2 has it. */
  async function goodRowsOf(marked: readonly MarkedObject[], cells: string): Promise<ReadonlyMap<number, Cells[]>> {
    const found = new Map<number, Cells[]>()
    const sources = new Map<RowSource, StampedPart[]>()
    for (const [seq, { good }] of marked.entries()) {
      if (!good) continue
      const parts = sources.get(good.source) ?? []
      sources.set(good.source, [...parts, { part: good.part, seq, watermarkUs: null }])
    }
    for (const [source, parts] of sources) {
      try {
        const rows = await executor.rows(`SELECT _seq, _row${cells} FROM (${source.scan(parts)}) ORDER BY _row`)
        for (const { seq } of parts) found.set(seq, [])
        for (const { _seq, ...row } of rows) found.get(Number(_seq))?.push(row)
      } catch {
        // One of them cannot be read: each is read alone, and says so itself.
      }
    }
    return found
  }

  async function readingOf(
    { version, reason, good, setAside }: MarkedObject,
    cells: string,
    together: readonly Cells[] | undefined,
  ) {
    if (!good) return { reason: reason?.replace(ownFolder, () => version.key) ?? null, rows: [], aside: [] }
    try {
      const scan = good.source.scan([{ part: good.part, seq: 1, watermarkUs: null }])
      const rows = together ?? (await executor.rows(`SELECT _row${cells} FROM (${scan}) ORDER BY _row`))
      const aside = setAside ? await executor.rows(`FROM (${setAside(1)}) ORDER BY _row, "column"`) : []
      return { reason: null, rows, aside }
    } catch (error) {
      // A page that cannot be decoded shows when its column is read; stage 2 then takes the object back.
      return { reason: reasonOf(error, version.key).replace(ownFolder, () => version.key), rows: [], aside: [] }
    }
  }

  async function readNow(...[format, columns, objects]: Parameters<ObjectReader['read']>): Promise<readonly Reading[]> {
    const store = createMemoryStore()
    for (const [key, body] of Object.entries(objects)) await store.put(key, Buffer.from(body), 'absent')
    const spool = await mkdtemp(join(session.spool, 'read-'))
    const context = {
      store,
      format: timed(format),
      settings: { name: 'reader', format: format.name, columns: { ...columns, [time]: 'TIMESTAMP' }, time },
      policies: { onBadRow: 'quarantine', onBadObject: 'quarantine', onDenied: 'fail', overwrite: 'quarantine' },
      executor,
      spool,
      clock: systemClock,
      signal,
    } as const
    const versions: ObjectVersion[] = []
    for await (const version of store.list('')) versions.push(version)
    const { marked } = await createFetch(context, (_sizeBytes, work) => work())(versions)
    const cells = Object.entries(columns)
      .map(([column, type]) => `, ${cellSql(column, type)} AS ${name(column)}`)
      .join('')
    const together = await goodRowsOf(marked, cells)
    const readings: Reading[] = []
    for (const [index, object] of marked.entries()) readings.push(await readingOf(object, cells, together.get(index)))
    for (const object of marked) await object.release()
    await rm(spool, { recursive: true })
    return readings
  }

  // A property that is out of time goes on behind the next test, and tables of both would have the same names.
  let last: Promise<unknown> = Promise.resolve()
  return {
    read(...args) {
      const reading = last.then(() => readNow(...args))
      last = reading.catch(() => {})
      return reading
    },
    [Symbol.asyncDispose]: () => session.close(),
  }
}

function cellSql(column: string, declared: string): string {
  const sql = name(column)
  const type = parseColumnType(declared, column)
  if (type.list) return `CAST(to_json(${sql}) AS VARCHAR)`
  if (type.name === 'BLOB') return `lower(hex(${sql}))`
  if (type.name === 'TIMESTAMP' || type.name === 'TIMESTAMPTZ') return `CAST(epoch_us(${sql}) AS VARCHAR)`
  if (type.name === 'DATE') return `CAST(${sql} - DATE '1970-01-01' AS VARCHAR)`
  return `CAST(${sql} AS VARCHAR)`
}
