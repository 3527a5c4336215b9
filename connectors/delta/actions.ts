import { corrupt } from '../../checkpoints/codec.ts'

// What an entry of the log says, as the protocol of Delta Lake has it:
// https://github.com/delta-io/delta/blob/master/PROTOCOL.md#actions

/** Number of an application's last transaction: what it has done is done with the entry that says so. */
export interface Txn {
  readonly appId: string
  readonly version: number
}

export interface AddFile {
  /** Relative to the table, percent-encoded. */
  readonly path: string
  readonly partitionValues: Readonly<Record<string, string | null>>
  readonly size: number
  readonly modificationTime: number
  readonly dataChange: boolean
  /** JSON. */
  readonly stats?: string
}

export interface RemoveFile {
  readonly path: string
  readonly deletionTimestamp?: number
  readonly dataChange: boolean
  readonly extendedFileMetadata?: boolean
  readonly partitionValues?: Readonly<Record<string, string | null>>
  readonly size?: number
}

export interface Metadata {
  readonly id: string
  readonly format: { readonly provider: string; readonly options: Readonly<Record<string, string>> }
  readonly schemaString: string
  readonly partitionColumns: readonly string[]
  readonly configuration: Readonly<Record<string, string>>
  readonly createdTime?: number
  readonly name?: string
  readonly description?: string
}

export interface Protocol {
  readonly minReaderVersion: number
  readonly minWriterVersion: number
  readonly readerFeatures?: readonly string[]
  readonly writerFeatures?: readonly string[]
}

/** One line of an entry. */
export interface Action {
  readonly txn?: Txn
  readonly add?: AddFile
  readonly remove?: RemoveFile
  readonly metaData?: Metadata
  readonly protocol?: Protocol
  readonly commitInfo?: Readonly<Record<string, unknown>>
}

/** The table as a version of it is. */
export interface Snapshot {
  version: number
  protocol: Protocol
  metadata: Metadata
  readonly txns: Map<string, number>
  /** By path. */
  readonly files: Map<string, AddFile>
  /** Removed files that are still told of, by path. */
  readonly removed: Map<string, RemoveFile>
}

/** The lines of an entry. @param object names it in errors */
export function parseActions(body: string, object: string): readonly Action[] {
  const lines = body.split('\n').filter(line => line.trim() !== '')
  return lines.map(line => {
    try {
      return JSON.parse(line) as Action
    } catch {
      throw corrupt(object, 'a line of JSON for each action', `'${line.slice(0, 80)}'`)
    }
  })
}

export function serializeActions(actions: readonly Action[]): Uint8Array {
  return Buffer.from(actions.map(action => `${JSON.stringify(action)}\n`).join(''))
}

/** The table once these have happened to it. @param before undefined of the first entry */
export function applyActions(
  before: Snapshot | undefined,
  version: number,
  actions: readonly Action[],
  object: string,
): Snapshot {
  const last = <T>(values: readonly (T | undefined)[]) => values.findLast(value => value !== undefined)
  const protocol = last(actions.map(action => action.protocol)) ?? before?.protocol
  const metadata = last(actions.map(action => action.metaData)) ?? before?.metadata
  if (!protocol || !metadata) throw corrupt(object, 'a protocol and metaData in the first entry of the log', 'none')
  checkShape(protocol, metadata, object)
  const table = before ?? { version, protocol, metadata, txns: new Map(), files: new Map(), removed: new Map() }
  Object.assign(table, { version, protocol, metadata })
  for (const { txn, add, remove } of actions) {
    if (txn) table.txns.set(named(txn.appId, 'txn.appId', object), txn.version)
    if (add) {
      table.files.set(named(add.path, 'add.path', object), add)
      table.removed.delete(add.path)
    }
    if (remove) {
      table.files.delete(named(remove.path, 'remove.path', object))
      table.removed.set(remove.path, remove)
    }
  }
  return table
}

function checkShape({ minReaderVersion, minWriterVersion }: Protocol, metadata: Metadata, object: string): void {
  if (!Number.isInteger(minReaderVersion) || !Number.isInteger(minWriterVersion))
    throw corrupt(object, 'a protocol of whole numbers', JSON.stringify({ minReaderVersion, minWriterVersion }))
  const { schemaString, partitionColumns, configuration } = metadata
  if (typeof schemaString !== 'string' || !Array.isArray(partitionColumns) || typeof (configuration ?? {}) !== 'object')
    throw corrupt(object, 'metaData with a schemaString and partitionColumns', Object.keys(metadata).join(', '))
}

function named(value: unknown, field: string, object: string): string {
  if (typeof value === 'string' && value !== '') return value
  throw corrupt(object, `text as ${field}`, JSON.stringify(value) ?? 'none')
}

/** The key of a data file in the table's store; undefined where it lies elsewhere. */
export function keyOf(path: string): string | undefined {
  if (/^([a-z][a-z0-9+.-]*:|\/)/i.test(path)) return undefined
  try {
    return decodeURIComponent(path)
  } catch {
    // A lone percent sign: some writers take the name as it is.
    return path
  }
}

/** The same the other way round. */
export const pathOf = (key: string): string => encodeURI(key)
