import { configError } from '../src/core/errors.ts'
import { sortedByName } from '../src/core/json.ts'
import type { Show } from '../src/core/types.ts'
import { type ColumnsOf, type MiniBatch, type OfRows, type Operator, step, type TimeOf } from '../src/plan/batches.ts'
import { inputColumn, wrap } from '../src/plan/relation.ts'
import { id } from '../src/plan/sql.ts'
import type { StatelessStep } from '../src/plan/step.ts'
import { checkNewName, columnType } from './columns.ts'

interface RenameOptions {
  readonly [was: string]: string
}

const nameAfter = (name: string, names: RenameOptions) => (Object.hasOwn(names, name) ? (names[name] as string) : name)

export const renameStep: StatelessStep<RenameOptions> = {
  is: 'stateless',
  op: 'rename',
  tells: names => [
    Object.entries(names)
      .map(([name, after]) => `${name} to ${after}`)
      .join(', '),
  ],
  columns(input, names) {
    for (const name of Object.keys(names)) columnType('rename', name, input)
    const after = Object.keys(input).map(name => nameAfter(name, names))
    for (const name of Object.values(names)) {
      checkNewName('rename', name, after)
      if (after.indexOf(name) !== after.lastIndexOf(name))
        throw configError('rename', name, `a name that no other column has; here: ${Object.keys(input).join(', ')}`)
    }
    return Object.fromEntries(Object.entries(input).map(([name, type]) => [nameAfter(name, names), type]))
  },
  expressions: () => [],
  carries: nameAfter,
  // Columns keep their places, whatever the order of the names.
  canonical: names => sortedByName(names),
  sql: (input, names) =>
    wrap(
      input,
      Object.keys(input.columns).map(name =>
        Object.hasOwn(names, name) ? `${inputColumn(name)} AS ${id(nameAfter(name, names))}` : inputColumn(name),
      ),
    ),
}

/** Each name must be a column, and each new one free. */
type CheckRename<N, C> = {
  [K in keyof N]: K extends keyof C
    ? N[K] extends Exclude<keyof C, keyof N>
      ? `there is a column "${N[K] & string}" already`
      : N[K]
    : `no column "${K & string}"`
}

/** The columns with their new names. */
type Renamed<C, N> = {
  [K in keyof C as K extends keyof N ? (N[K] extends string ? N[K] : never) : K]: C[K]
}

/**
 * Gives columns other names. Their order stays, and so does the event time, whatever its column is called.
 *
 *     trips.pipe(rename({ PULocationID: 'pickup_zone', lpep_pickup_datetime: 'picked_up' }))
 *
 * Two columns may exchange their names: `rename({ a: 'b', b: 'a' })`.
 *
 * @param names Name of a column to its new name.
 * @throws MillraceError `user` for an unknown column, or a new name that another column has.
 */
export function rename<I, const N extends Readonly<Record<string, string>>>(
  names: OfRows<I, CheckRename<N, ColumnsOf<I>>>,
): Operator<I, MiniBatch<Show<Renamed<ColumnsOf<I>, N>>, TimeOf<I>>> {
  const all = Object.entries((names ?? {}) as Record<string, unknown>)
  if (typeof names !== 'object' || all.length === 0)
    throw configError('rename', names, "at least one column: { old: 'new' }")
  for (const [was, is] of all)
    if (typeof is !== 'string') throw configError(`rename ${was}`, is, "its new name as text, such as 'zone'")
  return step(renameStep, Object.fromEntries(all) as RenameOptions)
}
