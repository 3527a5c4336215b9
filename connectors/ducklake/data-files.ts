import { open } from 'node:fs/promises'
import { corrupt } from '../../checkpoints/codec.ts'
import { createObject, nameOf } from '../../checkpoints/objects.ts'
import { retrying } from '../../checkpoints/retry.ts'
import type { Json } from '../../src/core/json.ts'
import type { Executor, ObjectStore, WrittenFile } from '../../src/core/ports.ts'
import { fileStatistics } from '../lake/statistics.ts'
import type { SinkContext } from '../../src/plan/sink.ts'
import type { LakeColumn } from './columns.ts'

/** What a catalog tells of a Parquet file. */
export interface DataFile {
  /** Below the folder of its table. */
  readonly path: string
  readonly rows: number
  readonly bytes: number
  readonly footerBytes: number
  /** By number of the column: least and greatest value, and how many are NULL; null where that is not known. */
  readonly statistics: readonly (readonly [number, string | null, string | null, number | null])[]
}

/** An epoch's; made of such; one of rows that only former snapshots have; which rows of one of these are gone. */
const fileKinds = ['part', 'merged', 'former', 'deletes'] as const
type FileKind = (typeof fileKinds)[number]

/** A name used once. By name files stand in the order of their epochs. */
export function fileName(kind: FileKind, term: number, epoch: number, id: string): string {
  return `${kind}-${String(epoch).padStart(8, '0')}-${term}-${id}.parquet`
}

/** Undefined for a name that this sink never gives. */
export function parseFileName(name: string): { readonly kind: FileKind; readonly term: number } | undefined {
  const [, kind, term] = /^([a-z]+)-\d{8,}-(\d+)-[A-Za-z0-9-]+\.parquet$/.exec(name) ?? []
  const found = fileKinds.find(each => each === kind)
  return found && { kind: found, term: Number(term) }
}

/** Longer texts say little of what a file holds, and a catalog would have them for every file. */
const boundBytesMax = 128

/** What is to be told of a local file. */
export async function describeFile(
  executor: Executor,
  { file, rows, bytes }: Pick<WrittenFile, 'file' | 'rows' | 'bytes'>,
  path: string,
  columns: readonly LakeColumn[],
): Promise<DataFile> {
  const scalars = columns.flatMap(({ number, name, scalar }) => (scalar ? [{ number, name, sql: scalar.sql }] : []))
  const found = await fileStatistics(executor, file, scalars)
  const bound = (value: string | undefined) =>
    value === undefined || Buffer.byteLength(value) > boundBytesMax || value.includes('\0') ? null : value
  const statistics = scalars.map(({ number, name }) => {
    const { min, max, nulls } = found.columns[name] ?? {}
    return [number, bound(min), bound(max), nulls ?? null] as const
  })
  return { path, rows, bytes, footerBytes: await footerBytes(file, bytes), statistics }
}

/** The last bytes of Parquet are the length of its footer, and PAR1. */
export async function footerBytes(file: string, bytes: number): Promise<number> {
  const handle = await open(file, 'r')
  try {
    const { buffer } = await handle.read(Buffer.alloc(8), 0, 8, bytes - 8)
    return buffer.readUInt32LE(0)
  } finally {
    await handle.close()
  }
}

/** Makes a local file durable under its final name. Nobody sees it before a catalog names it. */
export async function upload(
  store: ObjectStore,
  key: string,
  { file, bytes, sha256 }: Pick<WrittenFile, 'file' | 'bytes' | 'sha256'>,
  sleep: SinkContext['sleep'],
): Promise<void> {
  await createObject(store, key, { bytes, sha256 }, () => store.put(key, { file }, 'absent'), sleep)
}

/** @throws MillraceError `corrupt-object` where a file is not there as it was made */
export async function checkThere(
  store: ObjectStore,
  prefix: string,
  files: readonly DataFile[],
  sleep: SinkContext['sleep'],
): Promise<void> {
  for (const { path, bytes } of files) {
    const found = await retrying(sleep, () => store.get(`${prefix}${path}`, { range: [0, 1] }))
    const state = typeof found === 'string' ? 'no object' : `${found.sizeBytes} bytes`
    if (state !== `${bytes} bytes`) throw corrupt(nameOf(store, `${prefix}${path}`), `${bytes} bytes`, state)
  }
}

/** What waits in HEAD for its epoch to be published. */
export function toReceipt(files: readonly DataFile[]): Json {
  return files as unknown as Json
}

export function fromReceipt(receipt: Json): readonly DataFile[] {
  return receipt as unknown as readonly DataFile[]
}
