import { text } from '../../src/core/option-kinds.ts'
import type { OptionTable } from '../../src/core/options.ts'
import { configError } from '../../src/core/errors.ts'
import type { KeysOf } from '../../src/core/types.ts'
import { text as sqlText } from '../../src/plan/sql.ts'
import {
  type Aggregate,
  type AggregateCall,
  type AggregateTypes,
  type ColumnOf,
  type Like,
  scalarType,
  type WithOptions,
} from './aggregate.ts'
import { collectAggregate, collectOptions, type CollectOptions, type Ordered } from './collect.ts'

export interface Listagg<out K extends string, out B extends string> extends AggregateCall {
  readonly aggregate: 'listagg'
  readonly column: K
  readonly max: number
  readonly separator?: string
  readonly by?: B
  readonly order?: 'ascending' | 'descending'
}

export interface ListaggOptions extends CollectOptions {
  /** Between two values. Default: ','. */
  readonly separator?: string
}

const listaggOptions = {
  ...collectOptions,
  separator: { kind: text('text', () => true), default: ',', about: 'The text between two values.' },
} satisfies OptionTable<ListaggOptions & { readonly column: string }>

export interface ListaggTypes extends AggregateTypes {
  readonly call: Listagg<KeysOf<this['columns'], 'VARCHAR'>, keyof this['columns'] & string>
  readonly result: this['given'] extends Listagg<string, infer B>
    ? Like<Ordered<this['columns'], ColumnOf<this>, B>, 'VARCHAR'>
    : never
}

export const listaggAggregate: Aggregate<typeof listaggOptions, ListaggTypes> = {
  name: 'listagg',
  options: listaggOptions,
  plan(type, field, { separator, ...options }, input) {
    const value = scalarType(type, field, 'text')
    if (value.name !== 'VARCHAR') throw configError(field, value.sql, 'VARCHAR; derive the text of another type first')
    const collected = collectAggregate.plan(type, field, options, input)
    return {
      ...collected,
      result: collected.result.replace('VARCHAR[]', 'VARCHAR'),
      finish: (accumulators, side, where) =>
        `array_to_string(${collected.finish(accumulators, side, where)}, ${sqlText(separator)})`,
    }
  },
}

/**
 * The first `max` values as one text, a separator between them: what `collect` gives, joined. NULL when no value was
 * seen, and NULLs are left out.
 *
 *     aggregate({ path: listagg('page', { max: 100, separator: ' > ' }) })
 */
export function listagg<const K extends string, const O extends ListaggOptions>(
  column: K,
  options: O,
): WithOptions<Listagg<K, O extends { readonly by: infer B extends string } ? B : never>, O> {
  return { aggregate: 'listagg', column, ...options } as never
}
