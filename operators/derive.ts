import { configError } from '../src/core/errors.ts'
import { canonicalType, type ColType, parseColumnType, type Show } from '../src/core/types.ts'
import {
  type ColumnsOf,
  type MiniBatch,
  type OfRows,
  type Operator,
  type Sql,
  step,
  type TimeOf,
} from '../src/plan/batches.ts'
import { inputColumn, wrap } from '../src/plan/relation.ts'
import { id } from '../src/plan/sql.ts'
import type { StatelessStep } from '../src/plan/step.ts'
import { checkNewName } from './columns.ts'

interface DeriveOptions {
  readonly [name: string]: readonly [type: string, sql: string]
}

export const deriveStep: StatelessStep<DeriveOptions> = {
  is: 'stateless',
  op: 'derive',
  tells: derived => Object.entries(derived).map(([name, [type, sql]]) => `${name} ${type} = ${sql}`),
  columns(input, derived) {
    const kept = Object.entries(input).filter(([name]) => !Object.hasOwn(derived, name))
    for (const name of Object.keys(derived))
      checkNewName('derive', name, [...Object.keys(input), ...Object.keys(derived)])
    return Object.fromEntries([...kept, ...Object.entries(derived).map(([name, [type]]) => [name, type] as const)])
  },
  expressions: derived =>
    Object.entries(derived).map(([name, [type, sql]]) => ({ field: `derive ${name}`, sql, type })),
  carries: (column, derived) => (Object.hasOwn(derived, column) ? undefined : column),
  canonical: (derived, expressions) =>
    Object.fromEntries(
      Object.entries(derived).map(([name, [type]], index) => [
        name,
        [canonicalType(type, `derive ${name}`), expressions[index] ?? null],
      ]),
    ),
  sql(input, derived, bound) {
    const kept = Object.keys(input.columns).filter(name => !Object.hasOwn(derived, name))
    return wrap(input, [
      ...kept.map(inputColumn),
      ...Object.keys(derived).map((name, index) => `${bound[index]} AS ${id(name)}`),
    ])
  },
}

type Derived<D> = { [K in keyof D]: D[K] extends readonly [infer T, string] ? T : never }
type CheckDerive<D, C> = {
  [K in keyof D]: D[K] extends readonly [infer T extends ColType, infer S extends string]
    ? readonly [T, Sql<S, C>]
    : D[K]
}

/**
 * Adds or replaces columns. All expressions see the columns before this step.
 *
 *     trips.pipe(derive({ tip_share: ['DOUBLE', 'tip_amount / total_amount'] }))
 *
 * @param derived Column name to `[SQL type, expression]`. The value is cast to that type, which may round; NULL under
 * a type that ends in NOT NULL stops the run with an error that names the object and the row.
 * @throws MillraceError `user` when the pipeline is bound: unknown column, impossible cast, refused function.
 */
export function derive<I, const D extends Record<string, readonly [ColType, string]>>(
  derived: OfRows<I, CheckDerive<D, ColumnsOf<I>>>,
): Operator<I, MiniBatch<Show<Omit<ColumnsOf<I>, keyof D> & Derived<D>>, TimeOf<I>>> {
  const entries = Object.entries(derived as Record<string, readonly [string, string]>)
  if (entries.length === 0) throw configError('derive', derived, 'at least one column: { name: [type, expression] }')
  for (const [name, value] of entries) {
    if (!Array.isArray(value) || value.length !== 2 || typeof value[1] !== 'string' || value[1].trim() === '')
      throw configError(`derive ${name}`, value, "[SQL type, expression], such as ['DOUBLE', 'a / b']")
    parseColumnType(value[0], `derive ${name}`)
  }
  return step(deriveStep, Object.fromEntries(entries))
}
