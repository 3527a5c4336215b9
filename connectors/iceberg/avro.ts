import { buffer } from 'node:stream/consumers'
import type { Schema, Type } from 'avsc'
import { toError } from '../../src/core/errors.ts'

/** A schema as Avro writes it, with what Iceberg adds to it (`field-id`). */
export type AvroSchema = unknown

/** Loaded by the first file that is written or read: few pipelines have one. */
async function loadAvsc() {
  const { streams, Type, types } = (await import('avsc')).default
  /** Longs are bigints: ids of snapshots have 63 bits. */
  const long = types.LongType.__with({
    fromBuffer: (bytes: Buffer) => bytes.readBigInt64LE(),
    toBuffer(value: bigint) {
      const bytes = Buffer.alloc(8)
      bytes.writeBigInt64LE(value)
      return bytes
    },
    fromJSON: BigInt,
    toJSON: Number,
    isValid: (value: unknown) => typeof value === 'bigint',
    compare: (a: bigint, b: bigint) => (a === b ? 0 : a < b ? -1 : 1),
  })
  const typeOf = (schema: AvroSchema): Type => Type.forSchema(schema as Schema, { registry: { long } })
  return { streams, typeOf }
}

/** Records as a file of Avro. @param metadata of the file, beside the schema */
export async function writeAvro(
  schema: AvroSchema,
  records: readonly unknown[],
  metadata: Readonly<Record<string, string>>,
): Promise<Buffer> {
  const { streams, typeOf } = await loadAvsc()
  // The schema stands in the file as it is given: what a type tells of itself has no ids of fields.
  const header = Object.entries({ ...metadata, 'avro.schema': JSON.stringify(schema) })
  const encoder = new streams.BlockEncoder(typeOf(schema), {
    codec: 'deflate',
    writeHeader: 'always',
    metadata: Object.fromEntries(header.map(([name, value]) => [name, Buffer.from(value)])),
  } as never)
  encoder.on('typeError', (error: unknown) => encoder.destroy(toError(error)))
  for (const record of records) encoder.write(record)
  encoder.end()
  return buffer(encoder)
}

/** The records of a file of Avro, and the schema they were written by. @throws Error for what is none, or is cut off */
export async function readAvro(
  bytes: Uint8Array,
): Promise<{ readonly schema: AvroSchema; readonly records: readonly Record<string, unknown>[] }> {
  const { streams, typeOf } = await loadAvsc()
  let schema: AvroSchema
  let sync: Buffer | undefined
  const decoder = new streams.BlockDecoder({
    parseHook(found: AvroSchema) {
      schema = found
      return typeOf(found)
    },
  } as never)
  decoder.on('metadata', (_type: Type, _codec: string, header: { readonly sync: Buffer }) => (sync = header.sync))
  decoder.end(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength))
  const records: Record<string, unknown>[] = []
  for await (const record of decoder) records.push(record as Record<string, unknown>)
  // The decoder takes the end of its input for the end of a file. The header and each block end with the same 16 bytes.
  if (sync === undefined || Buffer.compare(sync, bytes.subarray(-sync.length)) !== 0) throw new Error('it is cut off')
  return { schema, records }
}
