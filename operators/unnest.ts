import { configError } from '../src/core/errors.ts'
import { plainJson } from '../src/core/json.ts'
import { flag, given, text } from '../src/core/option-kinds.ts'
import { type OptionTable, readCall } from '../src/core/options.ts'
import { declarationsOf } from '../src/core/column-declaration.ts'
import { type ParsedType, parseColumnType, type Show } from '../src/core/types.ts'
import type { Base, ColType, Counted, KeysOf, Plain, Scalar } from '../src/core/types.ts'
import { type ColumnsOf, type MiniBatch, type OfRows, type Operator, step, type TimeOf } from '../src/plan/batches.ts'
import { type ColumnTypes, columnsTold, withOrdinal } from '../src/plan/relation.ts'
import type { StatelessStep } from '../src/plan/step.ts'
import { checkNewName, columnType } from './columns.ts'
import { unnestSql } from './unnest-sql.ts'
import type { Unnesting } from './unnesting.ts'

/** The options as plain data. */
type PlainOptions = {
  readonly column: string
  readonly as?: string
  /** Name to canonical type, with ' NOT NULL' where declared. */
  readonly columns?: ColumnTypes
  /** Name to the field's name, where that is another one. */
  readonly from?: Readonly<Record<string, string>>
  readonly rescue?: string
  readonly position?: string
  readonly outer?: true
}

export const unnestStep: StatelessStep<PlainOptions> = {
  is: 'stateless',
  op: 'unnest',
  tells: unnestTold,
  columns(input, options) {
    const { column } = options
    const made = madeColumns(input, options)
    const names = [...Object.keys(input).filter(name => name !== column), ...made.map(([name]) => name)]
    for (const [name] of made) {
      checkNewName(`unnest ${column}`, name, names)
      if (names.indexOf(name) !== names.lastIndexOf(name))
        throw configError(`unnest ${column}`, name, 'a name that no other column has; rename({...}) that one before')
    }
    return Object.fromEntries(
      Object.entries(input).flatMap(([name, type]) => (name === column ? made : [[name, type]])),
    )
  },
  expressions: () => [],
  sql: (input, options) => unnestSql(input, unnesting(input.columns, options)),
  hidden: ({ hidden }) => withOrdinal(hidden),
}

/** As a person reads it: `items to item, its place as nth`. */
function unnestTold({ column, as, columns, rescue, position, outer }: PlainOptions): readonly string[] {
  const fields = columns && columnsTold(columns)
  return [
    [
      `${column} to ${fields ?? as ?? column}`,
      ...(rescue === undefined ? [] : [`what does not fit to ${rescue}`]),
      ...(position === undefined ? [] : [`its place as ${position}`]),
      ...(outer ? ['rows without elements stay'] : []),
    ].join(', '),
  ]
}

/** What the column is, and what becomes of it. */
function unnesting(
  input: ColumnTypes,
  { column, as, columns, from = {}, rescue, position, outer }: PlainOptions,
): Unnesting {
  const list = listType(input, column)
  const fields = Object.entries(columns ?? {}).map(([name, type]) => ({
    name,
    type: parseColumnType(type, `unnest ${column}: columns.${name}`),
    from: (Object.hasOwn(from, name) ? from[name] : undefined) ?? name,
  }))
  return {
    column,
    list,
    as: as ?? column,
    fields: columns === undefined ? undefined : fields,
    rescue,
    position,
    isOuter: outer === true,
  }
}

/** The columns that take the place of the list's, in order. */
function madeColumns(input: ColumnTypes, options: PlainOptions): readonly (readonly [name: string, type: string])[] {
  const { column, as = column, columns, rescue, position, outer } = options
  const list = listType(input, column)
  checkFit(list, options)
  const elements =
    columns ??
    (list.value === undefined
      ? { [as]: list.list ? list.sql.slice(0, -'[]'.length) : list.sql }
      : { value: `${list.value.sql} NOT NULL`, count: 'BIGINT NOT NULL' })
  const all = [
    ...Object.entries(elements),
    ...(rescue === undefined ? [] : [[rescue, 'JSON'] as const]),
    ...(position === undefined ? [] : [[position, 'BIGINT NOT NULL'] as const]),
  ]
  return all.map(([name, type]) => [name, outer ? type.replace(/ NOT NULL$/, '') : type])
}

