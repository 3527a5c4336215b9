import { createHash } from 'node:crypto'
import { corrupt } from '../../checkpoints/codec.ts'
import { describe } from '../../checkpoints/objects.ts'
import { errorMessage } from '../../src/core/errors.ts'
import { type AvroSchema, readAvro, writeAvro } from './avro.ts'
import type { Statistics } from './bounds.ts'
import type { PartitionSpec, Schema } from './metadata.ts'
import { partitionType } from './partitions.ts'

// Manifests and lists of manifests, formats 2 and 3: the one place that knows how they are written.

/** A file of a table. Fields have the names of the specification. */
export interface DataFile {
  /** 0: rows; 1 and 2: deletes by position and by equality. */
  readonly content: number
  readonly file_path: string
  readonly file_format: string
  readonly partition: Readonly<Record<string, unknown>>
  readonly record_count: bigint
  readonly file_size_in_bytes: bigint
  readonly value_counts: Counts | null
  readonly null_value_counts: Counts | null
  readonly nan_value_counts: Counts | null
  readonly lower_bounds: Bounds | null
  readonly upper_bounds: Bounds | null
  /** Others that this sink does not use are kept. */
  readonly [other: string]: unknown
}

type Counts = readonly { readonly key: number; readonly value: bigint }[]
type Bounds = readonly { readonly key: number; readonly value: Buffer }[]

export const entryStatus = { existing: 0, added: 1, deleted: 2 } as const

export interface ManifestEntry {
  readonly status: number
  /** Null: that of the manifest. */
  readonly snapshot_id: bigint | null
  readonly sequence_number: bigint | null
  readonly file_sequence_number: bigint | null
  readonly data_file: DataFile
}

/** A manifest, as a list of them has it. */
export interface ManifestFile {
  readonly manifest_path: string
  readonly manifest_length: bigint
  readonly partition_spec_id: number
  /** 0: of data files; 1: of files of deletes. */
  readonly content: number
  readonly sequence_number: bigint
  readonly min_sequence_number: bigint
  readonly added_snapshot_id: bigint
  readonly added_files_count: number
  readonly existing_files_count: number
  readonly deleted_files_count: number
  readonly added_rows_count: bigint
  readonly existing_rows_count: bigint
  readonly deleted_rows_count: bigint
  readonly partitions: readonly FieldSummary[] | null
  readonly key_metadata: Buffer | null
  /** Format 3. */
  readonly first_row_id?: bigint | null
}

interface FieldSummary {
  readonly contains_null: boolean
  readonly contains_nan: boolean | null
  readonly lower_bound: Buffer | null
  readonly upper_bound: Buffer | null
}

/** What a manifest is written for. */
export interface ManifestContext {
  readonly formatVersion: number
  readonly schema: Schema
  readonly spec: PartitionSpec
}

type Field = { readonly name: string; readonly type: unknown; readonly 'field-id': number; readonly default?: null }

const required = (id: number, name: string, type: unknown): Field => ({ name, type, 'field-id': id })
const optional = (id: number, name: string, type: unknown): Field => ({
  name,
  type: ['null', type],
  default: null,
  'field-id': id,
})

const list = (elementId: number, items: unknown) => ({ type: 'array', items, 'element-id': elementId })

/** A map from ids of fields, which Avro has for texts only. */
const byField = (keyId: number, valueId: number, value: string) => ({
  type: 'array',
  logicalType: 'map',
  items: {
    type: 'record',
    name: `k${keyId}_v${valueId}`,
    fields: [required(keyId, 'key', 'int'), required(valueId, 'value', value)],
  },
})

