import { corrupt } from '../../checkpoints/codec.ts'
import { MillraceError } from '../../src/core/errors.ts'
import type { Metadata, Protocol } from './actions.ts'
import type { Column } from './rows.ts'
import { type DeltaField, deltaType, isSameType, showType } from './types.ts'

/** What is asked of a table. */
export interface WantedTable {
  readonly address: string
  readonly columns: readonly Column[]
  readonly key: readonly string[] | undefined
  readonly partitionBy: readonly string[]
  readonly missingColumns: 'refuse' | 'add'
}

export function fieldOf({ name, type }: Column): DeltaField {
  return { name, type: deltaType(type), nullable: type.nullable, metadata: {} }
}

export function schemaString(fields: readonly DeltaField[]): string {
  return JSON.stringify({ type: 'struct', fields })
}

/** Features that a writer and a reader must know; these this one knows. */
const known: readonly string[] = ['timestampNtz', 'appendOnly', 'invariants']

/** The protocol of a new table: the oldest that has its types. */
export function protocolOf(columns: readonly Column[]): Protocol {
  if (!hasPlainTimes(columns)) return { minReaderVersion: 1, minWriterVersion: 2 }
  const features = ['timestampNtz']
  return { minReaderVersion: 3, minWriterVersion: 7, readerFeatures: features, writerFeatures: features }
}

const hasPlainTimes = (columns: readonly Column[]) =>
  columns.some(({ type }) => (type.value?.name ?? type.name) === 'TIMESTAMP')

/** @throws MillraceError `user` for what this writer does not know, by name */
export function checkProtocol({ address }: Pick<WantedTable, 'address'>, protocol: Protocol): void {
  const { minReaderVersion, minWriterVersion, readerFeatures = [], writerFeatures = [] } = protocol
  const unknown = [...new Set([...readerFeatures, ...writerFeatures])].filter(name => !known.includes(name))
  if (unknown.length > 0)
    throw misfit(address, `it has the features ${unknown.join(', ')}, of which millrace knows nothing.`)
  if (![1, 3].includes(minReaderVersion) || ![1, 2, 7].includes(minWriterVersion))
    throw misfit(
      address,
      `its protocol is reader ${minReaderVersion} and writer ${minWriterVersion}; millrace knows readers 1 and 3, ` +
        'and writers 1, 2 and 7.',
    )
}

export function fieldsOf({ schemaString: text }: Metadata, object: string): readonly DeltaField[] {
  try {
    const { fields } = JSON.parse(text) as { readonly fields: readonly DeltaField[] }
    if (Array.isArray(fields)) return fields
  } catch {}
  throw corrupt(object, 'a schemaString with fields', `'${text.slice(0, 80)}'`)
}

/**
 * The fields that make the table fit.
 *
 * @throws MillraceError `user` that names what does not fit, and what to change
 */
export function fittingFields(wanted: WantedTable, metadata: Metadata, protocol: Protocol): readonly DeltaField[] {
  const { address, columns, key, partitionBy, missingColumns } = wanted
  checkProtocol(wanted, protocol)
  const fields = fieldsOf(metadata, address)
  if (metadata.partitionColumns.join('\n') !== partitionBy.join('\n'))
    throw misfit(
      address,
      `it is parted by [${metadata.partitionColumns.join(', ')}]; expected [${partitionBy.join(', ')}], as ` +
        'partitionBy has it.',
    )
  const { 'delta.appendOnly': appendOnly = '', ...others } = metadata.configuration ?? {}
  if (key && appendOnly.toLowerCase() === 'true')
    throw misfit(address, 'its property delta.appendOnly is true, so no row of a key can take the place of another.')
  const checks = Object.keys(others).filter(name => name.startsWith('delta.constraints.'))
  if (checks.length > 0) throw misfit(address, `it has the constraints ${checks.join(', ')}, which millrace knows not.`)
  for (const field of fields) checkField(wanted, field)
  const missing = columns.filter(({ name }) => !fields.some(field => field.name === name))
  if (missing.length === 0) return fields
  if (missingColumns === 'refuse')
    throw misfit(
      address,
      `it lacks ${missing.map(({ name, type }) => `${name} ${showType(deltaType(type))}`).join(', ')}. ` +
        "Add them, or let millrace do so by missingColumns: 'add'.",
    )
  if (hasPlainTimes(missing) && !(protocol.writerFeatures ?? []).includes('timestampNtz'))
    throw misfit(
      address,
      'a TIMESTAMP column needs its feature timestampNtz. Enable it, or make the column TIMESTAMPTZ.',
    )
  // Rows that are there have no value of it.
  return [...fields, ...missing.map(column => ({ ...fieldOf(column), nullable: true }))]
}

function checkField({ address, columns }: WantedTable, field: DeltaField): void {
  const which = `its column ${field.name}`
  const odd = Object.keys(field.metadata ?? {}).find(name => name.startsWith('delta.'))
  if (odd !== undefined) throw misfit(address, `${which} has ${odd}, of which millrace knows nothing.`)
  const column = columns.find(({ name }) => name === field.name)
  if (!column) {
    if (!field.nullable)
      throw misfit(address, `${which} may not be NULL, and the flow has no such column. Drop it, or let it be NULL.`)
    const twin = columns.find(({ name }) => name.toLowerCase() === field.name.toLowerCase())
    if (twin) throw misfit(address, `${which} differs from ${twin.name} of the flow in case alone. Rename one.`)
    return
  }
  const expected = deltaType(column.type)
  if (!isSameType(expected, field.type))
    throw misfit(
      address,
      `${which} is ${showType(field.type)}; expected ${showType(expected)}, for ${column.type.sql}.`,
    )
  if (!field.nullable && column.type.nullable)
    throw misfit(address, `${which} may not be NULL, and the flow's may. Declare it NOT NULL, or let it be NULL.`)
}

function misfit(address: string, what: string): MillraceError {
  return new MillraceError('user', 'output-unfit', `${address} does not fit: ${what}`)
}