function listType(input: ColumnTypes, column: string): ParsedType {
  const type = parseColumnType(columnType('unnest', column, input), column)
  if (!type.list && type.name !== 'JSON')
    throw configError(
      'unnest',
      `${column} ${type.sql}`,
      'a column that is a list, such as VARCHAR[], or JSON with an array',
    )
  return type
}

/** Refuses options that go with another kind of list. */
function checkFit(list: ParsedType, { column, as, columns, rescue }: PlainOptions): void {
  const at = `unnest ${column}`
  if (columns !== undefined && list.name !== 'JSON')
    throw configError(`${at}: columns`, columns, `none, as the elements of ${list.sql} are no JSON`)
  if (rescue !== undefined && (list.name !== 'JSON' || (list.list && columns === undefined)))
    throw configError(`${at}: rescue`, rescue, `none, as every element of ${list.sql} fits`)
  if (as !== undefined && (columns !== undefined || list.value !== undefined))
    throw configError(
      `${at}: as`,
      as,
      'none, as the elements have columns with names of their own; rename({...}) those',
    )
}

/** The type of a field: `TYPE [NOT NULL] [FROM name]`. */
export type FieldType = ColType | `${ColType} FROM ${string}`
export type FieldColumns = Readonly<Record<string, FieldType>>

/** What `unnest` makes of a list, or of an array of JSON. */
export interface UnnestOptions<
  A extends string = string,
  D extends FieldColumns = FieldColumns,
  R extends string = string,
  P extends string = string,
  X extends boolean = boolean,
> {
  /** The name of the element's column. Default: that of the list. */
  readonly as?: A
  /**
   * Of JSON whose elements are objects: the fields that become columns, by name, `TYPE [NOT NULL] [FROM name]`. Values
   * are cast by value, as those of a source are. Default: an element is one column of JSON.
   */
  readonly columns?: D
  /**
   * The name of one more column, a JSON, that keeps what does not fit beside its row: `{"qty":"a few"}`. The value
   * itself is NULL then. Default: none; what does not fit ends the run.
   */
  readonly rescue?: R
  /** The name of one more column: the element's place in its list, from 1. */
  readonly position?: P
  /** Whether a row without elements (NULL or empty) stays, as one row with NULL in their place. Default: it goes. */
  readonly outer?: X
}

const name = text('the name of a column')
const unnestOptions = {
  column: {
    kind: name,
    isRequired: true,
    isPositional: true,
    about: 'The column that is a list, or JSON with an array.',
  },
  as: { kind: name, otherwise: 'the name of the list', about: "The name of the element's column." },
  columns: {
    kind: given<FieldColumns>(
      'at least one column: { name: SQL type }',
      value => typeof value === 'object' && value !== null,
    ),
    otherwise: 'an element is one column',
    about: 'Of JSON whose elements are objects: the fields that become columns.',
  },
  rescue: {
    kind: name,
    otherwise: 'none: what does not fit ends the run',
    about: 'The column that keeps, as JSON, what does not fit.',
  },
  position: { kind: name, otherwise: 'none', about: "The column that has the element's place in its list, from 1." },
  outer: {
    kind: flag,
    default: false,
    about: 'Whether a row without elements stays, as one row with NULL in their place.',
  },
} satisfies OptionTable<UnnestOptions & { readonly column: string }>

/** The columns whose elements become rows. */
type Listed = 'JSON' | `${Scalar}[]` | Counted<string>