function entrySchema({ formatVersion, schema, spec }: ManifestContext): AvroSchema {
  const partition = spec.fields.map(field => optional(field['field-id'], field.name, partitionType(field, schema).avro))
  const file = [
    required(134, 'content', 'int'),
    required(100, 'file_path', 'string'),
    required(101, 'file_format', 'string'),
    required(102, 'partition', { type: 'record', name: 'r102', fields: partition }),
    required(103, 'record_count', 'long'),
    required(104, 'file_size_in_bytes', 'long'),
    optional(108, 'column_sizes', byField(117, 118, 'long')),
    optional(109, 'value_counts', byField(119, 120, 'long')),
    optional(110, 'null_value_counts', byField(121, 122, 'long')),
    optional(137, 'nan_value_counts', byField(138, 139, 'long')),
    optional(125, 'lower_bounds', byField(126, 127, 'bytes')),
    optional(128, 'upper_bounds', byField(129, 130, 'bytes')),
    optional(131, 'key_metadata', 'bytes'),
    optional(132, 'split_offsets', list(133, 'long')),
    optional(135, 'equality_ids', list(136, 'int')),
    optional(140, 'sort_order_id', 'int'),
    ...(formatVersion < 3 ? [] : [optional(142, 'first_row_id', 'long')]),
    optional(143, 'referenced_data_file', 'string'),
    ...(formatVersion < 3
      ? []
      : [optional(144, 'content_offset', 'long'), optional(145, 'content_size_in_bytes', 'long')]),
  ]
  return {
    type: 'record',
    name: 'manifest_entry',
    fields: [
      required(0, 'status', 'int'),
      optional(1, 'snapshot_id', 'long'),
      optional(3, 'sequence_number', 'long'),
      optional(4, 'file_sequence_number', 'long'),
      required(2, 'data_file', { type: 'record', name: 'r2', fields: file }),
    ],
  }
}

function listSchema(formatVersion: number): AvroSchema {
  const summary = {
    type: 'record',
    name: 'r508',
    fields: [
      required(509, 'contains_null', 'boolean'),
      optional(518, 'contains_nan', 'boolean'),
      optional(510, 'lower_bound', 'bytes'),
      optional(511, 'upper_bound', 'bytes'),
    ],
  }
  const fields = [
    required(500, 'manifest_path', 'string'),
    required(501, 'manifest_length', 'long'),
    required(502, 'partition_spec_id', 'int'),
    required(517, 'content', 'int'),
    required(515, 'sequence_number', 'long'),
    required(516, 'min_sequence_number', 'long'),
    required(503, 'added_snapshot_id', 'long'),
    required(504, 'added_files_count', 'int'),
    required(505, 'existing_files_count', 'int'),
    required(506, 'deleted_files_count', 'int'),
    required(512, 'added_rows_count', 'long'),
    required(513, 'existing_rows_count', 'long'),
    required(514, 'deleted_rows_count', 'long'),
    optional(507, 'partitions', list(508, summary)),
    optional(519, 'key_metadata', 'bytes'),
    ...(formatVersion < 3 ? [] : [optional(520, 'first_row_id', 'long')]),
  ]
  return { type: 'record', name: 'manifest_file', fields }
}

/** A data file that this sink has written. */
export function dataFile(
  at: string,
  rows: number,
  bytes: number,
  partition: DataFile['partition'],
  { values, nulls, nans, lower, upper }: Statistics,
): DataFile {
  const counts = (all: Statistics['values']) => all.map(([key, value]) => ({ key, value: BigInt(value) }))
  const bounds = (all: Statistics['lower']) => all.map(([key, value]) => ({ key, value }))
  return {
    content: 0,
    file_path: at,
    file_format: 'PARQUET',
    partition,
    record_count: BigInt(rows),
    file_size_in_bytes: BigInt(bytes),
    value_counts: counts(values),
    null_value_counts: counts(nulls),
    nan_value_counts: counts(nans),
    lower_bounds: bounds(lower),
    upper_bounds: bounds(upper),
  }
}

/** A manifest as bytes, and what the list of manifests tells of it. */
export async function writeManifest(
  context: ManifestContext,
  entries: readonly ManifestEntry[],
  of: Pick<ManifestFile, 'manifest_path' | 'sequence_number' | 'added_snapshot_id'>,
): Promise<{ readonly bytes: Buffer; readonly manifest: ManifestFile }> {
  const { formatVersion, schema, spec } = context
  const bytes = await writeAvro(entrySchema(context), entries.map(whole(entrySchema(context))), {
    schema: JSON.stringify(schema),
    'schema-id': String(schema['schema-id']),
    'partition-spec': JSON.stringify(spec.fields),
    'partition-spec-id': String(spec['spec-id']),
    'format-version': String(formatVersion),
    content: 'data',
  })
  const counted = (status: number) => entries.filter(entry => entry.status === status)
  const rowsOf = (status: number) => counted(status).reduce((sum, entry) => sum + entry.data_file.record_count, 0n)
  const { added, existing, deleted } = entryStatus
  const kept = entries.filter(({ status }) => status !== deleted)
  const manifest: ManifestFile = {
    ...of,
    manifest_length: BigInt(bytes.length),
    partition_spec_id: spec['spec-id'],
    content: 0,
    min_sequence_number: least(kept.map(entry => entry.sequence_number ?? of.sequence_number)) ?? of.sequence_number,
    added_files_count: counted(added).length,
    existing_files_count: counted(existing).length,
    deleted_files_count: counted(deleted).length,
    added_rows_count: rowsOf(added),
    existing_rows_count: rowsOf(existing),
    deleted_rows_count: rowsOf(deleted),
    partitions: spec.fields.map(field => summaryOf(field, schema, entries)),
    key_metadata: null,
  }
  return { bytes, manifest }
}

