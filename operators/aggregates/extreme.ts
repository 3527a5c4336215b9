import { normalKey } from '../../src/plan/normal-key.ts'
import { type Aggregate, type AggregateTypes, columnOptions, inputType } from './aggregate.ts'

/** min and max: the one accumulator is the extreme itself, and merging is the same function again. */
export function extreme<T extends AggregateTypes>(name: 'min' | 'max'): Aggregate<typeof columnOptions, T> {
  return {
    name,
    options: columnOptions,
    plan(type, field) {
      const input = inputType(type, field)
      return {
        result: input.nullable ? input.sql : `${input.sql} NOT NULL`,
        accumulators: [
          {
            name,
            type: input.sql,
            // Once a group is enough: all zeros are equal to the function, and so is every NaN.
            partial: value => normalKey(`${name}(${value})`, input),
            merge: accumulator => `${name}(${accumulator})`,
          },
        ],
        finish: ([accumulator]) => `${accumulator}`,
      }
    },
  }
}
