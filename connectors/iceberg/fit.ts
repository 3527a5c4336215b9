import { MillraceError } from '../../src/core/errors.ts'
import { didYouMean } from '../../src/core/nearest.ts'
import { currentSchema, specById, type TableMetadata } from './metadata.ts'
import { describeSpec, isSameSpec, type Partition } from './partitions.ts'
import { type Column, isHeldBy, schemaOf } from './types.ts'

/** What a flow asks of a table. */
export interface Wanted {
  readonly address: string
  readonly columns: readonly Column[]
  readonly partitions: readonly Partition[]
  readonly key: readonly string[] | undefined
}

/** @throws MillraceError `user` where the table is there and does not fit the flow */
export function checkFit({ address, columns, partitions, key }: Wanted, table: TableMetadata): void {
  const fail = (what: string) => new MillraceError('user', 'output-unfit', `${address}: ${what}`)
  const schema = currentSchema(table)
  const names = schema.fields.map(field => field.name)
  for (const column of columns) {
    const field = schema.fields.find(({ name }) => name === column.name)
    const expected = JSON.stringify(schemaOf([column]).fields[0]?.type)
    if (!field)
      throw fail(
        `the table has no column '${column.name}'; expected one of type ${expected}` +
          `${didYouMean(column.name, names)}. Add it to the table, or take another one.`,
      )
    if (!isHeldBy(column.type, field.type))
      throw fail(
        `column '${column.name}' is ${JSON.stringify(field.type)} in the table and ${column.type.sql} in the flow; ` +
          `expected ${expected}. Take another table, or cast the column with derive.`,
      )
  }
  const more = schema.fields.filter(({ name }) => !columns.some(column => column.name === name))
  const needed = more.find(field => field.required)
  if (needed) throw fail(`the table requires a column '${needed.name}', which the flow has not.`)
  const [other] = more
  if (key && other)
    throw fail(`the table has a column '${other.name}', which the flow has not; with a key, expected the same columns.`)
  const spec = specById(table, table['default-spec-id'])
  const asked = partitions.map(part => `${part.transform}(${part.column})`).join(', ')
  if (!spec || !isSameSpec(partitions, spec, schema))
    throw fail(
      `its files are parted by ${spec ? describeSpec(spec, schema) : 'a spec that is gone'}; expected ` +
        `${asked || 'nothing'}, ` +
        'as partitionBy says.',
    )
}