const least = (all: readonly bigint[]) =>
  all.reduce<bigint | undefined>((a, b) => (a === undefined || b < a ? b : a), undefined)

function summaryOf(
  field: PartitionSpec['fields'][number],
  schema: Schema,
  entries: readonly ManifestEntry[],
): FieldSummary {
  const { bytes } = partitionType(field, schema)
  const values = entries.map(entry => entry.data_file.partition[field.name] ?? null)
  const there = values.filter(value => value !== null) as (string | number | bigint | boolean)[]
  const low = there.reduce<(typeof there)[number] | undefined>(
    (a, b) => (a === undefined || isBelow(b, a) ? b : a),
    undefined,
  )
  const high = there.reduce<(typeof there)[number] | undefined>(
    (a, b) => (a === undefined || isBelow(a, b) ? b : a),
    undefined,
  )
  return {
    contains_null: there.length < values.length,
    contains_nan: null,
    lower_bound: low === undefined ? null : bytes(low),
    upper_bound: high === undefined ? null : bytes(high),
  }
}

/** Text by its bytes, as readers compare it: JavaScript's own order differs beyond U+FFFF. */
function isBelow(a: string | number | bigint | boolean, b: string | number | bigint | boolean): boolean {
  if (typeof a === 'string' && typeof b === 'string') return Buffer.compare(Buffer.from(a), Buffer.from(b)) < 0
  return a < b
}

/** A record that has all fields of its schema. */
function whole(schema: AvroSchema): (record: object) => Record<string, unknown> {
  const { fields } = schema as { readonly fields: readonly Field[] }
  return record =>
    Object.fromEntries(
      fields.map(({ name, type }) => {
        const value = (record as Record<string, unknown>)[name] ?? null
        const isRecord = typeof type === 'object' && type !== null && 'fields' in type
        return [name, isRecord && value !== null ? whole(type)(value) : value]
      }),
    )
}

export function writeManifestList(
  formatVersion: number,
  manifests: readonly ManifestFile[],
  snapshot: { readonly id: bigint; readonly parent: bigint | undefined; readonly sequence: bigint },
): Promise<Buffer> {
  const schema = listSchema(formatVersion)
  return writeAvro(schema, manifests.map(whole(schema)), {
    'snapshot-id': String(snapshot.id),
    'parent-snapshot-id': String(snapshot.parent ?? 'null'),
    'sequence-number': String(snapshot.sequence),
    'format-version': String(formatVersion),
  })
}

/** @param at names the object in errors. @throws MillraceError `corrupt-object` */
export async function readManifestList(bytes: Uint8Array, at: string): Promise<readonly ManifestFile[]> {
  const records = await recordsOf(bytes, at, 'a list of manifests')
  for (const record of records)
    for (const name of ['manifest_path', 'manifest_length', 'added_snapshot_id'])
      if (record[name] === undefined) throw corrupt(at, `a list of manifests with '${name}'`, 'one without it')
  return records as unknown as readonly ManifestFile[]
}

/** @param at names the object in errors. @throws MillraceError `corrupt-object` */
export async function readManifest(bytes: Uint8Array, at: string): Promise<readonly ManifestEntry[]> {
  const records = await recordsOf(bytes, at, 'a manifest')
  for (const { data_file: file } of records as unknown as readonly Partial<ManifestEntry>[])
    if (typeof file?.file_path !== 'string' || typeof file.record_count !== 'bigint')
      throw corrupt(at, "entries with 'file_path' and 'record_count'", 'one without them')
  return records as unknown as readonly ManifestEntry[]
}

async function recordsOf(bytes: Uint8Array, at: string, what: string): Promise<readonly Record<string, unknown>[]> {
  try {
    return (await readAvro(bytes)).records
  } catch (error) {
    const sha256 = createHash('sha256').update(bytes).digest('hex')
    throw corrupt(at, what, `${describe({ bytes: bytes.length, sha256 })}: ${errorMessage(error)}`)
  }
}