type Elements<T, K extends string, A extends string, D> = [D] extends [never]
  ? Base<T> extends Counted<infer V>
    ? { value: `${V} NOT NULL`; count: 'BIGINT NOT NULL' }
    : { [N in [A] extends [never] ? K : A]: Base<T> extends `${infer U extends Scalar}[]` ? U : Base<T> }
  : { [N in keyof D]: Plain<D[N]> }

/** The columns after `unnest`: those of the elements in the place of the list. */
type Unnested<C, K extends string, A extends string, D, R extends string, P extends string, X> = {
  [N in Exclude<keyof C, K>]: C[N]
} & (Elements<K extends keyof C ? C[K] : never, K, A, D> & { [N in R]: 'JSON' } & {
  [N in P]: 'BIGINT NOT NULL'
} extends infer M
  ? { [N in keyof M]: X extends true ? Base<M[N]> : M[N] }
  : never)

/**
 * A row for each element of a list, or of an array of JSON. The element stands in the place of the list; the other
 * columns are those of the row, and so is its event time.
 *
 *     orders.pipe(unnest('tags', { as: 'tag' }))                       // tags VARCHAR[]: tag VARCHAR
 *     orders.pipe(unnest('items', {                                    // items JSON: [{"sku":"a","qty":2}, ...]
 *       columns: { sku: 'VARCHAR NOT NULL', qty: 'INTEGER', price: 'DECIMAL(18,2) FROM unit_price' } }))
 *
 * What `topK` and `histogram` give becomes `value` and `count`. An element that is NULL gives a row with NULL. A list
 * that is NULL or empty gives no row, with `outer: true` one.
 *
 * Values of `columns` are cast by value (S17): one that its type cannot hold as it is ends the run with an error that
 * names the object, the row and the element, and so does JSON that is no array, or an element that is no object. With
 * `rescue` it is NULL, and its text lies beside it; NOT NULL columns stay errors. Rows that a later `where` leaves out
 * by columns that are none of the elements' may go unchecked.
 *
 * @param column A list, such as VARCHAR[], or JSON. At most 1,048,576 elements.
 * @throws MillraceError `user` for an unknown column, one that is no list, and a name that another column has; `fatal`
 * from the run for what does not fit.
 */
export function unnest<
  I,
  const K extends KeysOf<ColumnsOf<I>, Listed>,
  const A extends string = never,
  const D extends FieldColumns = never,
  const R extends string = never,
  const P extends string = never,
  const X extends boolean = false,
>(
  column: OfRows<I, K>,
  options?: UnnestOptions<A, D, R, P, X>,
): Operator<I, MiniBatch<Show<Unnested<ColumnsOf<I>, K, A, D, R, P, X>>, TimeOf<I>>> {
  const read = readCall('unnest', unnestOptions, [column], options)
  const fields = read.columns === undefined ? undefined : fieldsOf(read.columns, `unnest ${read.column}: columns`)
  const plain = {
    ...read,
    ...fields,
    as: read.as === read.column ? undefined : read.as,
    outer: read.outer || undefined,
  }
  return step(unnestStep, plainJson(plain) as PlainOptions)
}

/** Fields as declared, as plain data. */
function fieldsOf(
  columns: FieldColumns,
  field: string,
): Pick<PlainOptions, 'from'> & { readonly columns: ColumnTypes } {
  const all = Object.entries(declarationsOf(columns, field))
  for (const [name, { ifMissing, fact }] of all)
    if (ifMissing !== undefined || fact !== undefined)
      throw configError(
        `${field}.${name}`,
        columns[name],
        'TYPE [NOT NULL] [FROM name]: a field that an element lacks is NULL, and derive(...) puts another value there',
      )
  const from = all.flatMap(([name, { from: own = name }]) => (own === name ? [] : [[name, own] as const]))
  return {
    columns: Object.fromEntries(
      all.map(([name, { type }]) => [name, type.nullable ? type.sql : `${type.sql} NOT NULL`]),
    ),
    ...(from.length === 0 ? {} : { from: Object.fromEntries(from) }),
  }
}
