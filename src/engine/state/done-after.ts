import { askedAs, type ObjectVersion } from '../../core/object-version.ts'
import type { Executor, ObjectStore, SqlRow, StoredBody } from '../../core/ports.ts'
import { type TextRows, textRowsOf } from '../../core/text-rows.ts'
import { type ChannelReader, eachPart } from './channels.ts'

/**
 * What was done with objects after they were committed: a channel of the checkpoint beside the ledger, whose entries it
 * names. An object has several rows where it went further: it was tagged, then it moved, then its old place was
 * cleared.
 */
export const doneAfterChannel = 'after'

export const doneAfterColumns = {
  /** The object's entry in the ledger. */
  seq: 'BIGINT',
  /**
   * 'tagged'; 'moved': it lies at its new place, and may lie at the old one; 'cleared': no more; 'deleted'; 'left'
   * alone.
   */
  is: 'VARCHAR',
  /** Of 'moved': address, and the version that lies there. */
  place: 'VARCHAR',
  key: 'VARCHAR',
  e_tag: 'VARCHAR',
  version_id: 'VARCHAR',
  size_bytes: 'BIGINT',
  /** Why it was left alone, or what else is to be said. */
  note: 'VARCHAR',
} as const

export interface DoneAfter {
  readonly seq: number
  readonly is: 'tagged' | 'moved' | 'cleared' | 'deleted' | 'left'
  readonly to?: { readonly place: string; readonly version: ObjectVersion }
  readonly note?: string
}

/** The rows in the order of the ledger. */
export function doneAfterText(rows: readonly DoneAfter[]): TextRows {
  const ordered = rows.toSorted((a, b) => a.seq - b.seq)
  return textRowsOf(
    doneAfterColumns,
    ordered.map(({ seq, is, to, note }) => ({
      seq,
      is,
      place: to?.place ?? null,
      key: to?.version.key ?? null,
      e_tag: to?.version.eTag ?? null,
      version_id: to?.version.versionId ?? null,
      size_bytes: to?.version.sizeBytes ?? null,
      note: note ?? null,
    })),
  )
}

/** The channel as a table, empty where nothing was done. */
export async function loadDoneAfter(reader: ChannelReader, executor: Executor, table: string): Promise<void> {
  const columns = Object.entries(doneAfterColumns).map(([name, type]) => `"${name}" ${type}`)
  await executor.run(`CREATE TABLE ${table} (${columns.join(', ')})`)
  await eachPart(reader, executor, doneAfterChannel, rows =>
    executor.run(`INSERT INTO ${table} BY NAME SELECT * FROM ${rows}`),
  )
}

/** Where a row of 'moved' says that the object lies. */
export function movedTo(row: SqlRow): { readonly place: string; readonly version: ObjectVersion } {
  return {
    place: String(row.place),
    version: {
      bucket: '',
      key: String(row.key),
      eTag: String(row.e_tag),
      ...(typeof row.version_id === 'string' ? { versionId: row.version_id } : {}),
      sizeBytes: Number(row.size_bytes),
      lastModifiedMs: 0,
    },
  }
}

/** Piece by piece of both objects: how much is compared at once. */
const pieceBytes = 8 * 1024 * 1024

/**
 * The version that has a key elsewhere, where it has the very bytes of this one: then it is this one, which a process
 * took there that ended before it could say so. Undefined where it is another object; the reason where this one is not
 * there.
 */
export async function sameElsewhere(
  store: ObjectStore,
  version: ObjectVersion,
  other: ObjectStore,
  key: string,
  signal: AbortSignal,
): Promise<ObjectVersion | undefined | 'missing' | 'changed'> {
  const first = await other.get(key, { range: [0, 1], signal })
  if (typeof first === 'string' || first.sizeBytes !== version.sizeBytes) return undefined
  for (let start = 0; start < version.sizeBytes; start += pieceBytes) {
    const range = [start, start + pieceBytes] as const
    const own = await store.get(version.key, { ...askedAs(version), range, signal })
    if (typeof own === 'string') return own
    const there = await other.get(key, { ifMatch: first.eTag, range, signal })
    if (typeof there === 'string' || Buffer.compare(own.body, there.body) !== 0) return undefined
  }
  return versionThere(key, first)
}

function versionThere(key: string, { eTag, versionId, sizeBytes, lastModifiedMs }: StoredBody): ObjectVersion {
  return { bucket: '', key, eTag, ...(versionId === undefined ? {} : { versionId }), sizeBytes, lastModifiedMs }
}

/**
 * This version where it lies elsewhere already, known by its eTag, as it is no more in its old place to be compared.
 */
export async function movedBefore(
  { eTag, sizeBytes }: ObjectVersion,
  other: ObjectStore,
  keys: readonly string[],
  signal: AbortSignal,
): Promise<ObjectVersion | undefined> {
  for (const key of keys) {
    const found = await other.get(key, { ifMatch: eTag, range: [0, 1], signal })
    if (typeof found !== 'string' && found.sizeBytes === sizeBytes) return versionThere(key, found)
  }
  return undefined
}
