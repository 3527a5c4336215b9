import { configError, MillraceError } from '../../src/core/errors.ts'

// The metadata of a table as the specification has them (https://iceberg.apache.org/spec/, format 2 and 3). Fields that
// are not named here are kept as they are.

/** A number of up to 63 bits, as exact-json.ts reads it. */
export type Long = number | bigint

export type IcebergType = string | IcebergList | IcebergStruct

export interface IcebergList {
  readonly type: 'list'
  readonly 'element-id': number
  readonly element: IcebergType
  readonly 'element-required': boolean
}

export interface IcebergStruct {
  readonly type: 'struct'
  readonly fields: readonly SchemaField[]
}

export interface SchemaField {
  readonly id: number
  readonly name: string
  readonly required: boolean
  readonly type: IcebergType
}

export interface Schema extends IcebergStruct {
  readonly 'schema-id': number
}

export interface PartitionField {
  readonly 'source-id': number
  readonly 'field-id': number
  readonly name: string
  /** 'identity', 'day', 'truncate[4]' */
  readonly transform: string
}

export interface PartitionSpec {
  readonly 'spec-id': number
  readonly fields: readonly PartitionField[]
}

export interface Snapshot {
  readonly 'snapshot-id': Long
  readonly 'parent-snapshot-id'?: Long
  readonly 'sequence-number': Long
  readonly 'timestamp-ms': number
  readonly 'manifest-list': string
  readonly 'schema-id'?: number
  readonly summary: Readonly<Record<string, string>>
  /** Format 3: rows of the snapshot have ids from here on. */
  readonly 'first-row-id'?: Long
  readonly 'added-rows'?: Long
}

export interface SnapshotRef {
  readonly 'snapshot-id': Long
  readonly type: 'branch' | 'tag'
}

export interface TableMetadata {
  readonly 'format-version': number
  readonly 'table-uuid': string
  readonly location: string
  readonly 'last-sequence-number': Long
  readonly 'last-updated-ms': number
  readonly 'last-column-id': number
  readonly schemas: readonly Schema[]
  readonly 'current-schema-id': number
  readonly 'partition-specs': readonly PartitionSpec[]
  readonly 'default-spec-id': number
  readonly 'last-partition-id': number
  readonly properties?: Readonly<Record<string, string>>
  readonly 'current-snapshot-id'?: Long | null
  readonly snapshots?: readonly Snapshot[]
  readonly refs?: Readonly<Record<string, SnapshotRef>>
  readonly 'snapshot-log'?: readonly { readonly 'snapshot-id': Long; readonly 'timestamp-ms': number }[]
  readonly 'metadata-log'?: readonly MetadataLogEntry[]
  readonly 'sort-orders'?: readonly unknown[]
  readonly 'default-sort-order-id'?: number
  /** Format 3. */
  readonly 'next-row-id'?: Long
}

export interface MetadataLogEntry {
  readonly 'metadata-file': string
  readonly 'timestamp-ms': number
}

/** What a table begins with. */
export interface NewTable {
  readonly schema: Schema
  readonly spec: PartitionSpec
  readonly properties: Readonly<Record<string, string>>
}

/** What a commit changes: the part of the REST catalog's actions that this sink uses. */
export type Update =
  | { readonly action: 'set-properties'; readonly updates: Readonly<Record<string, string>> }
  | { readonly action: 'add-snapshot'; readonly snapshot: Snapshot }
  | {
      readonly action: 'set-snapshot-ref'
      readonly 'ref-name': 'main'
      readonly type: 'branch'
      readonly 'snapshot-id': Long
    }
  | { readonly action: 'remove-snapshots'; readonly 'snapshot-ids': readonly Long[] }

export const mainBranch = 'main'

export function emptyTable(
  { schema, spec, properties }: NewTable,
  location: string,
  uuid: string,
  nowMs: number,
): TableMetadata {
  return {
    'format-version': 2,
    'table-uuid': uuid,
    location,
    'last-sequence-number': 0,
    'last-updated-ms': nowMs,
    'last-column-id': highestId(schema),
    schemas: [schema],
    'current-schema-id': schema['schema-id'],
    'partition-specs': [spec],
    'default-spec-id': spec['spec-id'],
    'last-partition-id': Math.max(999, ...spec.fields.map(field => field['field-id'])),
    properties,
    'current-snapshot-id': null,
    snapshots: [],
    refs: {},
    'snapshot-log': [],
    'metadata-log': [],
    'sort-orders': [{ 'order-id': 0, fields: [] }],
    'default-sort-order-id': 0,
  }
}

function highestId(type: IcebergType): number {
  if (typeof type === 'string') return 0
  if (type.type === 'list') return Math.max(type['element-id'], highestId(type.element))
  return Math.max(0, ...type.fields.flatMap(field => [field.id, highestId(field.type)]))
}

