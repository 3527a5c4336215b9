import {
  DuckDBBlobValue,
  DuckDBDateValue,
  DuckDBDecimalType,
  DuckDBDecimalValue,
  type DuckDBIntervalValue,
  DuckDBListType,
  DuckDBListValue,
  DuckDBMapType,
  DuckDBMapValue,
  type DuckDBResultReader,
  DuckDBStructType,
  DuckDBStructValue,
  DuckDBTimestampTZValue,
  DuckDBTimestampValue,
  type DuckDBType,
  DuckDBTypeId,
  DuckDBUUIDValue,
  type DuckDBValue,
  intervalValue,
  DuckDBTimeValue,
} from '@duckdb/node-api'
import type { Json } from '../../core/json.ts'
import { type TextRows, wholeCell } from '../../core/text-rows.ts'
import { id } from '../../plan/sql.ts'
import { type Sink, writeItems } from './chunks.ts'

/** How values of a type become cells and are made of them again. */
interface Form {
  readonly sql: string
  cell(value: NonNullable<DuckDBValue>): Json
  value(cell: NonNullable<Json>): DuckDBValue
}

const big = (cell: Json): bigint => BigInt(cell as number | string)

/** A form of values of one class that are a bigint inside. */
const units = (of: (value: never) => bigint, made: (units: bigint) => DuckDBValue): Omit<Form, 'sql'> => ({
  cell: value => wholeCell(of(value as never)),
  value: cell => made(big(cell)),
})
const asIs: Omit<Form, 'sql'> = { cell: value => value as Json, value: cell => cell as DuckDBValue }
const bigint = units(
  value => value as bigint,
  value => value,
)
const floating: Omit<Form, 'sql'> = {
  cell: value =>
    Number.isFinite(value) && !Object.is(value, -0) ? (value as number) : Object.is(value, -0) ? '-0' : String(value),
  value: cell => Number(cell),
}

const scalars: Readonly<Partial<Record<DuckDBTypeId, Omit<Form, 'sql'>>>> = {
  [DuckDBTypeId.BOOLEAN]: asIs,
  [DuckDBTypeId.TINYINT]: asIs,
  [DuckDBTypeId.SMALLINT]: asIs,
  [DuckDBTypeId.INTEGER]: asIs,
  [DuckDBTypeId.UTINYINT]: asIs,
  [DuckDBTypeId.USMALLINT]: asIs,
  [DuckDBTypeId.UINTEGER]: asIs,
  [DuckDBTypeId.VARCHAR]: asIs,
  [DuckDBTypeId.BIGINT]: bigint,
  [DuckDBTypeId.UBIGINT]: bigint,
  [DuckDBTypeId.HUGEINT]: bigint,
  [DuckDBTypeId.UHUGEINT]: bigint,
  [DuckDBTypeId.FLOAT]: floating,
  [DuckDBTypeId.DOUBLE]: floating,
  [DuckDBTypeId.DATE]: {
    cell: value => (value as DuckDBDateValue).days,
    value: cell => new DuckDBDateValue(cell as number),
  },
  [DuckDBTypeId.TIME]: units(
    ({ micros }: DuckDBTimeValue) => micros,
    us => new DuckDBTimeValue(us),
  ),
  [DuckDBTypeId.TIMESTAMP]: units(
    ({ micros }: DuckDBTimestampValue) => micros,
    us => new DuckDBTimestampValue(us),
  ),
  [DuckDBTypeId.TIMESTAMP_TZ]: units(
    ({ micros }: DuckDBTimestampTZValue) => micros,
    us => new DuckDBTimestampTZValue(us),
  ),
  [DuckDBTypeId.UUID]: units(
    (value: DuckDBUUIDValue) => value.toUint128(),
    bits => DuckDBUUIDValue.fromUint128(bits),
  ),
  [DuckDBTypeId.INTERVAL]: {
    cell: value => {
      const { months, days, micros } = value as DuckDBIntervalValue
      return [months, days, wholeCell(micros)]
    },
    value: cell => {
      const [months, days, micros] = cell as [number, number, Json]
      return intervalValue(months, days, big(micros))
    },
  },
  [DuckDBTypeId.BLOB]: {
    cell: value => Buffer.from((value as DuckDBBlobValue).bytes).toString('base64'),
    value: cell => new DuckDBBlobValue(Buffer.from(cell as string, 'base64')),
  },
}