/** The table after a commit, where no server computes it. */
export function applyUpdates(base: TableMetadata, updates: readonly Update[], nowMs: number): TableMetadata {
  const stamped = { ...base, 'last-updated-ms': Math.max(nowMs, base['last-updated-ms']) }
  return updates.reduce(applyUpdate, stamped)
}

function applyUpdate(table: TableMetadata, update: Update): TableMetadata {
  switch (update.action) {
    case 'set-properties':
      return { ...table, properties: { ...table.properties, ...update.updates } }
    case 'add-snapshot':
      return {
        ...table,
        snapshots: [...(table.snapshots ?? []), update.snapshot],
        'last-sequence-number': update.snapshot['sequence-number'],
        ...(isRowLineage(table) && {
          'next-row-id': BigInt(table['next-row-id'] ?? 0) + BigInt(update.snapshot['added-rows'] ?? 0),
        }),
      }
    case 'set-snapshot-ref': {
      const ref = { 'snapshot-id': update['snapshot-id'], type: update.type }
      const entry = { 'snapshot-id': update['snapshot-id'], 'timestamp-ms': table['last-updated-ms'] }
      return {
        ...table,
        refs: { ...table.refs, [update['ref-name']]: ref },
        'current-snapshot-id': update['snapshot-id'],
        'snapshot-log': [...(table['snapshot-log'] ?? []), entry],
      }
    }
    case 'remove-snapshots': {
      const gone = new Set(update['snapshot-ids'].map(BigInt))
      const isKept = (one: { readonly 'snapshot-id': Long }) => !gone.has(BigInt(one['snapshot-id']))
      return {
        ...table,
        snapshots: (table.snapshots ?? []).filter(isKept),
        'snapshot-log': (table['snapshot-log'] ?? []).filter(isKept),
      }
    }
  }
}

/** Format 3 gives each row an id. */
export function isRowLineage(table: TableMetadata): boolean {
  return table['format-version'] >= 3
}

export function currentSnapshot(table: TableMetadata): Snapshot | undefined {
  const id = table.refs?.[mainBranch]?.['snapshot-id'] ?? table['current-snapshot-id']
  // Format 1 wrote -1 for none, and some writers still do.
  if (id === undefined || id === null || BigInt(id) === -1n) return undefined
  return snapshotById(table, id)
}

export function snapshotById(table: TableMetadata, id: Long): Snapshot | undefined {
  return table.snapshots?.find(snapshot => BigInt(snapshot['snapshot-id']) === BigInt(id))
}

export function currentSchema(table: TableMetadata): Schema {
  return table.schemas.find(schema => schema['schema-id'] === table['current-schema-id']) as Schema
}

export function specById(table: TableMetadata, id: number): PartitionSpec | undefined {
  return table['partition-specs'].find(spec => spec['spec-id'] === id)
}

/** Formats that this sink can write. */
const formats = [2, 3]

/**
 * Metadata that came from outside, as far as this sink relies on them.
 *
 * @param at names their place in errors
 * @throws MillraceError `user` for a format that is not known; `fatal` for what is no metadata
 */
export function checkMetadata(found: unknown, at: string): TableMetadata {
  const table = found as Partial<TableMetadata> | null
  if (typeof table !== 'object' || table === null || !Number.isSafeInteger(table['format-version']))
    throw broken(at, "an object with a 'format-version'")
  const version = table['format-version'] as number
  if (!formats.includes(version))
    throw configError(`${at}: format-version`, version, 'format 2 or 3, which this millrace can write')
  const texts = ['table-uuid', 'location'] as const
  for (const name of texts) if (typeof table[name] !== 'string') throw broken(at, `text as '${name}'`)
  const lists = ['schemas', 'partition-specs'] as const
  for (const name of lists) if (!Array.isArray(table[name])) throw broken(at, `a list as '${name}'`)
  const whole = table as TableMetadata
  if (currentSchema(whole) === undefined) throw broken(at, "a schema with the id of 'current-schema-id'")
  if (specById(whole, whole['default-spec-id']) === undefined)
    throw broken(at, "a partition spec with the id of 'default-spec-id'")
  const current = whole['current-snapshot-id']
  const isNone = current === undefined || current === null || BigInt(current) === -1n
  if (!isNone && currentSnapshot(whole) === undefined) throw broken(at, "the snapshot of 'current-snapshot-id'")
  return whole
}

function broken(at: string, expected: string): MillraceError {
  return new MillraceError(
    'fatal',
    'corrupt-object',
    `${at}: these are no metadata of an Iceberg table; expected ${expected}.`,
  )
}