/** Undefined for types that have none: no channel holds them, and their rows go into files. */
function formOf(type: DuckDBType): Form | undefined {
  if (type instanceof DuckDBDecimalType) {
    const { width, scale } = type
    const form = units(
      ({ value }: DuckDBDecimalValue) => value,
      value => new DuckDBDecimalValue(value, width, scale),
    )
    return { sql: type.toString(), ...form }
  }
  if (type instanceof DuckDBListType) {
    const item = formOf(type.valueType)
    return (
      item && {
        sql: `${item.sql}[]`,
        cell: value => (value as DuckDBListValue).items.map(found => cellOf(item, found)),
        value: cell => new DuckDBListValue((cell as readonly Json[]).map(found => valueOf(item, found))),
      }
    )
  }
  if (type instanceof DuckDBStructType) return structForm(type)
  if (type instanceof DuckDBMapType) return mapForm(type)
  const scalar = scalars[type.typeId]
  return scalar && { sql: type.alias ?? type.toString(), ...scalar }
}

function structForm({ entryNames, entryTypes }: DuckDBStructType): Form | undefined {
  const forms = entryTypes.map(formOf)
  const fields = entryNames.flatMap((name, index) => (forms[index] ? [{ name, form: forms[index] }] : []))
  if (fields.length < entryNames.length) return undefined
  return {
    sql: `STRUCT(${fields.map(({ name, form }) => `${id(name)} ${form.sql}`).join(', ')})`,
    cell: value => fields.map(({ name, form }) => cellOf(form, (value as DuckDBStructValue).entries[name] ?? null)),
    value: cell =>
      new DuckDBStructValue(
        Object.fromEntries(
          fields.map(({ name, form }, index) => [name, valueOf(form, (cell as readonly Json[])[index] ?? null)]),
        ),
      ),
  }
}

function mapForm({ keyType, valueType }: DuckDBMapType): Form | undefined {
  const [key, entry] = [formOf(keyType), formOf(valueType)]
  if (!key || !entry) return undefined
  return {
    sql: `MAP(${key.sql}, ${entry.sql})`,
    cell: found => (found as DuckDBMapValue).entries.map(e => [cellOf(key, e.key), cellOf(entry, e.value)]),
    value: cell =>
      new DuckDBMapValue(
        (cell as readonly [Json, Json][]).map(([k, v]) => ({ key: valueOf(key, k), value: valueOf(entry, v) })),
      ),
  }
}

const cellOf = (form: Form, value: DuckDBValue): Json => (value === null ? null : form.cell(value))
const valueOf = (form: Form, cell: Json): DuckDBValue => (cell === null ? null : form.value(cell))

/**
 * A result as text; undefined where a column's type has no form, or the names do not keep their places in an object.
 */
export function readText(reader: DuckDBResultReader): TextRows | undefined {
  const names = reader.columnNames()
  const forms: Form[] = []
  for (const type of reader.columnTypes()) {
    const form = formOf(type)
    if (!form) return undefined
    forms.push(form)
  }
  const columns = Object.fromEntries(names.map((name, index) => [name, (forms[index] as Form).sql]))
  // JavaScript puts a name such as '2024' before all others, so cells would stand in other columns.
  const places = Object.keys(columns)
  if (names.some((name, index) => name !== places[index])) return undefined
  return {
    columns,
    rows: reader.getRows().map(row => row.map((value, index) => cellOf(forms[index] as Form, value))),
  }
}

/** Writes rows into a table of these column types. */
export function writeText({ rows }: TextRows, types: readonly DuckDBType[], sink: Sink): void {
  const columns = types.map((type, column) => {
    const form = formOf(type)
    if (!form) throw new Error(`unreachable: rows of ${type.toString()} are no text`)
    return rows.map(row => valueOf(form, row[column] ?? null))
  })
  sink.append(rows.length, (column, vector, from, count) =>
    writeItems(vector, columns[column] as readonly DuckDBValue[], from, count),
  )
}
